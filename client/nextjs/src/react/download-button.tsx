"use client";

import { useEffect, useRef, useState, type ReactNode } from "react";

import { isLive, nameOf, type ItemState, type Target } from "../browser/item.js";
import { celebrate, type Burst } from "./celebrate.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { fill } from "./messages.js";
import { FILL, FILLED, FOCUS, HUE, join, PRESS, TINTED, TINTED_TEXT } from "./styles.js";
import { useDownload, type Callbacks } from "./use-download.js";
import { captionOf, confirmCancel, isStalled, named, progressText, useNow, useWords } from "./words.js";

export interface DownloadButtonProps extends Target, Callbacks {
  basePath?: string;
  /** Label of the idle button. Default: "Download". */
  children?: ReactNode;
  /** Classes of the outer element, including its width. Default `w-52`. */
  className?: string;
  /** Whether the idle button stands out. Default `solid`. */
  look?: "solid" | "soft";
  /** Effect on completion, over the whole page. A function receives the button's element. Default true. */
  burst?: Burst;
  /** Effect of the click that starts it, around the button. Default false. */
  clickEffect?: Burst;
  /** Whether to show the line below (rate, reason). Default true; its height is constant, so that the layout does not shift. */
  caption?: boolean;
  /** Whether to show a cancel button. Default true. */
  cancellable?: boolean;
}

const ICONS: Record<ItemState, string> = {
  loading: icons.download,
  idle: icons.download,
  queued: icons.clock,
  waiting: icons.clock,
  resolving: icons.pause,
  downloading: icons.pause,
  verifying: icons.check,
  paused: icons.play,
  done: icons.check,
  failed: icons.retry,
};

const SOLID = "bg-[color:var(--hf)] shadow-sm hover:brightness-110";
const SOFT = join(TINTED, "hover:brightness-95");

/** A button that starts a download, shows its live progress, and pauses, resumes and retries it. */
export function DownloadButton(props: DownloadButtonProps) {
  const { children, className = "w-52", look = "solid", burst, clickEffect = false, onComplete } = props;
  const { caption = true, cancellable = true } = props;
  const button = useRef<HTMLButtonElement>(null);
  const words = useWords();
  const handle = useDownload(props, {
    ...props,
    onComplete: (item) => {
      if (button.current) celebrate(button.current, burst);
      onComplete?.(item);
    },
  });
  const { item, state, requestError, problem } = handle;
  const now = useNow(state === "waiting");
  const { text } = words;
  const progress = item && state !== "idle" ? item.progress : 0;
  const moving = state === "downloading" || state === "paused" || state === "verifying";
  const cancels = cancellable && item !== undefined && (isLive(item) || state === "paused");
  const idle = state === "idle" || state === "loading";
  const failed = state === "failed" || requestError !== undefined;
  const away = problem && !failed && state !== "done";
  const solid = idle && !away && look === "solid";
  const reason = requestError
    ? (words.reason(requestError.code) ?? requestError.message)
    : away
      ? words.reason(problem)
      : captionOf(item, state, words, now);

  // The action of a click and its accessible name.
  const [action, act] = idle
    ? [text.download, handle.start]
    : state === "paused"
      ? [text.resume, handle.resume]
      : state === "failed" || state === "waiting"
        ? [text.retry, handle.retry]
        : state === "done"
          ? [text.done, undefined]
          : [text.pause, handle.pause];
  const word = label();

  return (
    <span
      data-hfdmd
      data-state={state}
      data-target={nameOf(props)}
      className={join(
        "inline-flex max-w-full flex-col align-top text-sm",
        away && idle ? HUE.queued : HUE[state],
        className,
      )}
    >
      <span className="relative flex">
        <button
          ref={button}
          type="button"
          data-state={state}
          aria-disabled={state === "done" || undefined}
          aria-busy={handle.pending !== undefined || undefined}
          onClick={({ currentTarget }) => {
            if (handle.pending || !act) return;
            if (idle) celebrate(currentTarget, clickEffect, "button");
            act();
          }}
          className={join(
            "relative isolate flex h-10 w-full items-center justify-center overflow-hidden rounded-full font-medium tabular-nums",
            cancels ? "px-9" : "px-4",
            solid ? SOLID : SOFT,
            state === "done" && "cursor-default",
            FOCUS,
            PRESS,
          )}
        >
          {!idle && state !== "queued" && (
            <span
              aria-hidden
              className={join("absolute inset-0 -z-10", FILLED, FILL)}
              style={{ transform: `scaleX(${state === "done" ? 1 : progress / 100})` }}
            />
          )}
          {state === "resolving" && (
            <span aria-hidden className={join("absolute inset-0 -z-10 motion-safe:animate-pulse", FILLED)} />
          )}
          <span className={join("flex min-w-0 items-center gap-2", solid ? "text-white" : TINTED_TEXT)}>
            <Icon path={ICONS[state]} />
            <span aria-hidden className="flex min-w-0 whitespace-pre">
              <span className="truncate">{word}</span>
              {(state === "downloading" || state === "paused") && (
                <span>
                  {word && " · "}
                  {words.percent(progress)}
                </span>
              )}
            </span>
          </span>
          <span className="sr-only">{named(words, action, props)}</span>
        </button>
        {cancels && (
          <button
            type="button"
            aria-label={named(words, text.cancel, props)}
            onClick={() => {
              if (!confirmCancel(item, words)) return;
              button.current?.focus(); // this button goes
              handle.cancel();
            }}
            className={join(
              "absolute end-1 top-1 flex h-8 w-8 items-center justify-center rounded-full opacity-70 hover:opacity-100",
              FOCUS,
              PRESS,
            )}
          >
            <Icon path={icons.cross} />
          </button>
        )}
      </span>
      {moving && item && (
        <span
          role="progressbar"
          aria-label={fill(text.progressOf, { name: nameOf(props) })}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(progress)}
          aria-valuetext={progressText(item, state, words)}
          className="sr-only"
        />
      )}
      {caption && (
        <span
          title={item?.path ?? item?.detail ?? undefined}
          role={failed ? "alert" : undefined}
          className={join(
            "mt-1 block min-h-[1.25rem] px-4 text-center text-xs leading-5 tabular-nums",
            failed ? TINTED_TEXT : "truncate opacity-80",
          )}
        >
          {reason}
        </span>
      )}
      {!caption && failed && (
        <span role="alert" className="sr-only">
          {reason}
        </span>
      )}
      <Announcer name={nameOf(props)} state={state} percent={progress} label={word} />
    </span>
  );

  /** What stands in the button, before the percentage if there is one. */
  function label(): ReactNode {
    switch (state) {
      case "loading":
      case "idle":
        return children ?? text.download;
      case "queued": {
        const position = item && "queuePosition" in item ? item.queuePosition : null;
        return position ? fill(text.queuedAt, { position }) : text.queued;
      }
      case "waiting":
        return text.waiting;
      case "resolving":
        return text.resolving;
      case "downloading":
        return isStalled(item, state) && words.reason("stalled");
      case "verifying":
        return text.verifying;
      case "paused":
        return text.resume;
      case "done":
        return text.done;
      case "failed":
        return text.retry;
    }
  }
}

/** Announces changes of state and each quarter of the progress to screen readers; not the state at the time of loading. */
function Announcer({
  name,
  state,
  percent,
  label,
}: {
  name: string;
  state: ItemState;
  percent: number;
  label: ReactNode;
}) {
  const words = useWords();
  const quarter = state === "downloading" ? Math.floor(percent / 25) * 25 : 0;
  const now = `${state} ${quarter}`;
  const shown =
    state === "downloading" ? words.percent(quarter) : typeof label === "string" ? label : words.text.download;
  const latest = useRef("");
  latest.current = state === "failed" ? "" : fill(words.text.announce, { name, state: shown }); // a failure has its own alert
  const before = useRef<string | null>(null);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (state === "loading") return;
    if (before.current !== null && before.current !== now) setSaid(latest.current);
    before.current = now;
  }, [state, now]);
  return (
    <span role="status" className="sr-only">
      {said}
    </span>
  );
}
