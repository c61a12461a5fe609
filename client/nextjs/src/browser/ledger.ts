import { keyOf, type Item } from "./item.js";

/** How long an answer to a request of this page takes precedence over a list that does not contain it yet. */
const FRESH_MS = 5000;
/** The daemon's stream contains downloads that ended within 24 hours; one hour less, because clocks differ. */
const NAMED_MS = 23 * 3600 * 1000;

/** Placeholder of the routes for a folder. The page knows the folder if it has named it itself. */
const HIDDEN = "…";

/** The newest known version of each download. No I/O. */
export class Ledger {
  readonly #items = new Map<string, Item>();
  readonly #ids = new Map<string, string>();
  readonly #answered = new Map<string, number>();
  /** A download left the queue, so positions of others have changed; the daemon sends no event for these. */
  moved = false;
  #named: Set<string> | null = null;

  get(id: string): Item | undefined {
    return this.#items.get(id);
  }

  find(key: string): Item | undefined {
    const id = this.#ids.get(key);
    return id === undefined ? undefined : this.#items.get(id);
  }

  all(): Item[] {
    return [...this.#items.values()];
  }

  /** A stream has opened: the items it sends until `ready` are the complete list. */
  begin(): void {
    this.#named = new Set();
  }

  /**
   * Adds an item from the stream. Only a higher version counts; the first event of an item in a new stream always counts, unless an
   * answer in the meantime was newer. Returns whether anything changed.
   */
  receive(item: Item): boolean {
    const first = this.#named !== null && !this.#named.has(item.id) && !this.#isFresh(item.id);
    this.#named?.add(item.id);
    return first ? this.#put(item) : this.merge(item);
  }

  /** Adds an item from an answer to a request of this page. */
  answer(item: Item): boolean {
    this.#answered.set(item.id, Date.now());
    return this.merge(item);
  }

  /** Adds an item from a list or another tab: the newest version wins, and a folder in it is remembered. */
  merge(item: Item): boolean {
    const known = this.#items.get(item.id);
    const { localDir } = item;
    if (!known || known.version < item.version) return this.#put(item);
    return localDir !== known.localDir && localDir !== HIDDEN && this.#put({ ...known, localDir });
  }

  /** Adds an item from a list with queue positions, which change without a new version: an equal version counts too. */
  setPosition(item: Item): void {
    if (item.version >= (this.#items.get(item.id)?.version ?? 0)) this.#put(item);
  }

  /** The stream has sent the complete list: items that it left out no longer exist. */
  ready(now = Date.now()): void {
    const named = this.#named ?? new Set();
    this.#named = null;
    for (const item of this.#items.values()) {
      const ended = item.status === "done" || item.status === "cancelled";
      const tooOld = ended && Date.parse(item.updatedAt) < now - NAMED_MS;
      if (!named.has(item.id) && !tooOld && !this.#isFresh(item.id)) this.remove(item.id);
    }
  }

  /** The stream is away: speeds and times left are unknown. The next stream's first event of each item counts again. */
  silence(): void {
    for (const item of this.#items.values())
      this.#items.set(item.id, { ...item, bytesPerSecond: null, etaSeconds: null });
  }

  /** Replaces the state by that of another tab. */
  replace(items: readonly Item[]): void {
    const named = new Set(items.map((item) => item.id));
    for (const id of this.#items.keys()) if (!named.has(id) && !this.#isFresh(id)) this.remove(id);
    for (const item of items)
      if (this.#isFresh(item.id)) this.merge(item);
      else this.#put(item);
  }

  remove(id: string): boolean {
    const item = this.#items.get(id);
    if (!item) return false;
    this.moved ||= item.status === "queued";
    this.#items.delete(id);
    this.#answered.delete(id);
    if (this.#ids.get(keyOf(item)) === id) this.#ids.delete(keyOf(item));
    return true;
  }

  #put(item: Item): boolean {
    const known = this.#items.get(item.id);
    if (known && item.localDir === HIDDEN) item = { ...item, localDir: known.localDir };
    this.moved ||= known?.status === "queued" && item.status !== "queued";
    this.#items.set(item.id, item);
    this.#ids.set(keyOf(item), item.id);
    return true;
  }

  #isFresh(id: string): boolean {
    const at = this.#answered.get(id);
    return at !== undefined && Date.now() - at < FRESH_MS;
  }
}
