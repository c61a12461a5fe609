/** Calls that the button does not need. */
import type { Affected, Info, RepoFiles, Selector } from "../wire.js";
import type { Target } from "./item.js";
import type { Store } from "./store.js";

/** Information about the daemon; its folders only with `exposePaths`. */
export type PublicInfo = Omit<Info, "cacheDir" | "stateDir" | "socket" | "url" | "pid"> & Partial<Info>;

type Changes = Pick<Store, "change">;

export function reorder(
  store: Changes,
  selector: Selector,
  to: { priority: number } | { position: number },
): Promise<Affected> {
  return store.change("reorder", selector, "PATCH", "download", { ...selector, ...to });
}

/** Removes downloads from the list, after cancelling them. `deleteFile` also deletes their files, if the app's routes allow it. */
export function remove(store: Changes, selector: Selector, deleteFile = false): Promise<Affected> {
  const query = Object.entries({ ...selector, ...(deleteFile ? { deleteFile } : {}) });
  const search = new URLSearchParams(query.map(([key, value]) => [key, String(value)]));
  return store.change("delete", selector, "DELETE", `download?${search.toString()}`);
}

/** All files of a repo on the Hub, from all pages. */
export async function repoFiles(
  store: Pick<Store, "send">,
  of: Pick<Target, "modelRepo" | "revision" | "repoType">,
  signal?: AbortSignal,
): Promise<RepoFiles> {
  const search = new URLSearchParams({ modelRepo: of.modelRepo });
  if (of.revision) search.set("revision", of.revision);
  if (of.repoType) search.set("repoType", of.repoType);
  const page = () => store.send<RepoFiles>("GET", `files?${search.toString()}`, undefined, signal);
  const first = await page();
  const files = [...first.files];
  for (let { nextCursor } = first; nextCursor;) {
    search.set("cursor", nextCursor);
    const next = await page();
    files.push(...next.files);
    nextCursor = next.nextCursor;
  }
  return { ...first, files, nextCursor: null };
}

export function daemonInfo(store: Pick<Store, "send">, signal?: AbortSignal): Promise<PublicInfo> {
  return store.send<PublicInfo>("GET", "info", undefined, signal);
}
