/** A page without a server: a fake EventSource and a fake fetch with prepared answers. */
import { act, cleanup, render } from "@testing-library/react";
import type { ReactElement } from "react";
import { vi } from "vitest";

import type { Download, RepoDownload } from "../../src/index.js";

export class FakeEventSource extends EventTarget {
  static all: FakeEventSource[] = [];
  onerror: (() => void) | null = null;
  closed = false;

  constructor(readonly url: string) {
    super();
    FakeEventSource.all.push(this);
  }

  close(): void {
    this.closed = true;
  }

  static get open(): FakeEventSource[] {
    return FakeEventSource.all.filter((source) => !source.closed);
  }
}

type Answer = { status?: number; body: unknown };
type Asked = { method: string; path: string; body: unknown };

export const asked: Asked[] = [];
let answers: (asked: Asked) => Answer | Promise<Answer>;

export const EMPTY_LIST = { downloads: [], repos: [], nextCursor: null };

/** Sets up the page; each test has its own store by its own base path. */
export function setUp(): void {
  vi.useFakeTimers();
  FakeEventSource.all = [];
  asked.length = 0;
  answers = () => ({ body: EMPTY_LIST });
  vi.stubGlobal("EventSource", FakeEventSource);
  vi.stubGlobal("BroadcastChannel", undefined);
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  vi.stubGlobal("fetch", async (url: string, init: RequestInit = {}) => {
    const one = {
      method: init.method ?? "GET",
      path: url.split("/").pop() ?? "",
      body: typeof init.body === "string" ? (JSON.parse(init.body) as unknown) : undefined,
    };
    asked.push(one);
    const { status = 200, body } = await answers(one);
    return new Response(JSON.stringify(body), { status });
  });
}

export function tearDown(): void {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  document.body.innerHTML = "";
}

export function answerWith(how: typeof answers): void {
  answers = how;
}

let count = 0;
export const newBase = () => `/api/test${(count += 1)}`;

export async function show(element: ReactElement) {
  const shown = render(element);
  await settle();
  return shown;
}

/** Waits for pending promises and one frame. */
export async function settle(ms = 300): Promise<void> {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(ms);
  });
}

/** Sends events on the open stream, then waits for one frame. */
export async function say(...events: [event: string, data: unknown][]): Promise<void> {
  const source = FakeEventSource.open.at(-1);
  if (!source) throw new Error("no stream is open");
  await act(async () => {
    for (const [event, data] of events) source.dispatchEvent(new MessageEvent(event, { data: JSON.stringify(data) }));
    await vi.advanceTimersByTimeAsync(300);
  });
}

let version = 1000;

export function download(fields: Partial<Download> = {}): Download {
  return {
    id: "d1",
    modelRepo: "owner/name",
    filePath: "model.gguf",
    revision: "main",
    repoType: "model",
    localDir: null,
    repoIds: [],
    status: "downloading",
    phase: fields.status === undefined || fields.status === "downloading" ? "transferring" : null,
    progress: 0,
    reason: null,
    detail: null,
    error: null,
    totalBytes: 60_000_000,
    downloadedBytes: 0,
    reusedBytes: 0,
    bytesPerSecond: null,
    etaSeconds: null,
    priority: 0,
    queuePosition: null,
    attempt: 1,
    retryAt: null,
    commit: null,
    digest: null,
    path: null,
    transport: "http",
    createdAt: "2026-11-23T07:00:00Z",
    updatedAt: new Date().toISOString(),
    version: (version += 1),
    ...fields,
  };
}

export function repo(fields: Partial<RepoDownload> = {}): RepoDownload {
  const { filePath: _f, repoIds: _r, attempt: _a, retryAt: _t, digest: _d, transport: _h, ...rest } = download();
  return { ...rest, id: "r1", include: [], exclude: [], filesTotal: 3, filesDone: 1, filesFailed: 0, ...fields };
}
