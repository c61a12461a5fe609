"use client";

/** Sentences that the button shows; those of the queue are in queue-words.ts, for the button's budget of 8 KB gzipped. */
import { useEffect, useMemo, useState } from "react";

import { nameOf, type Item, type ItemState, type Target } from "../browser/item.js";
import { useSettings } from "./context.js";
import { formatBytes, formatDuration, formatPercent, formatRate } from "./format.js";
import { buttonMessages, fill, type ButtonMessages } from "./messages.js";

/** The texts in the page's language and the formatters for numbers. */
export interface Words {
  text: ButtonMessages;
  bytes: (bytes: number) => string;
  rate: (bytesPerSecond: number) => string;
  percent: (percent: number) => string;
  duration: (seconds: number) => string;
  reason: (code: string | null | undefined) => string | undefined;
}

export function useWords(): Words {
  const { locale, messages } = useSettings();
  return useMemo(() => {
    const reasons = { ...buttonMessages.reasons, ...messages.reasons };
    return {
      text: { ...buttonMessages, ...messages, reasons },
      bytes: (n) => formatBytes(n, locale),
      rate: (n) => formatRate(n, locale),
      percent: (n) => formatPercent(n, locale),
      duration: (n) => formatDuration(n, locale),
      reason: (code) => (code ? reasons[code] : undefined),
    };
  }, [locale, messages]);
}

/** Whether it is downloading but no bytes arrive: then a speed or a time left would be an old one. */
export const isStalled = (item: Item | undefined, state: ItemState) =>
  state === "downloading" &&
  item !== undefined &&
  (item.reason !== null || (item.bytesPerSecond === null && item.downloadedBytes > 0));

/** "43%, 26 MB of 60 MB, 2 sec left": the text of a progress bar for screen readers. */
export function progressText(item: Item, state: ItemState, words: Words): string {
  const { text } = words;
  const parts = [words.percent(item.progress)];
  if (item.totalBytes !== null) {
    parts.push(fill(text.ofTotal, { done: words.bytes(item.downloadedBytes), total: words.bytes(item.totalBytes) }));
  }
  if (state === "downloading" && item.etaSeconds !== null && !isStalled(item, state))
    parts.push(fill(text.left, { time: words.duration(item.etaSeconds) }));
  return parts.join(", ");
}

/** The caption: rate and time left, the reason for waiting, or the error. */
export function captionOf(item: Item | undefined, state: ItemState, words: Words, nowMs: number): string {
  const { text } = words;
  if (!item) return "";
  const why = words.reason(item.reason);
  switch (state) {
    case "downloading": {
      if (isStalled(item, state)) return why ?? text.stalled;
      const parts = item.bytesPerSecond === null ? [] : [words.rate(item.bytesPerSecond)];
      if (item.etaSeconds !== null) parts.push(fill(text.left, { time: words.duration(item.etaSeconds) }));
      return parts.join(" · ");
    }
    case "waiting": {
      const { attempt, retryAt } = item as { attempt?: number; retryAt?: string | null };
      const seconds = retryAt ? Math.max(0, Math.ceil((Date.parse(retryAt) - nowMs) / 1000)) : 0;
      const again = fill(text.tryIn, { attempt: (attempt ?? 0) + 1, time: words.duration(seconds) });
      return [why, again].filter(Boolean).join(" · ");
    }
    case "queued":
    case "resolving":
      return why ?? "";
    case "paused":
      return item.totalBytes === null
        ? text.paused
        : `${text.paused} · ${fill(text.ofTotal, { done: words.bytes(item.downloadedBytes), total: words.bytes(item.totalBytes) })}`;
    case "failed":
      return why ?? item.error ?? text.failed;
    case "done":
    case "verifying":
      return [item.totalBytes === null ? "" : words.bytes(item.totalBytes), item.path].filter(Boolean).join(" · ");
    default:
      return "";
  }
}

/** The current time in milliseconds, updated once a second while `ticking`; 0 on the server and at the first render. */
export function useNow(ticking: boolean): number {
  const [now, setNow] = useState(0);
  useEffect(() => {
    if (!ticking) return;
    const tick = () => setNow(Date.now());
    const first = setTimeout(tick);
    const timer = setInterval(tick, 1000);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [ticking]);
  return now;
}

/** Asks for confirmation before a cancel that deletes 100 MB or more. Returns whether to go on. */
export function confirmCancel(item: Item, words: Words): boolean {
  if (item.downloadedBytes < 100_000_000) return true;
  const size = words.bytes(item.downloadedBytes);
  return window.confirm(fill(words.text.confirmCancel, { name: nameOf(item), size }));
}

/** "Pause owner/name/file": the accessible name of a button. */
export const named = (words: Pick<Words, "text">, action: string, of: Target | Item) =>
  fill(words.text.actionOn, { action, name: nameOf(of) });
