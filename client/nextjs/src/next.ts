/**
 * Handlers for the App Router: `export const { GET, POST, PATCH, DELETE } = createRouteHandlers({ authorize })`
 * in `app/api/hfdmd/[...path]/route.ts`. Runs on a Node server; a serverless host cannot reach a Unix socket.
 */
import type { Readable } from "node:stream";

import { tooLarge } from "./server/problem.js";
import { proxy, type Answer, type Options } from "./server/proxy.js";

export { allowAll, type Call } from "./server/proxy.js";
export type { CallName, Method } from "./server/routes.js";
export type RouteOptions = Options<Request>;

/** Sent when the client has disconnected before the answer. */
const GONE: Answer = { status: 499, headers: {}, body: null };

/** The parameters of a catch-all route: a promise since Next 15, the plain object before. */
interface Context {
  params?: unknown;
}

export type RouteHandler = (request: Request, context?: unknown) => Promise<Response>;

/** Handlers for a route file: a catch-all route, or a single call such as `app/api/progress/route.ts`. */
export function createRouteHandlers(options: RouteOptions): Record<"GET" | "POST" | "PATCH" | "DELETE", RouteHandler> {
  const handler: RouteHandler = async (request, context) => {
    const url = new URL(request.url);
    const answer = await proxy(options, {
      request,
      method: request.method,
      segment: await segmentOf(url.pathname, context as Context | undefined),
      query: url.searchParams,
      header: (name) => request.headers.get(name),
      read: (limitBytes) => read(request, limitBytes),
      signal: request.signal,
    }).catch((error: unknown) => {
      if (request.signal.aborted) return GONE;
      throw error;
    });
    const body =
      answer.body === null || typeof answer.body === "string" ? answer.body : toWeb(answer.body, request.signal);
    return new Response(body, { status: answer.status, headers: answer.headers });
  };
  return { GET: handler, POST: handler, PATCH: handler, DELETE: handler };
}

async function segmentOf(pathname: string, context: Context | undefined): Promise<string | null> {
  const params = (await context?.params) as Record<string, string | string[]> | undefined;
  const caught = Object.values(params ?? {}).find(Array.isArray);
  if (caught) return caught.length === 1 ? (caught[0] ?? null) : null;
  return pathname.replace(/\/$/, "").split("/").pop() ?? null;
}

async function read(request: Request, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.length;
    if (size > limitBytes) {
      await reader?.cancel();
      throw tooLarge(limitBytes);
    }
    chunks.push(Buffer.from(part.value));
  }
  return Buffer.concat(chunks);
}

/** Converts to a web stream. When the client disconnects, the connection to the daemon is closed; otherwise it would stay open for ever. */
function toWeb(source: Readable, signal: AbortSignal): ReadableStream<Uint8Array> {
  let over = false;
  const stop = () => void source.destroy();
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const end = () => {
        signal.removeEventListener("abort", stop);
        if (!over) controller.close();
        over = true;
      };
      source.on("data", (chunk: Buffer) => {
        if (over) return;
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) source.pause();
      });
      source.once("end", end);
      source.once("close", end);
      source.on("error", stop); // a broken stream ends; the browser opens the next one
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
    },
    pull: () => void source.resume(),
    cancel: () => {
      over = true;
      stop();
    },
  });
}
