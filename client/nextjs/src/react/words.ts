"use client";

import { useEffect, useMemo, useState } from "react";

import { nameOf, type Item, type ItemState, type Target } from "../browser/item.js";
import { useSettings } from "./context.js";
import { formatBytes, formatDuration, formatPercent, formatRate } from "./format.js";
import { buttonMessages, fill, type ButtonMessages } from "./messages.js";

/** The texts of the page's language, with what turns numbers into words. */
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

/** Whether it is at work and nothing comes. */
export const isStalled = (item: Item | undefined, state: ItemState) =>
  state === "downloading" && item !== undefined && item.bytesPerSecond === null && item.downloadedBytes > 0;

/** "43%, 26 MB of 60 MB, 2 sec left": what a screen reader says of a bar. */
export function progressText(item: Item, state: ItemState, words: Words): string {
  const { text } = words;
  const parts = [words.percent(item.progress)];
  if (item.totalBytes !== null) {
    parts.push(fill(text.ofTotal, { done: words.bytes(item.downloadedBytes), total: words.bytes(item.totalBytes) }));
  }
  if (state === "downloading" && item.etaSeconds !== null)
    parts.push(fill(text.left, { time: words.duration(item.etaSeconds) }));
  return parts.join(", ");
}

/** The line below: rate and time, what it waits for, or why it failed. */
export function captionOf(item: Item | undefined, state: ItemState, words: Words, nowMs: number): string {
  const { text } = words;
  if (!item) return "";
  switch (state) {
    case "downloading": {
      if (isStalled(item, state)) return words.reason(item.reason) ?? text.stalled;
      const parts = item.bytesPerSecond === null ? [] : [words.rate(item.bytesPerSecond)];
      if (item.etaSeconds !== null) parts.push(fill(text.left, { time: words.duration(item.etaSeconds) }));
      return parts.join(" · ");
    }
    case "waiting": {
      const { attempt, retryAt } = item as { attempt?: number; retryAt?: string | null };
      const seconds = retryAt ? Math.max(0, Math.ceil((Date.parse(retryAt) - nowMs) / 1000)) : 0;
      const again = fill(text.tryIn, { attempt: (attempt ?? 0) + 1, time: words.duration(seconds) });
      return [words.reason(item.reason), again].filter(Boolean).join(" · ");
    }
    case "queued":
      return words.reason(item.reason) ?? "";
    case "paused":
      return item.totalBytes === null
        ? text.paused
        : `${text.paused} · ${fill(text.ofTotal, { done: words.bytes(item.downloadedBytes), total: words.bytes(item.totalBytes) })}`;
    case "failed":
      return words.reason(item.reason) ?? item.error ?? text.failed;
    case "done":
    case "verifying":
      return item.totalBytes === null ? "" : words.bytes(item.totalBytes);
    default:
      return "";
  }
}

/** The present time, once a second while `ticking`; 0 until the browser has taken over. */
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

/** Whether a cancel needs a second thought: it deletes what is here already. */
export function confirmCancel(item: Item, words: Words): boolean {
  if (item.downloadedBytes < 100_000_000) return true;
  const size = words.bytes(item.downloadedBytes);
  return window.confirm(fill(words.text.confirmCancel, { name: nameOf(item), size }));
}

/** "Pause owner/name/file": a button's name for those who do not see where it stands. */
export const named = (words: Pick<Words, "text">, action: string, of: Target | Item) =>
  fill(words.text.actionOn, { action, name: nameOf(of) });
