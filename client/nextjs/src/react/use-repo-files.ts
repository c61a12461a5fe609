"use client";

import { useCallback, useEffect, useState } from "react";

import { repoFiles } from "../browser/calls.js";
import type { Target } from "../browser/item.js";
import { RequestError } from "../browser/store.js";
import type { RepoFile } from "../wire.js";
import { useStore } from "./context.js";

export interface RepoFilesHandle {
  /** Undefined until the Hub has answered. */
  files: readonly RepoFile[] | undefined;
  commit: string | undefined;
  error: { code: string; message: string } | undefined;
  reload: () => void;
}

type State = Omit<RepoFilesHandle, "reload"> & { of: string };

/** The files of a repo on the Hub. */
export function useRepoFiles(
  of: Pick<Target, "modelRepo" | "revision" | "repoType">,
  options: { basePath?: string } = {},
): RepoFilesHandle {
  const store = useStore(options.basePath);
  const { modelRepo, revision, repoType } = of;
  const key = JSON.stringify([modelRepo, revision, repoType]);
  const empty: State = { of: key, files: undefined, commit: undefined, error: undefined };
  const [state, setState] = useState<State>(empty);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const left = new AbortController();
    repoFiles(store, { modelRepo, revision, repoType }, left.signal).then(
      ({ files, commit }) => setState({ of: key, files, commit, error: undefined }),
      (error: unknown) => {
        if (left.signal.aborted) return;
        const code = error instanceof RequestError ? error.code : "network";
        setState({ of: key, files: undefined, commit: undefined, error: { code, message: (error as Error).message } });
      },
    );
    return () => left.abort();
  }, [store, key, modelRepo, revision, repoType, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  const { files, commit, error } = state.of === key ? state : empty;
  return { files, commit, error, reload };
}
