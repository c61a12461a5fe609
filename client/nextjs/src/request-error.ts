/** An error of the routes or the daemon; `code` is stable, the message is for people. */
export class RequestError extends Error {
  constructor(
    readonly code: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}
