import type { Download, End, Removed, RepoDownload } from "../wire.js";
import type { Item } from "./item.js";
import type { Ledger } from "./ledger.js";

/** State of the event stream. `problem` is the code of the error that prevents it. */
export interface Connection {
  state: "connecting" | "live" | "reconnecting";
  problem: string | null;
}

type Message =
  | { is: "hello"; from: string }
  | { is: "state"; to: string | null; items: Item[]; connection: Connection }
  | { is: "item"; item: Item }
  | { is: "removed"; id: string }
  | { is: "connection"; connection: Connection };

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
const HIDDEN_MS = 5000;

/**
 * The event stream. One per browser, however many tabs: a browser opens at most six connections to a host, and a stream occupies one
 * permanently. The tab that holds a lock has the stream and forwards events to the others; when it closes, the lock passes to another tab.
 * Without locks (plain http beyond localhost) each tab has a stream, closed while the tab is hidden.
 */
export class Link {
  connection: Connection = { state: "connecting", problem: null };
  #source: EventSource | null = null;
  #channel: BroadcastChannel | null = null;
  #leaving: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hidden: ReturnType<typeof setTimeout> | undefined;
  #waitMs = FIRST_WAIT_MS;
  #leads = false;
  readonly #self = Math.random().toString(36).slice(2);

  readonly #base: string;
  readonly #ledger: Ledger;
  readonly #changed: () => void;

  constructor(base: string, ledger: Ledger, changed: () => void) {
    this.#base = base;
    this.#ledger = ledger;
    this.#changed = changed;
  }

  join(): void {
    if (this.#leaving) return;
    const leaving = (this.#leaving = new AbortController());
    const { signal } = leaving;
    addEventListener("online", this.#reconnectNow, { signal });
    document.addEventListener("visibilitychange", this.#onVisibility, { signal });
    if (!navigator.locks || typeof BroadcastChannel === "undefined") return this.#lead();
    const name = `hfdmd:${this.#base}`;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (event: MessageEvent<Message>) => this.#onMessage(event.data);
    this.#post({ is: "hello", from: this.#self });
    navigator.locks
      .request(name, { signal }, () => {
        if (signal.aborted) return; // left while the lock was being granted
        this.#lead();
        return new Promise<void>((release) => signal.addEventListener("abort", () => release()));
      })
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
  }

  leave(): void {
    this.#leaving?.abort();
    this.#leaving = null;
    this.#leads = false;
    clearTimeout(this.#hidden);
    this.#close();
    this.#channel?.close();
    this.#channel = null;
    this.connection = { state: "connecting", problem: null };
  }

  #lead(): void {
    this.#leads = true;
    this.#open();
  }

  #open(): void {
    this.#close();
    const source = (this.#source = new EventSource(`${this.#base}/progress`));
    const on = (event: string, then: (data: never) => void) =>
      source.addEventListener(event, (message) => {
        if (source === this.#source) then(JSON.parse((message as MessageEvent<string>).data) as never);
      });
    let ready = false;
    this.#ledger.begin();
    const receive = (item: Download | RepoDownload) => {
      if (!this.#ledger.receive(item)) return;
      if (ready) this.#post({ is: "item", item });
      this.#changed();
    };
    on("progress", receive);
    on("repo", receive);
    on("removed", ({ id }: Removed) => {
      this.#ledger.remove(id);
      this.#post({ is: "removed", id });
      this.#changed();
    });
    on("ready", () => {
      ready = true;
      this.#ledger.ready();
      this.#waitMs = FIRST_WAIT_MS;
      this.connection = { state: "live", problem: null };
      this.#postState(null);
      this.#changed();
    });
    on("end", ({ reason }: End) => this.#retry(reason === "lagging" ? 0 : null));
    // EventSource never retries after an answer other than 200, so retries are done here.
    source.onerror = () => {
      if (source !== this.#source) return;
      this.#retry(null);
      if (!ready) void this.#diagnose();
    };
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #retry(afterMs: number | null): void {
    this.#close();
    const waitMs = afterMs ?? this.#waitMs * (0.75 + Math.random() / 2);
    if (afterMs === null) this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => this.#open(), waitMs);
    this.#setConnection({ state: "reconnecting", problem: this.connection.problem });
  }

  /** Finds out why the stream did not open: EventSource does not report it. */
  async #diagnose(): Promise<void> {
    let problem: string | null = "network";
    try {
      const response = await fetch(`${this.#base}/health`);
      problem = response.ok ? null : (((await response.json()) as { code?: string }).code ?? "internal");
    } catch {
      // no answer or not JSON: reported as "network"
    }
    if (this.connection.state === "live") return;
    this.#ledger.silence();
    this.connection = { state: "reconnecting", problem };
    this.#postState(null);
    this.#changed();
  }

  #setConnection(connection: Connection): void {
    this.connection = connection;
    this.#post({ is: "connection", connection });
    this.#changed();
  }

  readonly #reconnectNow = () => {
    if (this.#leads && !this.#source) this.#open();
  };

  readonly #onVisibility = () => {
    if (document.visibilityState === "visible") {
      clearTimeout(this.#hidden);
      this.#reconnectNow();
    } else if (!this.#channel) {
      this.#hidden = setTimeout(() => this.#close(), HIDDEN_MS);
    }
  };

  #onMessage(message: Message): void {
    if (message.is === "hello") {
      if (this.#leads && this.connection.state !== "connecting") this.#postState(message.from);
      return;
    }
    if (this.#leads) return;
    if (message.is === "item") this.#ledger.merge(message.item);
    else if (message.is === "removed") this.#ledger.remove(message.id);
    else {
      if (message.is === "state") {
        if (message.to !== null && message.to !== this.#self) return;
        this.#ledger.replace(message.items);
      }
      this.connection = message.connection;
    }
    this.#changed();
  }

  #postState(to: string | null): void {
    this.#post({ is: "state", to, items: this.#ledger.all(), connection: this.connection });
  }

  #post(message: Message): void {
    this.#channel?.postMessage(message);
  }
}
