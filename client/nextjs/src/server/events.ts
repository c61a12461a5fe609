import { StringDecoder } from "node:string_decoder";

import { isRepo, type Item } from "../browser/item.js";
import type { Removed } from "../wire.js";
import { ask } from "./daemon.js";
import type { Daemon } from "./places.js";
import { isStopping, track } from "./streams.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
const SILENCE_MS = 45_000;

/**
 * Calls `listener` once for each download that completes from now on: a file that was asked for singly, or a whole repo; not for the single
 * files of a repo download. Also for what completed while the connection to the daemon was lost. Its place is `instrumentation.ts`.
 * Reconnects by itself. Returns a function that ends it. An error that `listener` throws is logged.
 */
export function onDownloadComplete(listener: (item: Item) => unknown, daemon: Daemon = {}): () => void {
  const left = new AbortController();
  const completed = new Completions();
  void listen();
  return () => left.abort();

  async function listen(): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    while (!left.signal.aborted && !isStopping()) {
      try {
        for await (const [event, data] of events(daemon, left.signal)) {
          if (event === "ready") waitMs = FIRST_WAIT_MS;
          const item = completed.next(event, data);
          if (item) void call(item);
        }
      } catch {
        // the daemon is away: the next try finds it again (`ask` has logged where it was looked for)
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  async function call(item: Item): Promise<void> {
    try {
      await listener(item);
    } catch (error) {
      console.error(`hfdmd-nextjs: onDownloadComplete failed for ${item.modelRepo}:`, error);
    }
  }
}

/** Finds the completions in a sequence of events of one or more streams. No I/O. */
export class Completions {
  readonly #known = new Map<string, boolean>();
  /** What was done before the first stream began is no news. */
  #isNews = false;

  /** The item that this event completes. */
  next(event: string, data: unknown): Item | undefined {
    if (event === "ready") this.#isNews = true;
    if (event === "removed") this.#known.delete((data as Removed).id);
    if (event !== "progress" && event !== "repo") return undefined;
    const item = data as Item;
    const wasDone = this.#known.get(item.id) ?? !this.#isNews;
    const isDone = item.status === "done";
    this.#known.set(item.id, isDone);
    return isDone && !wasDone && (isRepo(item) || item.repoIds.length === 0) ? item : undefined;
  }
}

/** The daemon's stream of everything, until it ends. */
async function* events(daemon: Daemon, signal: AbortSignal): AsyncGenerator<[event: string, data: unknown]> {
  const stream = await ask(daemon, {
    method: "GET",
    path: "/api/progress",
    headers: { Accept: "text/event-stream" },
    body: null,
    signal,
    silenceMs: SILENCE_MS,
  });
  track(stream);
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const blocks = (rest + decoder.write(chunk as Buffer)).split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const name = /^event: ?(.*)$/m.exec(block)?.[1];
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (name !== undefined && data !== undefined) yield [name, JSON.parse(data) as unknown];
    }
  }
}
