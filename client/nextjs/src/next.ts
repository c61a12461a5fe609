/**
 * Handlers for the App Router: `export const { GET, POST, PATCH, DELETE } = createRouteHandlers({ authorize })`
 * in `app/api/hfdmd/[...path]/route.ts`. Runs on a Node server; a serverless host cannot reach a Unix socket.
 */
import { answer, lastPart, type FetchOptions } from "./fetch.js";

export { allowAll, type Call, type CallName, type Method } from "./fetch.js";
export type RouteOptions = FetchOptions;

/** The parameters of a catch-all route: a promise since Next 15, the plain object before. */
interface Context {
  params?: unknown;
}

export type RouteHandler = (request: Request, context?: unknown) => Promise<Response>;

/** Handlers for a route file: a catch-all route, or a single call such as `app/api/progress/route.ts`. */
export function createRouteHandlers(options: RouteOptions): Record<"GET" | "POST" | "PATCH" | "DELETE", RouteHandler> {
  const handler: RouteHandler = async (request, context) =>
    answer(options, request, await segmentOf(new URL(request.url).pathname, context as Context | undefined));
  return { GET: handler, POST: handler, PATCH: handler, DELETE: handler };
}

async function segmentOf(pathname: string, context: Context | undefined): Promise<string | null> {
  const params = (await context?.params) as Record<string, string | string[]> | undefined;
  const caught = Object.values(params ?? {}).find(Array.isArray);
  if (caught) return caught.length === 1 ? (caught[0] ?? null) : null;
  return lastPart(pathname);
}
