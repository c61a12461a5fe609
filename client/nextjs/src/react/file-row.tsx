"use client";

import { memo } from "react";

import { isLive, nameOf, stateOf, type Item } from "../browser/item.js";
import type { Store } from "../browser/store.js";
import type { Download } from "../wire.js";
import { fill } from "./messages.js";
import { useAllWords } from "./queue-words.js";
import { Actions, useRun } from "./row-actions.js";
import { FILL, HUE, join, LINE, MUTED, TINTED, TINTED_TEXT } from "./styles.js";
import { progressText } from "./words.js";

const PART = /-\d{5}-of-\d{5}/;

/** A file of a repo download, in one line; the bar is its background. */
export const FileRow = memo(function FileRow({ item, store }: { item: Item; store: Store }) {
  const words = useAllWords();
  const { run, refused } = useRun();
  const { text } = words;
  const state = stateOf(item);
  const { filePath } = item as Download;
  // What distinguishes it from its neighbours is never cut: the number of a part, else the name without its folders.
  const part = filePath.search(PART);
  const end = part > 0 ? part : filePath.lastIndexOf("/") + 1;
  const moving = state === "downloading" || state === "verifying" || state === "paused";
  const size = item.totalBytes === null ? "" : words.bytes(item.totalBytes);
  const failed = refused !== null || state === "failed";
  const why = refused ?? words.reason(item.reason);

  return (
    <li
      data-hfdmd
      data-state={state}
      data-id={item.id}
      className={join(
        "relative isolate flex h-8 items-center gap-3 border-b ps-3 tabular-nums last:border-b-0",
        LINE,
        HUE[state],
      )}
    >
      {moving && (
        <span
          role="progressbar"
          aria-label={fill(text.progressOf, { name: nameOf(item) })}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(item.progress)}
          aria-valuetext={progressText(item, state, words)}
          className={join("absolute inset-0 -z-10", TINTED, FILL)}
          style={{ transform: `scaleX(${item.progress / 100})` }}
        />
      )}
      <span className="flex min-w-0 flex-1" title={filePath}>
        <span className={join("truncate", part > 0 ? "" : MUTED)}>{filePath.slice(0, end)}</span>
        <span className="max-w-full shrink-0 truncate">{filePath.slice(end)}</span>
      </span>
      <span className={join("hidden shrink-0 sm:inline", MUTED)}>{size}</span>
      <span
        role={failed ? "alert" : undefined}
        title={item.detail ?? undefined}
        className={join("min-w-[2.5rem] max-w-[8rem] shrink-0 truncate text-end font-medium", TINTED_TEXT)}
      >
        {failed || (isLive(item) && item.reason !== null)
          ? (why ?? text.states[state])
          : moving
            ? words.percent(item.progress)
            : text.states[state]}
      </span>
      <span className="flex">
        <Actions item={item} store={store} run={run} />
      </span>
    </li>
  );
});
