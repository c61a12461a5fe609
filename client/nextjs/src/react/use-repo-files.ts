"use client";

import { useCallback, useEffect, useState } from "react";

import { repoFiles } from "../browser/calls.js";
import type { Target } from "../browser/item.js";
import { RequestError } from "../request-error.js";
import type { Quantisation, RepoFile } from "../wire.js";
import { useStore } from "./context.js";

export interface RepoFilesHandle {
  /** Undefined until the Hub has answered. */
  files: readonly RepoFile[] | undefined;
  /** The GGUF quantisations among them, smallest first; one is recommended. */
  quantisations: readonly Quantisation[] | undefined;
  commit: string | undefined;
  error: { code: string; message: string } | undefined;
  reload: () => void;
}

type State = Omit<RepoFilesHandle, "reload"> & { of: string };

const NOTHING = { files: undefined, quantisations: undefined, commit: undefined, error: undefined };

/** The files of a repo on the Hub. */
export function useRepoFiles(
  of: Pick<Target, "modelRepo" | "revision" | "repoType">,
  options: { basePath?: string } = {},
): RepoFilesHandle {
  const store = useStore(options.basePath);
  const { modelRepo, revision, repoType } = of;
  const key = JSON.stringify([modelRepo, revision, repoType]);
  const [state, setState] = useState<State>({ ...NOTHING, of: key });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const left = new AbortController();
    repoFiles(store, { modelRepo, revision, repoType }, left.signal).then(
      ({ files, quantisations, commit }) => setState({ of: key, files, quantisations, commit, error: undefined }),
      (error: unknown) => {
        if (left.signal.aborted) return;
        const code = error instanceof RequestError ? error.code : "network";
        setState({ ...NOTHING, of: key, error: { code, message: (error as Error).message } });
      },
    );
    return () => left.abort();
  }, [store, key, modelRepo, revision, repoType, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  const { of: _of, ...known } = state.of === key ? state : { ...NOTHING, of: key };
  return { ...known, reload };
}
