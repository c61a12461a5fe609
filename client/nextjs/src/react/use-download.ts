"use client";

import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { isLive, keyOf, stateOf, type Item, type ItemState, type Target } from "../browser/item.js";
import { lookupOf, type Action } from "../browser/store.js";
import type { RequestError } from "../request-error.js";
import { useInitial, useStore } from "./context.js";

/** Called on changes while the page is open, not for the state at the time of loading. */
export interface Callbacks {
  onStarted?: (item: Item) => void;
  onProgress?: (item: Item) => void;
  onComplete?: (item: Item) => void;
  /** The download failed, or the request for it was refused. */
  onError?: (error: { code: string; message: string }, item: Item | undefined) => void;
}

export interface DownloadHandle {
  /** The download as the daemon reports it; undefined if it was never requested. */
  item: Item | undefined;
  state: ItemState;
  /** The action that has been sent and not been answered yet. */
  pending: Action | undefined;
  /** The error of the last request. */
  requestError: RequestError | undefined;
  /** Why the daemon cannot be reached, as a code. */
  problem: string | null | undefined;
  start: () => void;
  pause: () => void;
  resume: () => void;
  cancel: () => void;
  retry: () => void;
}

/** The live state of one download and its actions. */
export function useDownload(target: Target, callbacks: Callbacks & { basePath?: string } = {}): DownloadHandle {
  const store = useStore(callbacks.basePath);
  const initial = useInitial();
  const key = keyOf(target);
  const item = useSyncExternalStore(
    store.subscribe,
    () => store.find(key),
    () => initial?.find(key),
  );
  const request = useSyncExternalStore(store.subscribe, () => store.pendingOf(key), nothing);
  const problem = useSyncExternalStore(store.subscribe, () => store.getSnapshot().connection.problem, nothing);
  const lookup = lookupOf(target);
  const known = useSyncExternalStore(store.subscribe, () => store.isKnown(lookup), no);
  useEffect(() => store.ensureLookup(lookup), [store, lookup]);

  // Handlers keep their identity while the target is equal, even if its object is recreated at each render.
  const latest = useRef({ target, callbacks, item });
  useEffect(() => {
    latest.current = { target, callbacks, item };
  });

  const asked = useRef<string | null>(null);
  const send = useCallback((run: (now: Item | undefined) => Promise<unknown>) => {
    // The store keeps the error, and the component shows it from there.
    run(latest.current.item).catch((error: RequestError) =>
      latest.current.callbacks.onError?.({ code: error.code, message: error.message }, latest.current.item),
    );
  }, []);
  const actions = useMemo(() => {
    const act = (action: "pause" | "resume" | "cancel") => () =>
      send(async (now) => now && (await store.act(action, { id: now.id })));
    const ask = (retry: boolean) => () => {
      asked.current = key;
      send((now) =>
        retry && now && now.status !== "done"
          ? store.act("retry", { id: now.id })
          : store.download(latest.current.target, retry ? { retry } : {}),
      );
    };
    return { start: ask(false), retry: ask(true), pause: act("pause"), resume: act("resume"), cancel: act("cancel") };
  }, [store, key, send]);

  useChanges(key, item, asked, latest);

  const waits = request?.error === null;
  let state = stateOf(item);
  if (waits && (request.action === "download" || request.action === "retry") && !(item && isLive(item)))
    state = "queued";
  else if (!item && !known) state = "loading";
  if (state === "idle" && request?.error) state = "failed";
  return {
    item,
    state,
    pending: waits ? request.action : undefined,
    requestError: request?.error ?? undefined,
    problem,
    ...actions,
  };
}

/** Calls the callbacks for what changed between the last render and this one. */
function useChanges(
  key: string,
  item: Item | undefined,
  asked: { current: string | null },
  latest: { current: { callbacks: Callbacks } },
): void {
  const before = useRef<{ key: string; item: Item | undefined }>({ key, item });
  useEffect(() => {
    const was = before.current.key === key ? before.current.item : undefined;
    before.current = { key, item };
    if (!item || item === was) return;
    const mine = asked.current === key;
    const { onStarted, onProgress, onComplete, onError } = latest.current.callbacks;
    const moved = was !== undefined && was.status !== item.status;
    if (isLive(item) && (was ? moved && !isLive(was) : mine)) onStarted?.(item);
    if (item.status === "downloading" && was) onProgress?.(item);
    if (item.status === "done" && (was ? moved : mine)) onComplete?.(item);
    if (item.status === "failed" && (was ? moved : mine)) {
      onError?.({ code: item.reason ?? "internal", message: item.error ?? item.reason ?? "" }, item);
    }
    if (!isLive(item) && item.status !== "paused") asked.current = null;
  }, [key, item, asked, latest]);
}

const nothing = () => undefined;
const no = () => false;
