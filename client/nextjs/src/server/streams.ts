import type { IncomingMessage } from "node:http";

interface Shared {
  open: Set<IncomingMessage>;
  stopping: boolean;
}

// One per process, although a development server evaluates this module again at every change.
const KEY = Symbol.for("hfdmd-nextjs.streams");
const holder = globalThis as { [KEY]?: Shared };

/**
 * Registers an open stream from the daemon, to close it at shutdown: `next start` waits for open responses after SIGTERM, and a stream
 * would never end.
 */
export function track(stream: IncomingMessage): void {
  const shared = (holder[KEY] ??= create());
  shared.open.add(stream);
  stream.once("close", () => shared.open.delete(stream));
  if (shared.stopping) stream.destroy();
}

/** Whether the process is shutting down. Requests are then refused and their connections closed, so that browsers do not keep it running. */
export const isStopping = () => holder[KEY]?.stopping ?? false;

function create(): Shared {
  const shared: Shared = { open: new Set(), stopping: false };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      shared.stopping = true;
      for (const stream of shared.open) stream.destroy();
      // A listener disables the signal's default action: restore it if there is no other listener.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
  return shared;
}
