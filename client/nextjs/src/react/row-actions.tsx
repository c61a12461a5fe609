"use client";

import { useState, type ReactNode } from "react";

import { remove } from "../browser/calls.js";
import { isLive, stateOf, type Item } from "../browser/item.js";
import type { Store } from "../browser/store.js";
import type { RequestError } from "../request-error.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { useAllWords } from "./queue-words.js";
import { FOCUS, HOVER, join, PRESS } from "./styles.js";
import { confirmCancel, named } from "./words.js";

export type Run = (work: Promise<unknown>) => void;

/** Runs an action of a row; `refused` is why the last one was not done. */
export function useRun(): { run: Run; refused: string | null } {
  const words = useAllWords();
  const [refused, setRefused] = useState<string | null>(null);
  const run: Run = (work) => {
    setRefused(null);
    work.catch((error: RequestError) => setRefused(words.reason(error.code) ?? error.message));
  };
  return { run, refused };
}

/** The actions that the state of an item allows. */
export function Actions({ item, store, run }: { item: Item; store: Store; run: Run }) {
  const words = useAllWords();
  const { text } = words;
  const state = stateOf(item);
  const live = isLive(item);
  const id = { id: item.id };
  const act = (action: "pause" | "resume" | "cancel" | "retry") => () => run(store.act(action, id));
  return (
    <>
      {(state === "failed" || state === "waiting" || item.status === "cancelled") && (
        <Tool icon={icons.retry} label={named(words, text.retry, item)} on={act("retry")} />
      )}
      {live && <Tool icon={icons.pause} label={named(words, text.pause, item)} on={act("pause")} />}
      {state === "paused" && <Tool icon={icons.play} label={named(words, text.resume, item)} on={act("resume")} />}
      {live || state === "paused" ? (
        <Tool
          icon={icons.cross}
          label={named(words, text.cancel, item)}
          on={() => confirmCancel(item, words) && act("cancel")()}
        />
      ) : (
        <Tool icon={icons.cross} label={named(words, text.remove, item)} on={() => run(remove(store, id))} />
      )}
    </>
  );
}

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
