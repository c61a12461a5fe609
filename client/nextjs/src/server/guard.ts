import { isIP } from "node:net";

import type { Method } from "./routes.js";

type Header = (name: string) => string | null;

/**
 * Whether a writing request comes from the app's own pages. Browsers say so in `Sec-Fetch-Site`; where they do not
 * (plain http on a LAN), `Origin` must name the host that was asked. A program that sends neither is no browser.
 */
export function isCrossSite(method: Method, header: Header): boolean {
  if (method === "GET") return false;
  const site = header("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = header("origin");
  if (origin === null) return false;
  try {
    const host = new URL(origin).host;
    // A page of another site cannot set X-Forwarded-Host without a preflight, which is never granted.
    return host !== header("host")?.toLowerCase() && host !== header("x-forwarded-host")?.toLowerCase();
  } catch {
    return true; // "null" and whatever else is no origin
  }
}

/**
 * Whether `Host` names this app. Against DNS rebinding: a page of another site can make its own name point here, so that it is
 * same-origin with this app. It cannot do so with an IP address or with `localhost`, and it has no cookies of the app's real name,
 * so that only an app that asks for no login needs this check.
 */
export function isKnownHost(host: string | null, allowed: readonly string[]): boolean {
  if (!host) return false;
  const name = host.toLowerCase();
  const bare = name.replace(/:\d*$/, "");
  return (
    allowed.some((known) => known.toLowerCase() === name || known.toLowerCase() === bare) ||
    bare === "localhost" ||
    isIP(bare.replace(/^\[(.*)\]$/, "$1")) !== 0
  );
}
