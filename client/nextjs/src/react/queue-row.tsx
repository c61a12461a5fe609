"use client";

import { memo, useState } from "react";

import { reorder } from "../browser/calls.js";
import { isLive, isRepo, nameOf, stateOf, type Item } from "../browser/item.js";
import type { Store } from "../browser/store.js";
import { FileRow } from "./file-row.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { fill } from "./messages.js";
import { useAllWords } from "./queue-words.js";
import { Actions, Tool, useRun } from "./row-actions.js";
import { FILL, FOCUS, HOVER, HUE, join, LINE, MUTED, TINTED, TINTED_TEXT } from "./styles.js";
import { captionOf, named, progressText, useNow } from "./words.js";

const FILES_SHOWN = 50;

/** Browsers have a clipboard on https and localhost only. */
const copy = (path: string, otherwise: string) =>
  "clipboard" in navigator ? navigator.clipboard.writeText(path) : Promise.reject(new Error(otherwise));

/** One download or repo download with its actions. `files`: the files of a repo download. */
export const QueueRow = memo(function QueueRow({
  item,
  store,
  files = [],
}: {
  item: Item;
  store: Store;
  files?: readonly Item[];
}) {
  const words = useAllWords();
  const [open, setOpen] = useState(false);
  const { run, refused } = useRun();
  const state = stateOf(item);
  const now = useNow(state === "waiting");
  const { text } = words;
  const id = { id: item.id };
  const slash = item.modelRepo.indexOf("/") + 1;
  const error = refused ?? (state === "failed" ? item.error : null);
  const position = "queuePosition" in item ? item.queuePosition : null;
  const live = isLive(item);
  const { path } = item;

  return (
    <li
      data-hfdmd
      data-state={state}
      data-id={item.id}
      className={join("border-b px-4 py-3 last:border-b-0", LINE, HUE[state])}
    >
      <div className="flex items-start gap-x-2">
        <div className="min-w-0 flex-1">
          <p className="flex min-w-0 font-medium" title={nameOf(item)}>
            <span className={join("truncate", MUTED)}>{item.modelRepo.slice(0, slash)}</span>
            <span className="max-w-full shrink-0 truncate">{item.modelRepo.slice(slash)}</span>
          </p>
          <p className={join("truncate text-xs", MUTED)} data-files>
            {"filePath" in item ? item.filePath : item.include.length > 0 ? item.include.join(", ") : text.allFiles}
            {isRepo(item) && item.exclude.length > 0 && ` · ${fill(text.without, { files: item.exclude.join(", ") })}`}
            {item.revision !== "main" && ` @ ${item.revision}`}
          </p>
        </div>
        <div className="-me-2 flex items-center">
          {state === "queued" && position !== null && (
            <>
              <Tool
                icon={icons.up}
                label={named(words, text.up, item)}
                off={position < 2}
                on={() => run(reorder(store, id, { position: position - 1 }))}
              />
              <Tool
                icon={icons.down}
                label={named(words, text.down, item)}
                on={() => run(reorder(store, id, { position: position + 1 }))}
              />
            </>
          )}
          <Actions item={item} store={store} run={run} />
        </div>
      </div>
      {state !== "done" && state !== "failed" && item.status !== "cancelled" && (
        <div className="mt-1.5 flex items-center gap-3">
          <div
            role="progressbar"
            aria-label={fill(text.progressOf, { name: nameOf(item) })}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={state === "resolving" ? undefined : Math.floor(item.progress)}
            aria-valuetext={progressText(item, state, words)}
            className={join("h-1.5 flex-1 overflow-hidden rounded-full", TINTED)}
          >
            <div
              className={join(
                "h-full bg-[color:var(--hf)]",
                state === "resolving" ? "opacity-30 motion-safe:animate-pulse" : FILL,
              )}
              style={{ transform: `scaleX(${state === "resolving" ? 1 : item.progress / 100})` }}
            />
          </div>
          <span aria-hidden className="w-10 shrink-0 text-end font-medium tabular-nums">
            {words.percent(item.progress)}
          </span>
        </div>
      )}
      <div className="mt-1 flex flex-wrap gap-x-4 text-xs tabular-nums">
        <span className={join("font-medium", TINTED_TEXT)}>
          {text.states[state]}
          {state === "queued" && position ? ` #${position}` : ""}
        </span>
        <span className={join("contents", MUTED)}>
          <span>{sizes()}</span>
          {live && <span>{captionOf(item, state, words, now)}</span>}
          {live && item.reason !== null && <span className="[overflow-wrap:anywhere]">{item.detail}</span>}
          {isRepo(item) && item.filesTotal !== null && (
            <span>
              {fill(text.filesDone, { done: item.filesDone, total: item.filesTotal })}
              {item.filesFailed > 0 && ` · ${fill(text.filesFailed, { count: item.filesFailed })}`}
            </span>
          )}
        </span>
        {files.length > 0 && (
          <button
            type="button"
            aria-expanded={open}
            aria-label={named(words, text.showFiles, item)}
            onClick={() => setOpen(!open)}
            className={join("-my-1 flex h-6 items-center gap-1 rounded px-1", HOVER, FOCUS)}
          >
            <Icon path={open ? icons.up : icons.down} />
          </button>
        )}
      </div>
      {path !== null && (
        <p className={join("mt-1 flex items-center gap-1 text-xs", MUTED)}>
          <span className="truncate font-mono" title={path}>
            {path}
          </span>
          <Tool
            icon={icons.copy}
            label={named(words, text.copyPath, item)}
            on={() => run(copy(path, text.copyByHand))}
          />
        </p>
      )}
      {(error !== null || state === "failed") && (
        <p role="alert" className={join("mt-1 flex items-start gap-1.5 text-sm", TINTED_TEXT)}>
          <Icon path={icons.alert} className="mt-0.5 h-4 w-4 shrink-0" />
          <span className="min-w-0 [overflow-wrap:anywhere]">
            {[refused === null ? words.reason(item.reason) : undefined, error].filter(Boolean).join(": ")}
          </span>
        </p>
      )}
      {open && (
        <ul className={join("mt-2 overflow-hidden rounded-lg border text-xs", LINE)}>
          {files.slice(0, FILES_SHOWN).map((file) => (
            <FileRow key={file.id} item={file} store={store} />
          ))}
          {files.length > FILES_SHOWN && (
            <li className={join("px-3 py-1.5", MUTED)}>
              {fill(text.moreFiles, { count: files.length - FILES_SHOWN })}
            </li>
          )}
        </ul>
      )}
    </li>
  );

  function sizes(): string {
    if (item.totalBytes === null) return state === "failed" ? "" : text.unknownSize;
    const total = words.bytes(item.totalBytes);
    return state === "done" ? total : fill(text.ofTotal, { done: words.bytes(item.downloadedBytes), total });
  }
});
