import type { Affected, Downloads, Problem, Selector } from "../wire.js";
import { RequestError } from "../request-error.js";
import { keyOf, requestFor, type Item, type Target } from "./item.js";
import { Ledger } from "./ledger.js";
import { Link, type Connection } from "./link.js";

/** Default path of the app's routes. */
export const DEFAULT_BASE_PATH = "/api/hfdmd";

/** A request of this page that has not been answered yet, or has failed. */
export interface Pending {
  action: Action;
  error: RequestError | null;
}

export type Action = "download" | "pause" | "resume" | "cancel" | "retry" | "delete" | "reorder";

/** The whole state; the same object until something changes. */
export interface Snapshot {
  items: readonly Item[];
  connection: Connection;
  /** Whether the list is complete. */
  ready: boolean;
}

export const EMPTY: Snapshot = { items: [], connection: { state: "connecting", problem: null }, ready: false };

const LOOKUP_PAGES = 5;
const POSITIONS_MS = 300;
/** Used when the request fails: the state of the stream shows that the daemon is away. */
const NONE: Downloads = { downloads: [], repos: [] };

/**
 * The state of all downloads in this page, one store per base path. `subscribe` and `getSnapshot` fit React's `useSyncExternalStore`
 * and other state libraries.
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
  #positionsTimer: ReturnType<typeof setTimeout> | undefined;
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
      // Deferred, so that a component that mounts again at once keeps the stream.
      queueMicrotask(() => this.#listeners.size === 0 && this.#stop());
    };
  };

  /** Fills an unused store with what the server has rendered, until the stream says more. Does nothing later. */
  seed(items: readonly Item[]): void {
    if (this.#snapshot !== EMPTY) return;
    for (const item of items) this.#ledger.merge(item);
    this.#snapshot = { ...EMPTY, items: this.#ledger.all() };
  }

  readonly getSnapshot = (): Snapshot => this.#snapshot;

  /** The item for a key made by `keyOf`. */
  find(key: string): Item | undefined {
    return this.#ledger.find(key);
  }

  get(id: string): Item | undefined {
    return this.#ledger.get(id);
  }

  /** The request for this key that has not been answered yet, or has failed. */
  pendingOf(key: string): Pending | undefined {
    return this.#pending.get(key);
  }

  /** Whether a lookup (see `lookupOf`) has been answered: then an unknown key means that it was never requested. */
  isKnown(lookup: string): boolean {
    return this.#lookups.get(lookup) === true;
  }

  /** Sends a lookup (see `lookupOf`), once. */
  ensureLookup(lookup: string): void {
    if (this.#lookups.has(lookup)) return;
    this.#lookups.set(lookup, false);
    if (this.#ready) void this.#lookUp(lookup);
  }

  /** Requests a target. The answer is its current state; it never waits for the Hub. */
  download(target: Target, more: { retry?: boolean; update?: boolean; priority?: number } = {}): Promise<Item> {
    return this.#attempt(keyOf(target), "download", async () => {
      const item = await this.send<Item>("POST", "download", { ...requestFor(target), ...more });
      this.#ledger.answer({ ...item, localDir: target.localDir ?? null });
      return item;
    });
  }

  /** Pauses, resumes, cancels or retries the selected downloads; resolves when that has taken effect. */
  act(action: "pause" | "resume" | "cancel" | "retry", selector: Selector): Promise<Affected> {
    return this.change(action, selector, "POST", action, selector);
  }

  /** Sends an action for the selected downloads; they are shown as pending until it is answered. */
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

  /** Sends one request to the app's routes. Throws a `RequestError` for an answer that is not a success. */
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
      // an error page of a proxy in between: only the status is used
    }
    throw new RequestError(problem.code ?? "internal", response.status, problem.detail ?? `HTTP ${response.status}`);
  }

  #start(): void {
    const { signal } = (this.#watching = new AbortController());
    const on = (type: string, run: () => void) => addEventListener(type, run, { capture: true, signal });
    // A page in the back/forward cache, or frozen, must release the stream and the lock that other tabs wait for.
    for (const type of ["pagehide", "freeze"]) on(type, () => this.#link.leave());
    for (const type of ["pageshow", "resume"]) on(type, () => this.#link.join());
    this.#link.join();
  }

  #stop(): void {
    this.#watching?.abort();
    this.#link.leave();
    this.#ready = false;
  }

  /** Notifies React at the next frame, once for all events until then; also by a timer, because hidden tabs have no frames. */
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
    if (this.#ledger.moved && this.#ready && !this.#positionsTimer && document.visibilityState === "visible") {
      this.#positionsTimer = setTimeout(() => void this.#refreshPositions(), POSITIONS_MS);
    }
  };

  /** Refreshes the positions of queued downloads. */
  async #refreshPositions(): Promise<void> {
    this.#ledger.moved = false;
    if (this.#snapshot.items.some(({ status }) => status === "queued")) {
      const list = await this.send<Downloads>("GET", "progress?status=queued&limit=100").catch(() => NONE);
      for (const item of [...list.downloads, ...list.repos]) this.#ledger.setPosition(item);
    }
    this.#positionsTimer = undefined;
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
      // Then the button offers a finished download again; requesting it again is answered with "done".
    }
    this.#lookups.set(lookup, true);
    this.#schedule();
  }
}

/**
 * The query for items that the stream leaves out: downloads of a repo that ended long ago; for a folder all its downloads, because the
 * stream does not contain folder names.
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

/** The store of a base path; always the same object. */
export function getStore(base: string = DEFAULT_BASE_PATH): Store {
  let store = stores.get(base);
  if (!store) stores.set(base, (store = new Store(base)));
  return store;
}
