/**
 * Handlers for the Pages Router: `export default createApiHandler({ authorize })` in `pages/api/download.ts`, `pages/api/progress.ts` and so on,
 * or once in `pages/api/hfdmd/[...path].ts`. Runs on a Node server; a serverless host cannot reach a Unix socket.
 */
import type { NextApiRequest, NextApiResponse } from "next";

import { tooLarge } from "./server/problem.js";
import { proxy, type Options } from "./server/proxy.js";

export { allowAll, type Call } from "./server/proxy.js";
export type { CallName, Method } from "./server/routes.js";
export type ApiOptions = Options<NextApiRequest>;

/** One handler for all calls; the last part of the path selects the call. */
export function createApiHandler(options: ApiOptions): (req: NextApiRequest, res: NextApiResponse) => Promise<void> {
  return async (req, res) => {
    const left = new AbortController();
    res.once("close", () => left.abort());
    const url = new URL(req.url ?? "/", "http://app");
    const segment = segmentOf(url.pathname, req.query);
    const answer = await proxy(options, {
      request: req,
      method: req.method ?? "GET",
      segment,
      query: url.searchParams,
      header: (name) => one(req.headers[name]),
      read: (limitBytes) => read(req, limitBytes),
      signal: left.signal,
    }).catch((error: unknown) => {
      if (left.signal.aborted) return null; // the client disconnected
      throw error;
    });
    if (answer === null) return;
    res.writeHead(answer.status, answer.headers);
    if (answer.body === null || typeof answer.body === "string") return void res.end(answer.body ?? undefined);
    const source = answer.body;
    res.flushHeaders();
    await new Promise<void>((resolve) => {
      source.on("error", () => source.destroy()); // a broken stream ends; the browser opens the next one
      source.once("close", () => {
        res.end();
        resolve();
      });
      res.once("close", () => source.destroy());
      source.pipe(res);
    });
  };
}

function segmentOf(pathname: string, query: NextApiRequest["query"]): string | null {
  const path = pathname.replace(/\/$/, "");
  const caught = Object.values(query).find((value) => Array.isArray(value) && path.endsWith(`/${value.join("/")}`));
  if (Array.isArray(caught) && caught.length !== 1) return null;
  return path.split("/").pop() ?? null;
}

function one(value: string | string[] | undefined): string | null {
  return Array.isArray(value) ? value.join(", ") : (value ?? null);
}

/** The body, whether or not Next's own parser has already consumed it. */
async function read(req: NextApiRequest, limitBytes: number): Promise<Buffer> {
  if (!Number(req.headers["content-length"]) && !req.headers["transfer-encoding"]) return Buffer.alloc(0);
  const parsed: unknown = req.body;
  const chunks: Buffer[] = [];
  let size = 0;
  const add = (chunk: Buffer) => {
    size += chunk.length;
    if (size > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  };
  if (parsed === undefined) for await (const chunk of req) add(chunk as Buffer);
  else add(Buffer.from(typeof parsed === "string" ? parsed : JSON.stringify(parsed)));
  return Buffer.concat(chunks);
}
