"use client";

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

import { isLive, isRepo, type Item } from "../browser/item.js";
import { daemonInfo, type PublicInfo } from "../browser/calls.js";
import { EMPTY, type Snapshot, type Store } from "../browser/store.js";
import type { Status } from "../wire.js";
import { useInitial, useStore } from "./context.js";

/** Sums over all unfinished downloads. Files of a repo download count once, as part of it. */
export interface Totals {
  bytesPerSecond: number;
  /** Bytes that remain, as far as sizes are known. */
  remainingBytes: number;
  /** At least as long as the slowest download needs. Null while no bytes arrive. */
  etaSeconds: number | null;
  /** Whether all sizes are known and nothing is held up; otherwise it takes longer than `etaSeconds`. */
  exact: boolean;
  /** 0 to 100 over all unfinished downloads; null when there are none, and while a size is unknown. */
  progress: number | null;
}

export interface Downloads extends Snapshot {
  /** What users requested: single files and repo downloads, without the files of the latter. */
  requests: readonly Item[];
  counts: Record<Status, number>;
  totals: Totals;
  store: Store;
}

/** All downloads, live. */
export function useDownloads(options: { basePath?: string } = {}): Downloads {
  const store = useStore(options.basePath);
  const initial = useInitial();
  const snapshot = useSyncExternalStore(store.subscribe, store.getSnapshot, () => initial?.snapshot ?? EMPTY);
  return useMemo(() => {
    const requests = snapshot.items.filter((item) => isRepo(item) || item.repoIds.length === 0);
    return { ...snapshot, requests, counts: countsOf(requests), totals: totalsOf(requests), store };
  }, [snapshot, store]);
}

function countsOf(items: readonly Item[]): Record<Status, number> {
  const counts = { queued: 0, downloading: 0, paused: 0, done: 0, failed: 0, cancelled: 0 };
  for (const { status } of items) counts[status] += 1;
  return counts;
}

function totalsOf(items: readonly Item[]): Totals {
  const live = items.filter(isLive);
  const moving = live.filter((item) => item.status === "downloading" && item.reason === null);
  const sizes = live.map((item) => item.totalBytes);
  const totalBytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  let bytesPerSecond = 0;
  let slowestSeconds = 0;
  for (const item of moving) {
    bytesPerSecond += item.bytesPerSecond ?? 0;
    slowestSeconds = Math.max(slowestSeconds, item.etaSeconds ?? 0);
  }
  let remainingBytes = 0;
  for (const { totalBytes: size, downloadedBytes } of live)
    remainingBytes += Math.max(0, (size ?? 0) - downloadedBytes);
  return {
    bytesPerSecond,
    remainingBytes,
    etaSeconds:
      bytesPerSecond > 0 && remainingBytes > 0
        ? Math.max(slowestSeconds, Math.ceil(remainingBytes / bytesPerSecond))
        : null,
    exact: !sizes.includes(null) && live.every((item) => item.reason === null || item.reason === "restarted"),
    progress: totalBytes > 0 && !sizes.includes(null) ? ((totalBytes - remainingBytes) / totalBytes) * 100 : null,
  };
}

/** Information about the daemon, fetched every `everyMs` milliseconds and when `key` changes. */
export function useInfo(options: { basePath?: string; everyMs?: number; key?: unknown } = {}): PublicInfo | undefined {
  const store = useStore(options.basePath);
  const { everyMs = 30_000, key } = options;
  const [info, setInfo] = useState<PublicInfo>();
  useEffect(() => {
    const left = new AbortController();
    const ask = () =>
      daemonInfo(store, left.signal).then(setInfo, () => {
        // The connection banner shows that the daemon is away; the last figures stay.
      });
    void ask();
    const timer = setInterval(() => document.visibilityState === "visible" && void ask(), everyMs);
    return () => {
      clearInterval(timer);
      left.abort();
    };
  }, [store, everyMs, key]);
  return info;
}
