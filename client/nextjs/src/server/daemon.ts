import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";

import { places, type Daemon, type Place } from "./places.js";
import { daemonUnreachable } from "./problem.js";

/** The request to the daemon; nothing else of the browser's request is forwarded. */
export interface Asked {
  method: string;
  /** Path with query. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
  signal: AbortSignal;
  /** Longest silence in milliseconds, before the answer and within it. */
  silenceMs: number;
}

const ABSENT = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "ENOTSOCK"]);

let outage = false;

/**
 * Sends a request to the first address where a daemon listens. The body of the answer has not been read yet.
 * Throws a 503 `Refusal` if there is none; the addresses tried are logged once per outage.
 */
export async function ask(daemon: Daemon, asked: Asked): Promise<IncomingMessage> {
  const tried: string[] = [];
  for await (const place of places(daemon)) {
    try {
      const answer = await askAt(place, asked);
      outage = false;
      return answer;
    } catch (error) {
      if (asked.signal.aborted) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      tried.push(`${"socket" in place ? place.socket : place.url} (${code})`);
      if (!ABSENT.has(code)) break; // a daemon may have received the request, so it is not sent to another one
    }
  }
  if (!outage) console.warn(`hfdmd-nextjs: no answer from the daemon at ${tried.join(", ")}. Is hfdmd running?`);
  outage = true;
  throw daemonUnreachable();
}

function askAt(place: Place, asked: Asked): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { ...asked.headers };
    if ("url" in place && place.token) headers.Authorization = `Bearer ${place.token}`;
    if (asked.body) headers["Content-Length"] = String(asked.body.length);
    const options: RequestOptions = {
      method: asked.method,
      path: asked.path,
      headers,
      signal: asked.signal,
      agent: false, // a kept connection would fail after a restart of the daemon
    };
    const request =
      "socket" in place
        ? httpRequest({ ...options, socketPath: place.socket })
        : (place.url.startsWith("https:") ? httpsRequest : httpRequest)(new URL(asked.path, place.url), options);
    request.once("response", resolve);
    request.on("error", reject);
    request.setTimeout(asked.silenceMs, () => request.destroy(new Error("no answer in time")));
    request.end(asked.body ?? undefined);
  });
}
