import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";

import { places, type Daemon, type Place } from "./places.js";
import { daemonUnreachable } from "./problem.js";

/** A request as the daemon sees it: nothing of the browser's but what stands here. */
export interface Asked {
  method: string;
  /** Path with query. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
  signal: AbortSignal;
  /** How long the daemon may stay silent, in milliseconds, before its answer and within it. */
  silenceMs: number;
}

const ABSENT = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "ENOTSOCK"]);

let outage = false;

/**
 * The daemon's answer, its body still to be read, from the first place where one listens.
 * Throws the 503 when there is none; what was tried goes to the server's log, once per outage.
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
      if (!ABSENT.has(code)) break; // something listens there: the request may have reached it
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
      agent: false, // a connection kept from before a restart of the daemon would fail the next request
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
