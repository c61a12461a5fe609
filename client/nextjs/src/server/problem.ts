/** An answer that is not a success, sent as `application/problem+json` (RFC 9457) with the daemon's codes. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    detail: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(detail);
  }

  get body(): string {
    return JSON.stringify({
      type: `urn:hfdmd:${this.code}`,
      title: this.title,
      status: this.status,
      detail: this.message,
      code: this.code,
      field: null,
    });
  }
}

export const malformed = (detail: string) => new Refusal(400, "malformed", "Malformed request", detail);
export const unauthorized = () =>
  new Refusal(401, "unauthorized", "Unauthorized", "You are not allowed to do this; you may have to sign in.");
export const forbiddenOrigin = () =>
  new Refusal(403, "forbidden_origin", "Web origin not allowed", "The request was sent by a page of another site.");
export const forbiddenHost = () =>
  new Refusal(
    403,
    "forbidden_host",
    "Host not allowed",
    "The Host header does not name this app; add the name to allowedHosts.",
  );
export const forbiddenPath = (detail: string) => new Refusal(403, "forbidden_path", "Folder not allowed", detail);
export const notFound = () => new Refusal(404, "not_found", "Not found", "No call has this path.");
export const methodNotAllowed = (allow: string[]) =>
  new Refusal(405, "method_not_allowed", "Method not allowed", `Allowed: ${allow.join(", ")}.`, {
    Allow: allow.join(", "),
  });
export const tooLarge = (limitBytes: number) =>
  new Refusal(413, "too_large", "Request too large", `The limit is ${limitBytes} bytes.`);
export const unsupportedMediaType = () =>
  new Refusal(415, "unsupported_media_type", "Unsupported media type", "The body must be application/json.");

/** The daemon rejected *this app*. Not a 401, which a browser would take for the end of its user's session. */
export const daemonUnauthorized = () =>
  new Refusal(502, "daemon_unauthorized", "The daemon rejected this app", "HFDMD_TOKEN is missing or wrong.");
export const stopping = () =>
  new Refusal(503, "daemon_unreachable", "Shutting down", "The app is shutting down.", {
    "Retry-After": "2",
    Connection: "close",
  });
export const daemonUnreachable = () =>
  new Refusal(503, "daemon_unreachable", "Daemon unreachable", "The download daemon does not answer.", {
    "Retry-After": "2",
  });
