"use client";

import { useEffect, useMemo, useState, type ReactNode } from "react";

import { remove } from "../browser/calls.js";
import { isRepo, nameOf, type Item } from "../browser/item.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { fill } from "./messages.js";
import { QueueRow } from "./queue-row.js";
import { useAllWords } from "./queue-words.js";
import { FAINT, FOCUS, FOCUS_WITHIN, HOVER, HUE, join, LINE, MUTED, PRESS, TINTED, TINTED_TEXT } from "./styles.js";
import { useDownloads, useInfo } from "./use-downloads.js";
import type { Status } from "../wire.js";

export interface DownloadQueueProps {
  basePath?: string;
  className?: string;
  /** Whether to show the progress in the page's title: "(42%) …". Default false. */
  showInTitle?: boolean;
  /** Number of rows shown at first and added by "Show more". Default 50. */
  pageSize?: number;
  /** Shown when there are no downloads. */
  empty?: ReactNode;
}

type Filter = "all" | "active" | "queued" | "paused" | "done" | "failed";

const STATUS: Record<Exclude<Filter, "all">, Status> = {
  active: "downloading",
  queued: "queued",
  paused: "paused",
  done: "done",
  failed: "failed",
};
const RANK: Record<Status, number> = { failed: 0, downloading: 1, queued: 2, paused: 3, done: 4, cancelled: 4 };

/** All downloads with filters, search and actions. */
export function DownloadQueue({ basePath, className, showInTitle = false, pageSize = 50, empty }: DownloadQueueProps) {
  const { items, requests, counts, totals, connection, ready, store } = useDownloads({ basePath });
  const info = useInfo({ basePath, key: counts.done });
  const words = useAllWords();
  const { text } = words;
  const [filter, setFilter] = useState<Filter>("all");
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState(pageSize);
  const [refused, setRefused] = useState<string | null>(null);

  const found = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return requests
      .filter((item) => filter === "all" || item.status === STATUS[filter])
      .filter((item) => wanted === "" || nameOf(item).toLowerCase().includes(wanted))
      .sort(inOrder);
  }, [requests, filter, search]);
  const filesOf = useMemo(() => byRepo(items), [items]);
  useTitle(showInTitle ? totals.progress : null, words.percent);

  const run = (work: Promise<unknown>) => {
    setRefused(null);
    work.catch((error: { code: string; message: string }) => {
      if (error.code !== "unknown_download") setRefused(words.reason(error.code) ?? error.message); // no download left to act on
    });
  };
  const clear = () => {
    if (!window.confirm(text.clearConfirm)) return;
    run(remove(store, { all: true, status: "done" }));
    if (counts.cancelled > 0) run(remove(store, { all: true, status: "cancelled" }));
  };
  const free = info?.freeBytes ?? null;
  const problem =
    refused ?? (connection.state === "reconnecting" ? (words.reason(connection.problem) ?? text.reconnecting) : null);

  return (
    <section data-hfdmd aria-label={text.downloads} className={join("text-sm", className)}>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2 pb-3 tabular-nums">
        <p className="text-2xl font-semibold">{words.rate(totals.bytesPerSecond)}</p>
        <p className={join("flex-1", MUTED)}>
          {[
            totals.etaSeconds === null
              ? ""
              : fill(totals.exact ? text.left : text.leftAtLeast, { time: words.duration(totals.etaSeconds) }),
            free === null ? "" : fill(text.free, { size: words.bytes(free) }),
          ]
            .filter(Boolean)
            .join(" · ")}
        </p>
        <div className="flex flex-wrap gap-2">
          <Command off={counts.downloading + counts.queued === 0} on={() => run(store.act("pause", { all: true }))}>
            {text.pauseAll}
          </Command>
          <Command off={counts.paused === 0} on={() => run(store.act("resume", { all: true }))}>
            {text.resumeAll}
          </Command>
          <Command off={counts.done + counts.cancelled === 0} on={clear}>
            {text.clear}
          </Command>
        </div>
      </div>
      <div role="status">
        {problem !== null && <Banner>{problem}</Banner>}
        {free !== null && totals.remainingBytes > free && (
          <Banner>{fill(text.tooFull, { size: words.bytes(totals.remainingBytes), free: words.bytes(free) })}</Banner>
        )}
      </div>
      <div className="flex flex-wrap items-center gap-2 pb-3">
        <div role="group" aria-label={text.filterLabel} className="flex flex-1 flex-wrap gap-1">
          {(["all", "active", "queued", "paused", "done", "failed"] as const).map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={filter === name}
              onClick={() => setFilter(name)}
              className={join(
                "flex h-8 items-center gap-1.5 rounded-full px-3 font-medium tabular-nums",
                filter === name ? join(HUE.idle, TINTED) : HOVER,
                FOCUS,
                PRESS,
              )}
            >
              {text.filters[name]}
              <span className={MUTED}>{name === "all" ? requests.length : counts[STATUS[name]]}</span>
            </button>
          ))}
        </div>
        <label className={join("flex h-8 w-full items-center gap-2 rounded-full px-3 sm:w-52", FAINT, FOCUS_WITHIN)}>
          <Icon path={icons.search} />
          <input
            type="search"
            aria-label={text.search}
            placeholder={text.search}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            className="w-full min-w-0 bg-transparent outline-none placeholder:text-[color:color-mix(in_oklab,currentColor_70%,transparent)]"
          />
        </label>
      </div>
      {found.length > 0 ? (
        <ul className={join("overflow-hidden rounded-xl border", LINE)}>
          {found.slice(0, shown).map((item) => (
            <QueueRow key={item.id} item={item} store={store} files={isRepo(item) ? filesOf.get(item.id) : undefined} />
          ))}
        </ul>
      ) : (
        <div className={join("rounded-xl border border-dashed px-4 py-12 text-center", LINE, MUTED)}>
          {requests.length > 0 ? text.emptyFilter : ready ? (empty ?? text.empty) : text.loading}
        </div>
      )}
      {found.length > shown && (
        <div className="pt-3 text-center">
          <Command on={() => setShown(shown + pageSize)}>{text.more}</Command>
        </div>
      )}
    </section>
  );
}

/** Failed, downloading, queued by position, paused; then finished ones, newest first. */
function inOrder(a: Item, b: Item): number {
  return (
    RANK[a.status] - RANK[b.status] ||
    (a.status === "queued" ? placeOf(a) - placeOf(b) : 0) ||
    (a.status === "queued" || a.status === "downloading"
      ? a.createdAt.localeCompare(b.createdAt)
      : b.updatedAt.localeCompare(a.updatedAt)) ||
    a.id.localeCompare(b.id)
  );
}

const placeOf = (item: Item) => ("queuePosition" in item ? item.queuePosition : null) ?? Infinity;

function byRepo(items: readonly Item[]): Map<string, Item[]> {
  const files = new Map<string, Item[]>();
  for (const item of items) {
    if (isRepo(item)) continue;
    for (const id of item.repoIds) {
      const list = files.get(id);
      if (list) list.push(item);
      else files.set(id, [item]);
    }
  }
  for (const list of files.values()) list.sort(inOrder);
  return files;
}

function useTitle(progress: number | null, percent: (n: number) => string): void {
  const text = progress === null ? null : `(${percent(progress)}) `;
  useEffect(() => {
    if (text === null) return;
    const title = document.title;
    document.title = text + title;
    return () => {
      if (document.title === text + title) document.title = title;
    };
  }, [text]);
}

function Banner({ children }: { children: ReactNode }) {
  return (
    <p className={join("mb-3 flex items-center gap-2 rounded-lg px-3 py-2", HUE.paused, TINTED)}>
      <span className={join("flex items-center gap-2", TINTED_TEXT)}>
        <Icon path={icons.alert} />
        {children}
      </span>
    </p>
  );
}

/** A plain text button. */
export function Command({ on, off = false, children }: { on: () => void; off?: boolean; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-disabled={off || undefined}
      onClick={() => !off && on()}
      className={join(
        "flex h-8 items-center rounded-full border px-3 font-medium",
        LINE,
        off ? "opacity-40" : HOVER,
        FOCUS,
        PRESS,
      )}
    >
      {children}
    </button>
  );
}
