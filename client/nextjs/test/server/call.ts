/** Calls a route handler like Next's App Router. */
import { allowAll, createRouteHandlers, type RouteOptions } from "../../src/next.js";
import type { FakeDaemon } from "./daemon.js";

const SAME = { "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", Host: "localhost:3000" };

export interface Init {
  body?: unknown;
  raw?: string;
  headers?: Record<string, string>;
  options?: Partial<RouteOptions>;
  params?: string[];
  signal?: AbortSignal;
}

export function callOf(
  daemon: FakeDaemon,
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  init: Init = {},
): Promise<Response> {
  const handlers = createRouteHandlers({ authorize: allowAll, socket: daemon.socket, ...init.options });
  const body = init.raw ?? (init.body === undefined ? undefined : JSON.stringify(init.body));
  const request = new Request(`http://localhost:3000/api/hfdmd/${path}`, {
    method,
    headers: { ...SAME, ...init.headers },
    ...(body === undefined ? {} : { body }),
    ...(init.signal ? { signal: init.signal } : {}),
  });
  // Request drops Host as a browser would; a server's request has it.
  const headers = new Headers(request.headers);
  const host = { ...SAME, ...init.headers }.Host;
  const get = headers.get.bind(headers);
  request.headers.get = (name: string) => (name === "host" ? host || null : get(name));
  return handlers[method](request, init.params ? { params: Promise.resolve({ path: init.params }) } : undefined);
}

export const code = async (response: Response) => ((await response.json()) as { code: string }).code;
