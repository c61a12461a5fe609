"use client";

import { memo, useState, type ReactNode } from "react";

import { remove, reorder } from "../browser/calls.js";
import { isLive, isRepo, nameOf, stateOf, type Item } from "../browser/item.js";
import type { RequestError, Store } from "../browser/store.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { fill } from "./messages.js";
import { useAllWords } from "./queue-words.js";
import { FILL, FOCUS, HOVER, HUE, join, LINE, MUTED, PRESS, TINTED, TINTED_TEXT } from "./styles.js";
import { captionOf, confirmCancel, named, progressText, useNow } from "./words.js";

const FILES_SHOWN = 50;

/** One download or repo download with its actions. `files`: the files of a repo download. */
export const QueueRow = memo(function QueueRow({
  item,
  store,
  files,
}: {
  item: Item;
  store: Store;
  files?: readonly Item[];
}) {
  const words = useAllWords();
  const [open, setOpen] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const state = stateOf(item);
  const now = useNow(state === "waiting");
  const { text } = words;
  const id = { id: item.id };
  const run = (work: Promise<unknown>) => {
    setRefused(null);
    work.catch((error: RequestError) => setRefused(words.reason(error.code) ?? error.message));
  };
  const [owner, rest] = item.modelRepo.includes("/") ? item.modelRepo.split("/", 2) : ["", item.modelRepo];
  const error = refused ?? (state === "failed" ? item.error : null);
  const position = "queuePosition" in item ? item.queuePosition : null;

  return (
    <li
      data-hfdmd
      data-state={state}
      data-id={item.id}
      className={join("border-b px-4 py-3 last:border-b-0", LINE, HUE[state])}
    >
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-64">
          <p className="truncate font-medium" title={nameOf(item)}>
            {"filePath" in item ? item.filePath : rest}
          </p>
          <p className={join("truncate text-xs", MUTED)}>
            {"filePath" in item ? item.modelRepo : owner}
            {item.revision !== "main" && ` @ ${item.revision}`}
            {isRepo(item) && item.include.length > 0 && ` · ${item.include.join(", ")}`}
          </p>
        </div>
        <span className={join("flex items-center gap-1.5 rounded-full px-2.5 py-0.5 text-xs font-medium", TINTED)}>
          <span className={TINTED_TEXT}>
            {text.states[state]}
            {state === "queued" && position ? ` #${position}` : ""}
          </span>
        </span>
        <div className="flex items-center">
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
          {(state === "failed" || state === "waiting" || item.status === "cancelled") && (
            <Tool icon={icons.retry} label={named(words, text.retry, item)} on={() => run(store.act("retry", id))} />
          )}
          {isLive(item) && (
            <Tool icon={icons.pause} label={named(words, text.pause, item)} on={() => run(store.act("pause", id))} />
          )}
          {state === "paused" && (
            <Tool icon={icons.play} label={named(words, text.resume, item)} on={() => run(store.act("resume", id))} />
          )}
          {isLive(item) || state === "paused" ? (
            <Tool
              icon={icons.cross}
              label={named(words, text.cancel, item)}
              on={() => confirmCancel(item, words) && run(store.act("cancel", id))}
            />
          ) : (
            <Tool icon={icons.cross} label={named(words, text.remove, item)} on={() => run(remove(store, id))} />
          )}
        </div>
      </div>
      {state !== "done" && state !== "failed" && item.status !== "cancelled" && (
        <div
          role="progressbar"
          aria-label={fill(text.progressOf, { name: nameOf(item) })}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={state === "resolving" ? undefined : Math.floor(item.progress)}
          aria-valuetext={progressText(item, state, words)}
          className={join("mt-2 h-1.5 overflow-hidden rounded-full", TINTED)}
        >
          <div
            className={join(
              "h-full bg-[color:var(--hf)]",
              state === "resolving" ? "opacity-30 motion-safe:animate-pulse" : FILL,
            )}
            style={{ transform: `scaleX(${state === "resolving" ? 1 : item.progress / 100})` }}
          />
        </div>
      )}
      <div className={join("mt-1 flex flex-wrap gap-x-4 text-xs tabular-nums", MUTED)}>
        <span>{sizes()}</span>
        {isLive(item) && <span>{captionOf(item, state, words, now)}</span>}
        {isLive(item) && item.reason !== null && <span className="[overflow-wrap:anywhere]">{item.detail}</span>}
        {isRepo(item) && item.filesTotal !== null && (
          <span>
            {fill(text.filesDone, { done: item.filesDone, total: item.filesTotal })}
            {item.filesFailed > 0 && ` · ${fill(text.filesFailed, { count: item.filesFailed })}`}
          </span>
        )}
        {files && files.length > 0 && (
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
      {(error !== null || state === "failed") && (
        <p role="alert" className={join("mt-1 flex items-start gap-1.5 text-sm", TINTED_TEXT)}>
          <Icon path={icons.alert} className="mt-0.5 h-4 w-4 shrink-0" />
          <span className="min-w-0 [overflow-wrap:anywhere]">
            {[refused === null ? words.reason(item.reason) : undefined, error].filter(Boolean).join(": ")}
          </span>
        </p>
      )}
      {open && files && (
        <ul className={join("mt-2 rounded-lg border", LINE)}>
          {files.slice(0, FILES_SHOWN).map((file) => (
            <QueueRow key={file.id} item={file} store={store} />
          ))}
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

/** A small round button with an icon and an accessible name. */
export function Tool({
  icon,
  label,
  on,
  off = false,
}: {
  icon: string;
  label: string;
  on: () => void;
  off?: boolean;
}): ReactNode {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      aria-disabled={off || undefined}
      onClick={() => !off && on()}
      className={join(
        "flex h-8 w-8 items-center justify-center rounded-full",
        off ? "opacity-30" : HOVER,
        FOCUS,
        PRESS,
      )}
    >
      <Icon path={icon} />
    </button>
  );
}
