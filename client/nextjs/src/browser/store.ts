import type { Affected, Downloads, Problem, Selector } from "../wire.js";
import { keyOf, requestFor, type Item, type Target } from "./item.js";
import { Ledger } from "./ledger.js";
import { Link, type Connection } from "./link.js";

/** Where the app's routes are, unless told otherwise. */
export const DEFAULT_BASE_PATH = "/api/hfdmd";

/** A request that the routes or the daemon refused; `code` is stable, the message is a sentence for a person. */
export class RequestError extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

/** What this page itself asked for and has no answer to yet, or was refused. */
export interface Pending {
  action: Action;
  error: RequestError | null;
}

export type Action = "download" | "pause" | "resume" | "cancel" | "retry" | "delete" | "reorder";

/** The state of everything; the same object until something changes. */
export interface Snapshot {
  items: readonly Item[];
  connection: Connection;
  /** Whether the list is complete: the stream has named everything. */
  ready: boolean;
}

export const EMPTY: Snapshot = { items: [], connection: { state: "connecting", problem: null }, ready: false };

const LOOKUP_PAGES = 5;
const PLACES_MS = 300;
/** When the daemon is away, its stream tells all that there is to tell. */
const NONE: Downloads = { downloads: [], repos: [] };

/**
 * The page's view of the daemon: one per base path. `subscribe` and `getSnapshot` are what React's `useSyncExternalStore` takes,
 * and what feeds any other cache.
 */
export class Store {
  readonly #ledger = new Ledger();
  readonly #link: Link;
  readonly #listeners = new Set<() => void>();
  readonly #pending = new Map<string, Pending>();
  readonly #lookups = new Map<string, boolean>();
  #snapshot: Snapshot = EMPTY;
  #ready = false;
  #watching: AbortController | undefined;
  #places: ReturnType<typeof setTimeout> | undefined;
  #frame: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly base: string) {
    this.#link = new Link(base, this.#ledger, () => this.#schedule());
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      this.#listeners.delete(listener);
      // A component that mounts again in the same moment keeps the stream.
      queueMicrotask(() => this.#listeners.size === 0 && this.#stop());
    };
  };

  readonly getSnapshot = (): Snapshot => this.#snapshot;

  /** What is known under a `keyOf` a target. */
  find(key: string): Item | undefined {
    return this.#ledger.find(key);
  }

  get(id: string): Item | undefined {
    return this.#ledger.get(id);
  }

  /** What this page asked for this target and is not answered, or was refused. */
  pendingOf(key: string): Pending | undefined {
    return this.#pending.get(key);
  }

  /** Whether a `lookupOf` has been answered: then "not found" means "never asked for". */
  isKnown(lookup: string): boolean {
    return this.#lookups.get(lookup) === true;
  }

  /** Asks for a `lookupOf`, once. */
  look(lookup: string): void {
    if (this.#lookups.has(lookup)) return;
    this.#lookups.set(lookup, false);
    if (this.#ready) void this.#lookUp(lookup);
  }

  /** Asks for a target. The answer says whether it is new, under way or done already; it never waits for the Hub. */
  download(target: Target, more: { retry?: boolean; update?: boolean; priority?: number } = {}): Promise<Item> {
    return this.#attempt(keyOf(target), "download", async () => {
      const item = await this.send<Item>("POST", "download", { ...requestFor(target), ...more });
      this.#ledger.answer({ ...item, localDir: target.localDir ?? null });
      return item;
    });
  }

  /** Pauses, resumes, cancels or retries what the selector names; answered when it is so. */
  act(action: "pause" | "resume" | "cancel" | "retry", selector: Selector): Promise<Affected> {
    return this.change(action, selector, "POST", action, selector);
  }

  /** A change of what the selector names, shown as pending until it is answered. */
  change(action: Action, selector: Selector, method: string, path: string, body?: unknown): Promise<Affected> {
    const item = selector.id === undefined ? undefined : this.get(selector.id);
    return this.#attempt(item ? keyOf(item) : JSON.stringify(selector), action, async () => {
      const affected = await this.send<Affected>(method, path, body);
      for (const one of [...affected.downloads, ...affected.repos]) {
        if (action === "delete") this.#ledger.remove(one.id);
        else this.#ledger.answer(one);
      }
      this.#ledger.moved ||= action === "reorder";
      return affected;
    });
  }

  /** One request to the app's routes. Throws a `RequestError` when it is refused. */
  async send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    const response = await fetch(`${this.base}/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (response.ok) return (await response.json()) as T;
    let problem: Partial<Problem> = {};
    try {
      problem = (await response.json()) as Problem;
    } catch {
      // a proxy's own error page: the status says what there is to say
    }
    throw new RequestError(problem.code ?? "internal", response.status, problem.detail ?? `HTTP ${response.status}`);
  }

  #start(): void {
    const { signal } = (this.#watching = new AbortController());
    const on = (type: string, run: () => void) => addEventListener(type, run, { capture: true, signal });
    // A page kept for the back button, or frozen, must keep neither the stream nor the lock that others wait for.
    for (const type of ["pagehide", "freeze"]) on(type, () => this.#link.leave());
    for (const type of ["pageshow", "resume"]) on(type, () => this.#link.join());
    this.#link.join();
  }

  #stop(): void {
    this.#watching?.abort();
    this.#link.leave();
    this.#ready = false;
  }

  /** Tells React at the next frame, however much is heard until then; by a timer too, since frames sleep in hidden tabs. */
  #schedule(): void {
    if (this.#link.connection.state === "live" && !this.#ready) {
      this.#ready = true;
      for (const [lookup, known] of this.#lookups) if (!known) void this.#lookUp(lookup);
    }
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(this.#flush, 250);
    this.#frame = requestAnimationFrame(this.#flush);
  }

  readonly #flush = () => {
    clearTimeout(this.#timer);
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#timer = this.#frame = undefined;
    this.#snapshot = { items: this.#ledger.all(), connection: this.#link.connection, ready: this.#ready };
    for (const listener of this.#listeners) listener();
    if (this.#ledger.moved && this.#ready && !this.#places && document.visibilityState === "visible") {
      this.#places = setTimeout(() => void this.#askPlaces(), PLACES_MS);
    }
  };

  /** Where those that still wait stand now. */
  async #askPlaces(): Promise<void> {
    this.#ledger.moved = false;
    if (this.#snapshot.items.some(({ status }) => status === "queued")) {
      const { downloads } = await this.send<Downloads>("GET", "progress?status=queued&limit=100").catch(() => NONE);
      for (const item of downloads) this.#ledger.place(item);
    }
    this.#places = undefined;
    this.#schedule();
  }

  async #attempt<T>(key: string, action: Action, send: () => Promise<T>): Promise<T> {
    this.#pending.set(key, { action, error: null });
    this.#flush();
    try {
      const answer = await send();
      this.#pending.delete(key);
      return answer;
    } catch (error) {
      this.#pending.set(key, { action, error: asRequestError(error) });
      throw error;
    } finally {
      this.#flush();
    }
  }

  async #lookUp(lookup: string): Promise<void> {
    const search = new URLSearchParams(lookup);
    const localDir = search.get("localDir");
    try {
      for (let page = 0; page < LOOKUP_PAGES; page += 1) {
        const list = await this.send<Downloads>("GET", `progress?${search}`);
        for (const item of [...list.downloads, ...list.repos])
          this.#ledger.merge(localDir ? { ...item, localDir } : item);
        if (!list.nextCursor) break;
        search.set("cursor", list.nextCursor);
      }
    } catch {
      // A button that is not told of a finished download offers it again; asking again is answered "done".
    }
    this.#lookups.set(lookup, true);
    this.#schedule();
  }
}

/**
 * The query for what the stream leaves out of a repo: what is done, since it does not name what ended long ago; of a folder, what
 * is in it, since it does not name folders.
 */
export function lookupOf({ modelRepo, localDir }: Target): string {
  return `${new URLSearchParams(localDir ? { modelRepo, localDir } : { modelRepo, status: "done" })}`;
}

function asRequestError(error: unknown): RequestError {
  return error instanceof RequestError
    ? error
    : new RequestError("network", 0, error instanceof Error ? error.message : String(error));
}

const stores = new Map<string, Store>();

/** The store of a base path; the same one for everybody who asks. */
export function getStore(base: string = DEFAULT_BASE_PATH): Store {
  let store = stores.get(base);
  if (!store) stores.set(base, (store = new Store(base)));
  return store;
}
