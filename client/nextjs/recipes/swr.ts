"use client";

import { DEFAULT_BASE_PATH, getStore, type Item } from "hfdmd-nextjs";
import useSWRSubscription from "swr/subscription";

/** All downloads under an SWR key, kept current by the event stream: no polling. */
export function useDownloadsSWR(basePath = DEFAULT_BASE_PATH) {
  return useSWRSubscription<readonly Item[], Error, string>(basePath, (key, { next }) => {
    const store = getStore(key);
    const pass = () => next(null, store.getSnapshot().items);
    pass();
    return store.subscribe(pass);
  });
}
