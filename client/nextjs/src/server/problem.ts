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

export const malformed = (detail: string) => new Refusal(400, "malformed", "The request cannot be read", detail);
export const unauthorized = () =>
  new Refusal(401, "unauthorized", "Not allowed", "This app does not let you do this; you may have to log in.");
export const forbiddenOrigin = () =>
  new Refusal(403, "forbidden_origin", "Requests from this web origin are refused", "Another site asked for this.");
export const forbiddenHost = () =>
  new Refusal(
    403,
    "forbidden_host",
    "The Host header is not one of this app's names",
    "Add this name to allowedHosts.",
  );
export const forbiddenPath = (detail: string) =>
  new Refusal(403, "forbidden_path", "Not allowed from a browser", detail);
export const notFound = () => new Refusal(404, "not_found", "No such path", "There is nothing here.");
export const methodNotAllowed = (allow: string[]) =>
  new Refusal(405, "method_not_allowed", "This path does not know that method", `It knows ${allow.join(", ")}.`, {
    Allow: allow.join(", "),
  });
export const tooLarge = (limitBytes: number) =>
  new Refusal(413, "too_large", "The request is too large", `A request may have ${limitBytes} bytes.`);
export const unsupportedMediaType = () =>
  new Refusal(415, "unsupported_media_type", "The body must be application/json", "Send application/json.");

/** The daemon refused *this app*: not a 401, lest the browser think that its user is logged out. */
export const daemonUnauthorized = () =>
  new Refusal(502, "daemon_unauthorized", "The daemon refused this app", "HFDMD_TOKEN is missing or wrong.");
export const stopping = () =>
  new Refusal(503, "daemon_unreachable", "This app is about to end", "This app is about to end.", {
    "Retry-After": "2",
    Connection: "close",
  });
export const daemonUnreachable = () =>
  new Refusal(
    503,
    "daemon_unreachable",
    "The download daemon does not answer",
    "The download daemon does not answer.",
    {
      "Retry-After": "2",
    },
  );
