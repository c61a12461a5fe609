import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";

import { ask } from "./daemon.js";
import { isCrossSite, isKnownHost } from "./guard.js";
import type { Daemon } from "./places.js";
import * as problem from "./problem.js";
import { redact, redactEvents } from "./redact.js";
import { ROUTES, SETTINGS_ROUTES, type CallName, type Method, type Route } from "./routes.js";
import { isStopping, track } from "./streams.js";

/** A request of a visitor, before anything is sent to the daemon. */
export interface Call {
  name: CallName;
  method: Method;
  query: URLSearchParams;
  /** The JSON body, null when there is none. */
  body: unknown;
  /** Whether it applies to all downloads (`{"all": true}`), such as "pause all". */
  all: boolean;
}

export interface Options<R> extends Daemon {
  /**
   * Whether this call is allowed; called before anything is sent to the daemon. There is no default, because an open route lets any
   * visitor fill the disk. `allowAll` is for an app that only its own user can reach.
   */
  authorize: (request: R, call: Call) => boolean | Promise<boolean>;
  /** Host names of the app. With `allowAll` the default is `localhost` and IP addresses. */
  allowedHosts?: readonly string[];
  /** Let browsers name folders of the server. Default false: over its Unix socket the daemon writes wherever its user may. */
  allowLocalDir?: boolean;
  /** Let browsers delete downloaded files, not only entries of the list. Default false. */
  allowDeleteFile?: boolean;
  /** Add `GET` and `PATCH` of the settings. Default false. */
  allowSettings?: boolean;
  /** Show paths of the server to browsers (`path`, `localDir`, the daemon's folders). Default false. */
  exposePaths?: boolean;
  /** Longest request body in bytes. Default 65536. */
  maxBodyBytes?: number;
}

/** Allows every call: for an app without login that only its own user can reach. */
export function allowAll(): boolean {
  return true;
}

/** A request, independent of the router. */
export interface Incoming<R> {
  request: R;
  method: string;
  /** The last part of the path; null when the path has more parts than it should. */
  segment: string | null;
  query: URLSearchParams;
  header: (name: string) => string | null;
  /** Reads the body. Throws a `Refusal` if it is longer than `limitBytes`. */
  read: (limitBytes: number) => Promise<Buffer>;
  signal: AbortSignal;
}

/** The response to the browser: a complete body or a stream of events. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Readable | null;
}

const SILENCE_MS = 120_000;
/** The daemon's stream has a comment at least every 15 s; after three missed ones the daemon counts as gone. */
const STREAM_SILENCE_MS = 45_000;
const STREAM_HEADERS = {
  "Content-Type": "text/event-stream",
  // Without no-transform Next's compression delays every event.
  "Cache-Control": "no-cache, no-transform",
  "X-Accel-Buffering": "no",
  // A kept connection would be reused by the browser's next request and would delay the shutdown of the server.
  Connection: "close",
};

/** Handles one request: validates it, forwards it to the daemon, removes paths from the answer. */
export async function proxy<R>(options: Options<R>, incoming: Incoming<R>): Promise<Answer> {
  try {
    return await forward(options, incoming);
  } catch (error) {
    if (!(error instanceof problem.Refusal)) throw error;
    return {
      status: error.status,
      headers: { "Content-Type": "application/problem+json", ...PLAIN_HEADERS, ...error.headers },
      body: error.body,
    };
  }
}

const PLAIN_HEADERS = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" };

async function forward<R>(options: Options<R>, incoming: Incoming<R>): Promise<Answer> {
  if (isStopping()) throw problem.stopping();
  const route = routeOf(incoming, options.allowSettings ?? false);
  const { header, signal } = incoming;
  if (options.allowedHosts || (options.authorize as unknown) === allowAll) {
    if (!isKnownHost(header("host"), options.allowedHosts ?? [])) throw problem.forbiddenHost();
  }
  if (isCrossSite(route.method, header)) throw problem.forbiddenOrigin();
  const query = knownQuery(route, incoming.query);
  const body = await jsonBody(route, incoming, options.maxBodyBytes ?? 65_536);
  refuseFolders(options, query, body);
  const all = query.get("all") === "true" || (body as { all?: unknown } | null)?.all === true;
  if (!(await options.authorize(incoming.request, { name: route.name, method: route.method, query, body, all }))) {
    throw problem.unauthorized();
  }

  const wantsStream = route.name === "progress" && (header("accept") ?? "").includes("text/event-stream");
  const headers: Record<string, string> = { Accept: wantsStream ? "text/event-stream" : "application/json" };
  const lastEventId = header("last-event-id");
  if (wantsStream && lastEventId) headers["Last-Event-ID"] = lastEventId;
  const sent = body === null ? null : Buffer.from(JSON.stringify(body));
  if (sent) headers["Content-Type"] = "application/json";
  const search = query.toString();
  const path = `/api/${route.segment}${search ? `?${search}` : ""}`;
  const answer = await ask(options, {
    method: route.method,
    path,
    headers,
    body: sent,
    signal,
    silenceMs: wantsStream ? STREAM_SILENCE_MS : SILENCE_MS,
  });
  const vary: Record<string, string> = route.name === "progress" ? { Vary: "Accept" } : {};
  const isStream = wantsStream && answer.statusCode === 200;
  return isStream ? stream(answer, options, vary) : whole(answer, options, vary);
}

function routeOf(incoming: Incoming<unknown>, withSettings: boolean): Route {
  const known = (withSettings ? [...ROUTES, ...SETTINGS_ROUTES] : ROUTES).filter((r) => r.segment === incoming.segment);
  if (known.length === 0) throw problem.notFound();
  const found = known.find((r) => r.method === incoming.method);
  if (!found) throw problem.methodNotAllowed(known.map((r) => r.method));
  return found;
}

/** The known parameters of the query, each at most once. Throws a `Refusal` for any other. */
function knownQuery(route: Route, asked: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams();
  for (const [key, value] of asked) {
    if (!route.query.includes(key)) throw problem.malformed(`Unknown query parameter: ${key.slice(0, 60)}.`);
    if (query.has(key)) throw problem.malformed(`Duplicate query parameter: ${key}.`);
    query.set(key, value);
  }
  return query;
}

async function jsonBody(route: Route, incoming: Incoming<unknown>, limitBytes: number): Promise<unknown> {
  if (route.method === "GET") return null;
  const raw = await incoming.read(limitBytes);
  if (raw.length === 0) return null;
  if (!/^application\/json\s*(;|$)/i.test(incoming.header("content-type") ?? "")) throw problem.unsupportedMediaType();
  try {
    return JSON.parse(raw.toString("utf8")) as unknown;
  } catch {
    throw problem.malformed("The body is not valid JSON.");
  }
}

function refuseFolders(options: Options<never>, query: URLSearchParams, body: unknown): void {
  const fields = body !== null && typeof body === "object" ? (body as Record<string, unknown>) : {};
  if (!options.allowLocalDir && (query.has("localDir") || (fields.localDir ?? null) !== null)) {
    throw problem.forbiddenPath("This app does not allow browsers to set localDir.");
  }
  const deletes =
    (query.has("deleteFile") && query.get("deleteFile") !== "false") || (fields.deleteFile ?? false) !== false;
  if (!options.allowDeleteFile && deletes) {
    throw problem.forbiddenPath("This app does not allow browsers to set deleteFile.");
  }
}

function stream(answer: IncomingMessage, options: Options<never>, vary: Record<string, string>): Answer {
  track(answer);
  const headers = { ...STREAM_HEADERS, ...vary };
  if (options.exposePaths) return { status: 200, headers, body: answer };
  const redacted = redactEvents();
  answer.on("error", () => answer.destroy()); // a broken stream ends; the browser opens the next one
  answer.once("close", () => redacted.end());
  redacted.once("close", () => answer.destroy());
  return { status: 200, headers, body: answer.pipe(redacted, { end: false }) };
}

async function whole(answer: IncomingMessage, options: Options<never>, vary: Record<string, string>): Promise<Answer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch {
    throw problem.daemonUnreachable(); // the connection broke in the middle of the answer
  }
  const status = answer.statusCode ?? 502;
  if (status === 401) throw problem.daemonUnauthorized();
  const headers: Record<string, string> = { ...PLAIN_HEADERS, ...vary };
  for (const name of ["content-type", "retry-after", "allow"]) {
    const value = answer.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return { status, headers, body: null };
  if (options.exposePaths) return { status, headers, body: text };
  try {
    return { status, headers, body: JSON.stringify(redact(JSON.parse(text))) };
  } catch {
    throw problem.daemonUnreachable(); // the answer is not from hfdmd
  }
}
