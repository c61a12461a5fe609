import type { IncomingMessage } from "node:http";

interface Shared {
  open: Set<IncomingMessage>;
  stopping: boolean;
}

// One per process, though a development server evaluates this module again at every change.
const KEY = Symbol.for("hfdmd-nextjs.streams");
const holder = globalThis as { [KEY]?: Shared };

/**
 * Remembers an open stream from the daemon, so that it does not hold up the end of the process: `next start` waits for open responses
 * when it is told to stop, and a stream would keep it waiting for ever.
 */
export function track(stream: IncomingMessage): void {
  const shared = (holder[KEY] ??= create());
  shared.open.add(stream);
  stream.once("close", () => shared.open.delete(stream));
  if (shared.stopping) stream.destroy();
}

/** Whether the process was told to end: what is asked now is refused and its connection closed, so that no browser keeps it alive. */
export const isStopping = () => holder[KEY]?.stopping ?? false;

function create(): Shared {
  const shared: Shared = { open: new Set(), stopping: false };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      shared.stopping = true;
      for (const stream of shared.open) stream.destroy();
      // A listener takes away the signal's own effect: give it back when nobody else handles it.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
  return shared;
}
