import type { Download, DownloadRequest, RepoDownload, RepoType } from "../wire.js";

/** A file download or a repo download. */
export type Item = Download | RepoDownload;

/** What to download: one file, or without `filePath` a repo, limited by the globs. */
export interface Target {
  modelRepo: string;
  filePath?: string;
  /** Branch, tag or commit. Default `main`. */
  revision?: string;
  /** Default `model`. */
  repoType?: RepoType;
  /** A folder on the server instead of the Hub's cache, if the app's routes allow it. */
  localDir?: string | null;
  include?: readonly string[] | null;
  exclude?: readonly string[] | null;
}

/** The state shown to the user. `loading`: not known yet. `waiting`: queued until `retryAt`. */
export type ItemState =
  "loading" | "idle" | "queued" | "waiting" | "resolving" | "downloading" | "verifying" | "paused" | "done" | "failed";

export function isRepo(item: Item): item is RepoDownload {
  return "filesTotal" in item;
}

/** The identity of a download as one string, from the daemon's five fields with their defaults. */
export function keyOf(of: Target | Item): string {
  const { modelRepo, revision, repoType, localDir } = of;
  const filePath = "filePath" in of ? of.filePath : undefined;
  const globs = "include" in of || "exclude" in of ? [sorted(of.include), sorted(of.exclude)] : [[], []];
  return JSON.stringify([repoType ?? "model", modelRepo, revision ?? "main", localDir ?? null, filePath ?? globs]);
}

const sorted = (globs: readonly string[] | null | undefined) => [...new Set(globs ?? [])].sort();

/** The body of `POST /api/download` for a target. */
export function requestFor(target: Target): DownloadRequest {
  const { modelRepo, filePath, revision, repoType, localDir, include, exclude } = target;
  const request: DownloadRequest = { modelRepo };
  if (revision) request.revision = revision;
  if (repoType) request.repoType = repoType;
  if (localDir) request.localDir = localDir;
  if (filePath !== undefined) return { ...request, filePath };
  if (include?.length) request.include = [...include];
  if (exclude?.length) request.exclude = [...exclude];
  return request;
}

export function stateOf(item: Item | undefined): ItemState {
  switch (item?.status) {
    case "queued":
      return "retryAt" in item && item.retryAt ? "waiting" : "queued";
    case "downloading":
      if (item.phase === "listing" || item.phase === "resolving") return "resolving";
      return item.phase === "verifying" || item.phase === "placing" ? "verifying" : "downloading";
    case "paused":
    case "done":
    case "failed":
      return item.status;
    default:
      return "idle";
  }
}

/** Whether it can still change without a user's action. */
export const isLive = (item: Item) => item.status === "queued" || item.status === "downloading";

/** `owner/name` or `owner/name/file`, for display. */
export function nameOf(of: Target | Item): string {
  return "filePath" in of && of.filePath ? `${of.modelRepo}/${of.filePath}` : of.modelRepo;
}

/** A glob that matches exactly this path: special characters are put in brackets. */
export const escapeGlob = (path: string) => path.replace(/[*?[]/g, "[$&]");
