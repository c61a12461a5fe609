import { keyOf, type Item } from "./item.js";

/** How long an answer to one's own request is trusted over a list that does not name it yet. */
const FRESH_MS = 5000;
/** The daemon's stream names what ended within 24 hours; an hour is left for clocks that differ. */
const NAMED_MS = 23 * 3600 * 1000;

/** What the routes say of a folder. This page knows which it means where it named it itself. */
const HIDDEN = "…";

/** What is known of the daemon's downloads: the newest version of each. No I/O. */
export class Ledger {
  readonly #items = new Map<string, Item>();
  readonly #ids = new Map<string, string>();
  readonly #answered = new Map<string, number>();
  /** Something left the queue, so that the others stand elsewhere now; the daemon does not tell each of them. */
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

  /** A stream opens: what it names until `ready` is what there is. */
  begin(): void {
    this.#named = new Set();
  }

  /**
   * From the stream. Only a higher version counts, but the first word of a new stream always does, unless an answer
   * that came meanwhile is newer. Returns whether anything changed.
   */
  hear(item: Item): boolean {
    const first = this.#named !== null && !this.#named.has(item.id) && !this.#isFresh(item.id);
    this.#named?.add(item.id);
    return first ? this.#put(item) : this.merge(item);
  }

  /** An answer to a request of one's own. */
  answer(item: Item): boolean {
    this.#answered.set(item.id, Date.now());
    return this.merge(item);
  }

  /** A version from elsewhere (a list, another tab): the newest wins, and a folder that it names is known from then on. */
  merge(item: Item): boolean {
    const known = this.#items.get(item.id);
    const { localDir } = item;
    if (!known || known.version < item.version) return this.#put(item);
    return localDir !== known.localDir && localDir !== HIDDEN && this.#put({ ...known, localDir });
  }

  /** A version from a list: the same one counts too, since a place in the queue changes without a new version. */
  place(item: Item): void {
    if (item.version >= (this.#items.get(item.id)?.version ?? 0)) this.#put(item);
  }

  /** The stream has named everything there is: what it left out no longer exists. */
  ready(now = Date.now()): void {
    const named = this.#named ?? new Set();
    this.#named = null;
    for (const item of this.#items.values()) {
      const ended = item.status === "done" || item.status === "cancelled";
      const tooOld = ended && Date.parse(item.updatedAt) < now - NAMED_MS;
      if (!named.has(item.id) && !tooOld && !this.#isFresh(item.id)) this.remove(item.id);
    }
  }

  /** Another tab's whole state takes the place of this one's. */
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
