"use client";

import { useMemo, useState, useSyncExternalStore, type ReactNode } from "react";

import { escapeGlob, isLive, keyOf, stateOf, type Target } from "../browser/item.js";
import type { Store } from "../browser/store.js";
import type { RequestError } from "../request-error.js";
import { useStore } from "./context.js";
import { DownloadButton } from "./download-button.js";
import { Command } from "./download-queue.js";
import type { Burst } from "./celebrate.js";
import { Icon } from "./icon.js";
import * as icons from "./icons.js";
import { fill } from "./messages.js";
import { groupFiles, isProjector, type FileGroup } from "./quantisation.js";
import { useAllWords } from "./queue-words.js";
import { FOCUS, HUE, join, LINE, MUTED, TINTED, TINTED_TEXT } from "./styles.js";
import { useInfo } from "./use-downloads.js";
import { useRepoFiles } from "./use-repo-files.js";

export interface RepoFilesProps extends Pick<Target, "modelRepo" | "revision" | "repoType"> {
  basePath?: string;
  className?: string;
  burst?: Burst;
}

type Of = Pick<Target, "modelRepo" | "revision" | "repoType">;

/**
 * The files of a repo for selection: GGUF quantisations with their sizes first, one of them recommended, projectors apart; the parts of a
 * split file are one entry. What is larger than the free disk space is marked.
 */
export function RepoFiles({ modelRepo, revision, repoType, basePath, className, burst }: RepoFilesProps) {
  const of: Of = { modelRepo, revision, repoType };
  const { files, quantisations, error, reload } = useRepoFiles(of, { basePath });
  const freeBytes = useInfo({ basePath })?.freeBytes ?? null;
  const store = useStore(basePath);
  const words = useAllWords();
  const { text } = words;
  const groups = useMemo(() => groupFiles(files ?? [], quantisations), [files, quantisations]);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [refused, setRefused] = useState<string | null>(null);
  const chosen = groups.filter((group) => picked.has(group.name));

  if (error || refused !== null) {
    return (
      <div
        data-hfdmd
        role="alert"
        className={join(
          "flex flex-wrap items-center gap-3 rounded-xl px-4 py-3 text-sm",
          HUE.failed,
          TINTED,
          className,
        )}
      >
        <span className={join("min-w-0 flex-1 [overflow-wrap:anywhere]", TINTED_TEXT)}>
          {refused ?? [words.reason(error?.code), error?.message].filter(Boolean).join(": ")}
        </span>
        <Command on={refused === null ? reload : () => setRefused(null)}>{text.tryAgain}</Command>
      </div>
    );
  }

  const toggle = (name: string) => {
    const next = new Set(picked);
    if (!next.delete(name)) next.add(name);
    setPicked(next);
  };
  const download = (targets: Target[]) => {
    Promise.all(targets.map((target) => store.download(target))).then(
      () => setPicked(new Set()),
      (failure: RequestError) => setRefused(words.reason(failure.code) ?? failure.message),
    );
  };
  const quantised = groups.filter((group) => group.quantisation !== null);
  const projectors = groups.filter((group) => group.projector);
  const others = groups.filter((group) => group.quantisation === null && !group.projector);

  return (
    <section
      data-hfdmd
      aria-label={fill(text.files, { name: modelRepo })}
      aria-busy={!files}
      className={join("text-sm", className)}
    >
      {!files && (
        <p className={join("rounded-xl border border-dashed px-4 py-12 text-center", LINE, MUTED)}>{text.loading}</p>
      )}
      {list(text.quantisations, quantised)}
      {list(text.projectors, projectors)}
      {list(quantised.length > 0 ? text.otherFiles : null, others)}
      {files && files.length > 0 && (
        <div className="flex flex-wrap items-center gap-2 pt-3">
          {chosen.length > 0 && (
            <Command on={() => download(chosen.map((group) => targetOf(of, group)))}>
              {fill(text.downloadSelected, { count: chosen.length, size: sizeOf(chosen) })}
            </Command>
          )}
          <Command on={() => download([of])}>{fill(text.downloadAll, { size: sizeOf(groups) })}</Command>
        </div>
      )}
    </section>
  );

  function sizeOf(some: readonly FileGroup[]): string {
    const total = some.reduce<number | null>((sum, { size }) => (sum === null || size === null ? null : sum + size), 0);
    return total === null ? text.unknownSize : words.bytes(total);
  }

  function partsOf({ files, projector }: FileGroup): string {
    const parts = files.filter(({ filePath }) => projector || !isProjector(filePath)).length;
    return [parts > 1 && fill(text.parts, { count: parts }), parts < files.length && text.withProjector]
      .filter(Boolean)
      .join(" · ");
  }

  function note(group: FileGroup) {
    const cached = group.files.every((file) => file.cached);
    if (!cached && (freeBytes === null || group.size === null || group.size <= freeBytes)) return null;
    return (
      <span className={join("flex items-center gap-1 text-xs", cached ? HUE.done : HUE.waiting, TINTED_TEXT)}>
        <Icon path={cached ? icons.disk : icons.alert} />
        {cached ? text.cached : fill(text.tooLarge, { free: words.bytes(freeBytes ?? 0) })}
      </span>
    );
  }

  function list(title: string | null, some: readonly FileGroup[]) {
    if (some.length === 0) return null;
    return (
      <>
        {title !== null && <h3 className={join("pb-2 pt-4 font-medium first:pt-0", MUTED)}>{title}</h3>}
        <ul className={join("overflow-hidden rounded-xl border", LINE)}>
          {some.map((group) => (
            <li
              key={group.name}
              className={join("flex flex-wrap items-center gap-x-3 gap-y-1 border-b px-4 py-2 last:border-b-0", LINE)}
            >
              <label className="flex min-w-0 flex-1 basis-56 cursor-pointer items-center gap-3 py-1">
                <input
                  type="checkbox"
                  checked={picked.has(group.name)}
                  onChange={() => toggle(group.name)}
                  aria-label={fill(text.actionOn, { action: text.select, name: group.name })}
                  className={join("h-5 w-5 shrink-0 accent-[var(--hfdmd-accent,#2563eb)]", FOCUS)}
                />
                <span className="min-w-0">
                  <span className="flex items-center gap-2 font-medium">
                    <span className="truncate" title={group.name}>
                      {group.quantisation ?? group.name}
                    </span>
                    {group.recommended && (
                      <span className={join("rounded-full px-2 text-xs", HUE.done, TINTED)}>
                        <span className={TINTED_TEXT}>{text.recommended}</span>
                      </span>
                    )}
                  </span>
                  <span className={join("block truncate text-xs tabular-nums", MUTED)}>
                    {[
                      group.size === null ? text.unknownSize : words.bytes(group.size),
                      partsOf(group),
                      group.quantisation ? group.name : "",
                    ]
                      .filter(Boolean)
                      .join(" · ")}
                  </span>
                </span>
              </label>
              {note(group)}
              <Parts of={of} group={group} store={store}>
                <DownloadButton
                  {...targetOf(of, group)}
                  basePath={basePath}
                  burst={burst}
                  look={group.recommended ? "solid" : "soft"}
                  caption={false}
                  className="w-48"
                />
              </Parts>
            </li>
          ))}
        </ul>
      </>
    );
  }
}

/** The button of a group. If another request (such as the whole repo) already downloads the parts of a split file: its progress. */
function Parts({ of, group, store, children }: { of: Of; group: FileGroup; store: Store; children: ReactNode }) {
  const words = useAllWords();
  const own = keyOf(targetOf(of, group));
  const text = useSyncExternalStore(
    store.subscribe,
    () => {
      if (group.files.length === 1 || stateOf(store.find(own)) !== "idle") return null;
      const parts = group.files.map(({ filePath }) => store.find(keyOf({ ...of, filePath })));
      if (!parts.some((part) => part && (isLive(part) || part.status === "done"))) return null;
      if (parts.every((part) => part?.status === "done")) return words.text.done;
      const here = parts.reduce((sum, part) => sum + (part?.downloadedBytes ?? 0), 0);
      return group.size ? words.percent(Math.min(99, (here / group.size) * 100)) : words.text.states.downloading;
    },
    () => null,
  );
  if (text === null) return children;
  return (
    <span className={join("flex h-10 w-48 items-center", HUE.downloading)}>
      <span
        className={join("flex h-full flex-1 items-center justify-center rounded-full font-medium tabular-nums", TINTED)}
      >
        <span className={TINTED_TEXT}>{text}</span>
      </span>
    </span>
  );
}

/** A single file as a file download, the parts of a split file as one repo download with exactly these paths. */
function targetOf(of: Of, group: FileGroup): Target {
  const paths = group.files.map((file) => file.filePath);
  return paths.length === 1 ? { ...of, filePath: paths[0] } : { ...of, include: paths.map(escapeGlob) };
}
