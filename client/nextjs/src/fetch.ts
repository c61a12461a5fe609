/**
 * The handler for everything that takes a `Request` and gives a `Response`: Remix, Hono, SvelteKit, Vite and so on.
 * `createFetchHandler({ authorize })` serves all calls; the last part of the path selects one. Runs on a Node server.
 */
import type { Readable } from "node:stream";

import { tooLarge } from "./server/problem.js";
import { proxy, type Answer, type Options } from "./server/proxy.js";

export { allowAll, type Call } from "./server/proxy.js";
export type { CallName, Method } from "./server/routes.js";
export type FetchOptions = Options<Request>;

/** Sent when the client has disconnected before the answer. */
const GONE: Answer = { status: 499, headers: {}, body: null };

export function createFetchHandler(options: FetchOptions): (request: Request) => Promise<Response> {
  return (request) => answer(options, request, lastPart(new URL(request.url).pathname));
}

export const lastPart = (path: string): string | null => path.replace(/\/$/, "").split("/").pop() ?? null;

/** Handles one request. `segment`: the name of the call; null when the path has more parts than it should. */
export async function answer(options: FetchOptions, request: Request, segment: string | null): Promise<Response> {
  const { status, headers, body } = await proxy(options, {
    request,
    method: request.method,
    segment,
    query: new URL(request.url).searchParams,
    header: (name) => request.headers.get(name),
    read: (limitBytes) => read(request, limitBytes),
    signal: request.signal,
  }).catch((error: unknown) => {
    if (request.signal.aborted) return GONE;
    throw error;
  });
  return new Response(body === null || typeof body === "string" ? body : toWeb(body, request.signal), {
    status,
    headers,
  });
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
