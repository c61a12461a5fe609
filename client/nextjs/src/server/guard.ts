import { isIP } from "node:net";

import type { Method } from "./routes.js";

type Header = (name: string) => string | null;

/**
 * Whether a writing request comes from another site. Browsers send `Sec-Fetch-Site`; without it (plain http on a LAN)
 * `Origin` must name the requested host. A client that sends neither is not a browser.
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
    return true; // "null" or not an origin
  }
}

/**
 * Whether `Host` names this app. Protects against DNS rebinding: another site can let its own name resolve to this server and is then
 * same-origin with this app. That is impossible with an IP address or `localhost`, and such a site has no cookies of the app's real name,
 * so only an app without a login needs this check.
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
