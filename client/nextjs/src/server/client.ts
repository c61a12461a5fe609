import { reorder, remove, repoFiles } from "../browser/calls.js";
import { keyOf, requestFor, type Item, type Target } from "../browser/item.js";
import { RequestError } from "../request-error.js";
import type { Affected, Download, Downloads, Info, RepoDownload, RepoFiles, Selector, Status } from "../wire.js";
import { ask } from "./daemon.js";
import type { Daemon } from "./places.js";
import { Refusal } from "./problem.js";
import { redact } from "./redact.js";

/** A daemon that does not answer for this long counts as gone. A pause is answered when it is true, which may take seconds. */
const SILENCE_MS = 60_000;
/** A first paint waits less. */
const SNAPSHOT_MS = 3_000;

type Which = { modelRepo?: string; status?: Status };

/**
 * A client of the daemon for code on the server: Server Components, Server Actions, scripts. There is no `authorize` here: check the user
 * before a call. Each method throws a `RequestError`; `daemon_unreachable` when no daemon answers.
 */
export class Hfdmd {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon = {}) {
    this.#daemon = daemon;
  }

  /** Asks for a file or a repo; idempotent. Answers with its present state and never waits for the Hub. */
  download(target: Target, more: { retry?: boolean; update?: boolean; priority?: number } = {}): Promise<Item> {
    return this.send("POST", "download", { ...requestFor(target), ...more });
  }

  /** The download of a target; undefined if it was never asked for. */
  async find(target: Target): Promise<Item | undefined> {
    const { downloads, repos } = await this.list({ modelRepo: target.modelRepo });
    const key = keyOf(target);
    return [...downloads, ...repos].find((item) => keyOf(item) === key);
  }

  /** All downloads, or those of a repo or with a status. */
  list(which: Which = {}): Promise<Downloads> {
    return this.#list(which, SILENCE_MS);
  }

  /**
   * What a browser may see of `list`, for `<HfdmdProvider initial>`: without folders of the server, unless `exposePaths`. Undefined when no
   * daemon answers within 3 s; the page is then shown without it.
   */
  async snapshot(which: Which & { exposePaths?: boolean } = {}): Promise<Downloads | undefined> {
    const { exposePaths = false, ...query } = which;
    try {
      const list = await this.#list(query, SNAPSHOT_MS);
      return exposePaths ? list : (redact(list) as Downloads);
    } catch (error) {
      if (error instanceof RequestError && error.code === "daemon_unreachable") return undefined;
      throw error;
    }
  }

  pause = (selector: Selector) => this.send<Affected>("POST", "pause", selector);
  resume = (selector: Selector) => this.send<Affected>("POST", "resume", selector);
  cancel = (selector: Selector) => this.send<Affected>("POST", "cancel", selector);
  retry = (selector: Selector) => this.send<Affected>("POST", "retry", selector);
  reorder = (selector: Selector, to: { priority: number } | { position: number }) => reorder(this, selector, to);

  /** Removes downloads from the list, after cancelling them; with `deleteFile` also their files. */
  remove = (selector: Selector, deleteFile = false) => remove(this, selector, deleteFile);

  /** All files of a repo on the Hub. */
  files(of: Pick<Target, "modelRepo" | "revision" | "repoType">): Promise<RepoFiles> {
    return repoFiles(this, of);
  }

  info(): Promise<Info> {
    return this.send("GET", "info");
  }

  change(_action: string, _selector: Selector, method: string, path: string, body?: unknown): Promise<Affected> {
    return this.send(method, path, body);
  }

  /** Sends one request to the daemon's API (docs/api.md); `path` without `/api/`. */
  async send<T>(
    method: string,
    path: string,
    body?: unknown,
    signal: AbortSignal = new AbortController().signal,
    silenceMs: number = SILENCE_MS,
  ): Promise<T> {
    const sent = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string> = { Accept: "application/json" };
    if (sent) headers["Content-Type"] = "application/json";
    try {
      const answer = await ask(this.#daemon, { method, path: `/api/${path}`, headers, body: sent, signal, silenceMs });
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      const status = answer.statusCode ?? 502;
      const content = JSON.parse(Buffer.concat(chunks).toString("utf8")) as T & { code?: string; detail?: string };
      if (status < 400) return content;
      throw new RequestError(content.code ?? "internal", status, content.detail ?? `HTTP ${status}`);
    } catch (error) {
      if (error instanceof RequestError || signal.aborted) throw error;
      if (error instanceof Refusal) throw new RequestError(error.code, error.status, error.message);
      throw new RequestError("daemon_unreachable", 503, `The answer of the daemon broke off: ${String(error)}`);
    }
  }

  async #list(which: Which, silenceMs: number): Promise<Downloads> {
    const search = new URLSearchParams(which);
    const downloads: Download[] = [];
    const repos: RepoDownload[] = [];
    for (let cursor: string | null | undefined = ""; cursor !== null;) {
      if (cursor) search.set("cursor", cursor);
      const page: Downloads = await this.send("GET", `progress?${search}`, undefined, undefined, silenceMs);
      downloads.push(...page.downloads);
      repos.push(...page.repos);
      cursor = page.nextCursor ?? null;
    }
    return { downloads, repos, nextCursor: null };
  }
}
