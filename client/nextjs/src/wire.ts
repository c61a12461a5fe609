// Generated from client/openapi.json by `npm run types`; not to be edited.

/**
 * Affected
 * @description The downloads that an action is for, in their present state.
 *
 *         By `id` or `filePath` all that match, otherwise those that the action changed. `unchanged`: how many of those that
 *         match it left as they were.
 */
export type Affected = {
    downloads: Download[];
    repos: RepoDownload[];
    unchanged: number;
};
/**
 * Check
 * @description One thing that downloads need. `found`: how it is; `cure`: what to do, empty when there is nothing to do.
 */
export type Check = {
    /** @default  */
    cure?: string;
    found: string;
    state: CheckState;
    what: string;
};
/** Checks */
export type Checks = {
    checks: Check[];
};
/**
 * CheckState
 * @description How a check ended. `warning`: it works, but not as one would wish; `problem`: downloads cannot work.
 * @enum {unknown}
 */
export type CheckState = "ok" | "problem" | "warning";
/**
 * DeleteRequest
 * @description Body or query of `DELETE /api/download`.
 */
export type DeleteRequest = {
    /** @enum {boolean} */
    all?: true;
    /** @default false */
    deleteFile?: boolean;
    filePath?: string;
    id?: string;
    /** @enum {boolean} */
    inCache?: true;
    localDir?: string;
    modelRepo?: string;
    repoType?: RepoType;
    revision?: string;
    status?: Status;
} & (unknown | unknown | unknown);
/**
 * Download
 * @description One file of one repo at one revision.
 */
export type Download = {
    attempt: number;
    bytesPerSecond: number | null;
    commit: string | null;
    createdAt: string;
    detail: string | null;
    digest: string | null;
    downloadedBytes: number;
    error: string | null;
    etaSeconds: number | null;
    filePath: string;
    id: string;
    localDir: string | null;
    modelRepo: string;
    path: string | null;
    phase: Phase | null;
    priority: number;
    progress: number;
    queuePosition: number | null;
    reason: Reason | null;
    repoIds: string[];
    repoType: RepoType;
    retryAt: string | null;
    reusedBytes: number;
    revision: string;
    status: Status;
    totalBytes: number | null;
    transport: ("http" | "xet") | null;
    updatedAt: string;
    version: number;
};
/**
 * DownloadPlan
 * @description What a download would do. Sizes are sums over the files whose size is known.
 *
 *         `reusableBytes` are those that could be copied from other files on this machine; `fetchBytes` those that would come
 *         over the network. `fits`: the disk has room for all of them. `files` are the first 1000.
 */
export type DownloadPlan = {
    cachedBytes: number;
    commit: string;
    fetchBytes: number;
    files: PlannedFile[];
    filesTotal: number;
    fits: boolean;
    freeBytes: number;
    reusableBytes: number;
    totalBytes: number;
};
/**
 * DownloadRequest
 * @description Body of `POST /api/download`: one file with `filePath`, else a repo or the files that its globs match.
 */
export type DownloadRequest = {
    /** @default null */
    exclude?: string[] | null;
    filePath?: string;
    /** @default null */
    include?: string[] | null;
    /** @default null */
    localDir?: string | null;
    modelRepo: string;
    priority?: number;
    /** @default model */
    repoType?: RepoType;
    /** @default false */
    retry?: boolean;
    /** @default main */
    revision?: string;
    /** @default false */
    update?: boolean;
};
/**
 * Downloads
 * @description A page of downloads and repo downloads; `nextCursor` requests the next one.
 */
export type Downloads = {
    downloads: Download[];
    /** @default null */
    nextCursor?: string | null;
    repos: RepoDownload[];
};
/**
 * End
 * @description Data of an SSE `end` event.
 */
export type End = {
    reason: EndReason;
};
/**
 * EndReason
 * @description Why a stream ended.
 * @enum {unknown}
 */
export type EndReason = "cancelled" | "done" | "failed" | "idle" | "lagging" | "shutdown";
/** Health */
export type Health = {
    /**
     * @default ok
     * @enum {unknown}
     */
    status?: "ok";
};
/** Info */
export type Info = {
    apiVersion: string;
    bytesPerSecond: number;
    cacheDir: string;
    counts: {
        [key: string]: number;
    };
    freeBytes: number | null;
    hasHubToken: boolean;
    hubEndpoint: string;
    loading: boolean;
    pid: number;
    socket: string | null;
    stateDir: string;
    url: string | null;
    version: string;
};
/**
 * Phase
 * @description Phase of a download with status `downloading`; `listing` only of a repo download.
 * @enum {unknown}
 */
export type Phase = "listing" | "placing" | "resolving" | "transferring" | "verifying";
/**
 * PlannedFile
 * @description One file of a plan. `cached`: it is on disk already.
 */
export type PlannedFile = {
    cached: boolean;
    filePath: string;
    size: number | null;
};
/**
 * Problem
 * @description An error, as RFC 9457 `application/problem+json` with a stable `code`.
 */
export type Problem = {
    code: string;
    detail: string;
    /** @default null */
    field?: string | null;
    status: number;
    title: string;
    type: string;
};
/**
 * Quantisation
 * @description One quantisation of a GGUF repo. `files` are all that belong to it: its parts, and `mmproj`, the projector.
 */
export type Quantisation = {
    files: string[];
    mmproj: string | null;
    name: string;
    recommended: boolean;
    totalBytes: number | null;
};
/**
 * Reason
 * @description Why a download failed, waits or is paused: a closed set.
 * @enum {unknown}
 */
export type Reason = "disk_error" | "disk_full" | "file_not_found" | "gated" | "hash_mismatch" | "hub_unavailable" | "internal" | "locked" | "network" | "path_taken" | "rate_limited" | "repo_not_found" | "requested" | "restarted" | "revision_not_found" | "stalled" | "tls" | "unauthorized" | "unverifiable" | "xet_required";
/**
 * Removed
 * @description Data of an SSE `removed` event.
 */
export type Removed = {
    id: string;
};
/**
 * ReorderRequest
 * @description Body of `PATCH /api/download`: a selector and exactly one of `priority` and `position`.
 */
export type ReorderRequest = ({
    /** @enum {boolean} */
    all?: true;
    filePath?: string;
    id?: string;
    /** @enum {boolean} */
    inCache?: true;
    localDir?: string;
    modelRepo?: string;
    position?: number;
    priority?: number;
    repoType?: RepoType;
    revision?: string;
    status?: Status;
} & (unknown | unknown)) & (unknown | unknown | unknown);
/**
 * RepoDownload
 * @description One request for many files of a repo, with the sums over them.
 */
export type RepoDownload = {
    bytesPerSecond: number | null;
    commit: string | null;
    createdAt: string;
    detail: string | null;
    downloadedBytes: number;
    error: string | null;
    etaSeconds: number | null;
    exclude: string[];
    filesDone: number;
    filesFailed: number;
    filesTotal: number | null;
    id: string;
    include: string[];
    localDir: string | null;
    modelRepo: string;
    path: string | null;
    phase: Phase | null;
    priority: number;
    progress: number;
    queuePosition: number | null;
    reason: Reason | null;
    repoType: RepoType;
    reusedBytes: number;
    revision: string;
    status: Status;
    totalBytes: number | null;
    updatedAt: string;
    version: number;
};
/**
 * RepoFile
 * @description One file of a repo on the Hub. `status` and `id` are those of its download; `cached`: it is on disk.
 */
export type RepoFile = {
    cached: boolean;
    filePath: string;
    id: string | null;
    size: number | null;
    status: Status | null;
};
/**
 * RepoFiles
 * @description A page of a repo's files. `quantisations` are those of the whole repo, on the first page only.
 */
export type RepoFiles = {
    commit: string;
    files: RepoFile[];
    /** @default null */
    nextCursor?: string | null;
    /** @default [] */
    quantisations?: Quantisation[];
};
/**
 * RepoType
 * @enum {unknown}
 */
export type RepoType = "dataset" | "model" | "space";
/**
 * ScheduleRule
 * @description A bandwidth limit for some hours of some days, in local time. If `to` is before `from` it ends the next day.
 */
export type ScheduleRule = {
    bandwidthLimit: number;
    days: ("fri" | "mon" | "sat" | "sun" | "thu" | "tue" | "wed")[];
    from: string;
    to: string;
};
/**
 * Selector
 * @description The downloads of an action; an omitted field matches any value.
 */
export type Selector = {
    /** @enum {boolean} */
    all?: true;
    filePath?: string;
    id?: string;
    /** @enum {boolean} */
    inCache?: true;
    localDir?: string;
    modelRepo?: string;
    repoType?: RepoType;
    revision?: string;
    status?: Status;
} & (unknown | unknown | unknown);
/**
 * Settings
 * @description Settings that may change while the daemon runs, with their present values.
 */
export type Settings = {
    bandwidthLimit: number;
    maxActiveDownloads: number;
    maxConnections: number;
    maxConnectionsPerFile: number;
    minFreeBytes: number;
    schedule: ScheduleRule[];
    stallTimeout: number;
    /** @enum {unknown} */
    transport: "auto" | "http" | "xet";
};
/**
 * SettingsPatch
 * @description Body of `PATCH /api/settings`: null returns a setting to `config.toml`, the environment and the flags.
 */
export type SettingsPatch = {
    bandwidthLimit?: number | null;
    maxActiveDownloads?: number | null;
    maxConnections?: number | null;
    maxConnectionsPerFile?: number | null;
    minFreeBytes?: number | null;
    schedule?: ScheduleRule[] | null;
    stallTimeout?: number | null;
    transport?: ("auto" | "http" | "xet") | null;
};
/**
 * Status
 * @description Status of a download or a repo download (docs/api.md, section 2).
 * @enum {unknown}
 */
export type Status = "cancelled" | "done" | "downloading" | "failed" | "paused" | "queued";
