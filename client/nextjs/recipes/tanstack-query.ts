"use client";

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { DEFAULT_BASE_PATH, getStore, type Item, type Target } from "hfdmd-nextjs";
import { useEffect } from "react";

/** All downloads as a query whose data the event stream keeps current: no polling. */
export function useDownloadsQuery(basePath = DEFAULT_BASE_PATH) {
  const client = useQueryClient();
  useEffect(() => {
    const store = getStore(basePath);
    return store.subscribe(() => client.setQueryData(["hfdmd", basePath], store.getSnapshot().items));
  }, [client, basePath]);
  return useQuery<readonly Item[]>({
    queryKey: ["hfdmd", basePath],
    queryFn: () => getStore(basePath).getSnapshot().items,
    staleTime: Infinity,
  });
}

/** Starts a download; its progress arrives in the query. */
export function useStartDownload(basePath = DEFAULT_BASE_PATH) {
  return useMutation({ mutationFn: (target: Target) => getStore(basePath).download(target) });
}
