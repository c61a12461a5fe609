// Generated from client/openapi.json by `npm run types`; not to be edited.

export interface paths {
    "/api/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Cancel and delete partial data. */
        post: operations["cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/download": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ask for a file, or for a repo or the part of it that globs name. Idempotent; never waits for the Hub. */
        post: operations["download"];
        /** Forget downloads, cancelling them first; with `deleteFile` delete their files too. */
        delete: operations["delete"];
        options?: never;
        head?: never;
        /** Change the priority or the position of what is queued. */
        patch: operations["reorder"];
        trace?: never;
    };
    "/api/files": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a repo has on the Hub, and what of it is here. */
        get: operations["files"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Answers when the scheduler does. */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/info": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Version, places, free space, counts, speed. */
        get: operations["info"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document. */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Pause: after the answer not a byte is read or written. */
        post: operations["pause"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/progress": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How far: one download (`id`, or `modelRepo` and `filePath`), one repo (`modelRepo`) or everything. With `Accept: text/event-stream` as a live stream. */
        get: operations["progress"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Resume what is paused. */
        post: operations["resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Queue again what failed or was cancelled; let go at once what waits for its `retryAt`. */
        post: operations["retry"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/settings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What may change while it runs. */
        get: operations["settings"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Change settings, all or none; they survive a restart. Null gives one back. */
        patch: operations["change_settings"];
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Prometheus metrics. */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * Affected
         * @description What an action's selector matched, as it stands now.
         */
        Affected: {
            downloads: components["schemas"]["Download"][];
            repos: components["schemas"]["RepoDownload"][];
        };
        /**
         * DeleteRequest
         * @description Body or query of `DELETE /api/download`.
         */
        DeleteRequest: {
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
            repoType?: components["schemas"]["RepoType"];
            revision?: string;
            status?: components["schemas"]["Status"];
        } & (unknown | unknown | unknown);
        /**
         * Download
         * @description One file of one repo at one revision, as the API shows it.
         */
        Download: {
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
            phase: components["schemas"]["Phase"] | null;
            priority: number;
            progress: number;
            queuePosition: number | null;
            reason: components["schemas"]["Reason"] | null;
            repoIds: string[];
            repoType: components["schemas"]["RepoType"];
            retryAt: string | null;
            revision: string;
            status: components["schemas"]["Status"];
            totalBytes: number | null;
            transport: ("http" | "xet") | null;
            updatedAt: string;
            version: number;
        };
        /**
         * DownloadRequest
         * @description Body of `POST /api/download`: one file with `filePath`, else a repo or what its globs name.
         */
        DownloadRequest: {
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
            repoType?: components["schemas"]["RepoType"];
            /** @default false */
            retry?: boolean;
            /** @default main */
            revision?: string;
            /** @default false */
            update?: boolean;
        };
        /**
         * Downloads
         * @description A list of downloads and repo downloads; `nextCursor` asks for the rest.
         */
        Downloads: {
            downloads: components["schemas"]["Download"][];
            /** @default null */
            nextCursor?: string | null;
            repos: components["schemas"]["RepoDownload"][];
        };
        /**
         * End
         * @description Data of an SSE `end` event.
         */
        End: {
            reason: components["schemas"]["EndReason"];
        };
        /**
         * EndReason
         * @description Why a stream ended.
         * @enum {unknown}
         */
        EndReason: "cancelled" | "done" | "failed" | "idle" | "lagging" | "shutdown";
        /** Health */
        Health: {
            /**
             * @default ok
             * @enum {unknown}
             */
            status?: "ok";
        };
        /** Info */
        Info: {
            apiVersion: string;
            bytesPerSecond: number;
            cacheDir: string;
            counts: {
                [key: string]: number;
            };
            freeBytes: number | null;
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
         * @description What a downloading one is busy with; `listing` only on a repo download.
         * @enum {unknown}
         */
        Phase: "listing" | "placing" | "resolving" | "transferring" | "verifying";
        /**
         * Problem
         * @description An error, as RFC 9457 `application/problem+json` with a stable `code`.
         */
        Problem: {
            code: string;
            detail: string;
            /** @default null */
            field?: string | null;
            status: number;
            title: string;
            type: string;
        };
        /**
         * Reason
         * @description Why a download failed, waits or is paused: a closed set. `REASON_STATUS` says which is for what.
         * @enum {unknown}
         */
        Reason: "disk_error" | "disk_full" | "file_not_found" | "gated" | "hash_mismatch" | "hub_unavailable" | "internal" | "locked" | "network" | "path_taken" | "rate_limited" | "repo_not_found" | "requested" | "restarted" | "revision_not_found" | "stalled" | "tls" | "unauthorized" | "unverifiable" | "xet_required";
        /**
         * Removed
         * @description Data of an SSE `removed` event.
         */
        Removed: {
            id: string;
        };
        /**
         * ReorderRequest
         * @description Body of `PATCH /api/download`: a selector and exactly one of `priority` and `position`.
         */
        ReorderRequest: ({
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
            repoType?: components["schemas"]["RepoType"];
            revision?: string;
            status?: components["schemas"]["Status"];
        } & (unknown | unknown)) & (unknown | unknown | unknown);
        /**
         * RepoDownload
         * @description One request for many files of a repo, summed up over them.
         */
        RepoDownload: {
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
            phase: components["schemas"]["Phase"] | null;
            progress: number;
            reason: components["schemas"]["Reason"] | null;
            repoType: components["schemas"]["RepoType"];
            revision: string;
            status: components["schemas"]["Status"];
            totalBytes: number | null;
            updatedAt: string;
            version: number;
        };
        /**
         * RepoFile
         * @description One file of a repo on the Hub. `status` and `id` are those of its download, `cached` says it is on disk.
         */
        RepoFile: {
            cached: boolean;
            filePath: string;
            id: string | null;
            size: number | null;
            status: components["schemas"]["Status"] | null;
        };
        /** RepoFiles */
        RepoFiles: {
            commit: string;
            files: components["schemas"]["RepoFile"][];
            /** @default null */
            nextCursor?: string | null;
        };
        /**
         * RepoType
         * @enum {unknown}
         */
        RepoType: "dataset" | "model" | "space";
        /**
         * ScheduleRule
         * @description A bandwidth limit for some hours of some days, in local time. `to` before `from` runs past midnight.
         */
        ScheduleRule: {
            bandwidthLimit: number;
            days: ("fri" | "mon" | "sat" | "sun" | "thu" | "tue" | "wed")[];
            from: string;
            to: string;
        };
        /**
         * Selector
         * @description Which downloads an action is for; an omitted field matches any value.
         */
        Selector: {
            /** @enum {boolean} */
            all?: true;
            filePath?: string;
            id?: string;
            /** @enum {boolean} */
            inCache?: true;
            localDir?: string;
            modelRepo?: string;
            repoType?: components["schemas"]["RepoType"];
            revision?: string;
            status?: components["schemas"]["Status"];
        } & (unknown | unknown | unknown);
        /**
         * Settings
         * @description What may change while the daemon runs, as it now stands.
         */
        Settings: {
            bandwidthLimit: number;
            maxActiveDownloads: number;
            maxConnections: number;
            maxConnectionsPerFile: number;
            minFreeBytes: number;
            schedule: components["schemas"]["ScheduleRule"][];
            stallTimeout: number;
        };
        /**
         * SettingsPatch
         * @description Body of `PATCH /api/settings`: null gives a setting back to files, environment and flags.
         */
        SettingsPatch: {
            bandwidthLimit?: number | null;
            maxActiveDownloads?: number | null;
            maxConnections?: number | null;
            maxConnectionsPerFile?: number | null;
            minFreeBytes?: number | null;
            schedule?: components["schemas"]["ScheduleRule"][] | null;
            stallTimeout?: number | null;
        };
        /**
         * Status
         * @description Where a download or a repo download stands (docs/api.md, section 2).
         * @enum {unknown}
         */
        Status: "cancelled" | "done" | "downloading" | "failed" | "paused" | "queued";
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type Affected = components['schemas']['Affected'];
export type DeleteRequest = components['schemas']['DeleteRequest'];
export type Download = components['schemas']['Download'];
export type DownloadRequest = components['schemas']['DownloadRequest'];
export type Downloads = components['schemas']['Downloads'];
export type End = components['schemas']['End'];
export type EndReason = components['schemas']['EndReason'];
export type Health = components['schemas']['Health'];
export type Info = components['schemas']['Info'];
export type Phase = components['schemas']['Phase'];
export type Problem = components['schemas']['Problem'];
export type Reason = components['schemas']['Reason'];
export type Removed = components['schemas']['Removed'];
export type ReorderRequest = components['schemas']['ReorderRequest'];
export type RepoDownload = components['schemas']['RepoDownload'];
export type RepoFile = components['schemas']['RepoFile'];
export type RepoFiles = components['schemas']['RepoFiles'];
export type RepoType = components['schemas']['RepoType'];
export type ScheduleRule = components['schemas']['ScheduleRule'];
export type Selector = components['schemas']['Selector'];
export type Settings = components['schemas']['Settings'];
export type SettingsPatch = components['schemas']['SettingsPatch'];
export type Status = components['schemas']['Status'];
export type $defs = Record<string, never>;
export interface operations {
    cancel: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Selector"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_allowed_now` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    download: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DownloadRequest"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Download"] | components["schemas"]["RepoDownload"];
                };
            };
            /** @description Queued by this call. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Download"] | components["schemas"]["RepoDownload"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden_path` or `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `queue_full` or `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete: {
        parameters: {
            query?: {
                /** @description Everything. */
                all?: boolean;
                /** @description Delete the file as well. */
                deleteFile?: boolean;
                /** @description Path of the file in the repo. Also spelled `FilePath`. */
                filePath?: string;
                /** @description The id of a download or a repo download. */
                id?: string;
                /** @description Only what goes to the Hub's cache: what has no `localDir`. */
                inCache?: boolean;
                /** @description Folder that the file goes to instead of the Hub's cache. */
                localDir?: string;
                /** @description Repo id, `owner/name`. Also spelled `ModelRepo`. */
                modelRepo?: string;
                /** @description `model`, `dataset` or `space`. */
                repoType?: components["schemas"]["RepoType"];
                /** @description Branch, tag, commit or `refs/pr/N`. */
                revision?: string;
                /** @description Only what has this status. */
                status?: components["schemas"]["Status"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["DeleteRequest"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden_path` or `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    reorder: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReorderRequest"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_allowed_now` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    files: {
        parameters: {
            query: {
                /** @description Go on where the list before ended: its `nextCursor`. Not on a stream. */
                cursor?: string;
                /** @description At most so many, 1000 unless told, 10000 at most. Not on a stream. */
                limit?: number;
                /** @description Repo id, `owner/name`. Also spelled `ModelRepo`. */
                modelRepo: string;
                /** @description `model`, `dataset` or `space`. */
                repoType?: components["schemas"]["RepoType"];
                /** @description Branch, tag, commit or `refs/pr/N`. */
                revision?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RepoFiles"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `gated` or `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `repo_not_found` or `revision_not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `hub_unavailable` or `tls` */
            502: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    info: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Info"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pause: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Selector"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_allowed_now` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    progress: {
        parameters: {
            query?: {
                /** @description Everything. */
                all?: boolean;
                /** @description Go on where the list before ended: its `nextCursor`. Not on a stream. */
                cursor?: string;
                /** @description Path of the file in the repo. Also spelled `FilePath`. */
                filePath?: string;
                /** @description Stream of everything: begin with all that ever ended, not with the last 24 hours. */
                history?: boolean;
                /** @description The id of a download or a repo download. */
                id?: string;
                /** @description Only what goes to the Hub's cache: what has no `localDir`. */
                inCache?: boolean;
                /** @description At most so many, 1000 unless told, 10000 at most. Not on a stream. */
                limit?: number;
                /** @description Folder that the file goes to instead of the Hub's cache. */
                localDir?: string;
                /** @description Repo id, `owner/name`. Also spelled `ModelRepo`. */
                modelRepo?: string;
                /** @description `model`, `dataset` or `space`. */
                repoType?: components["schemas"]["RepoType"];
                /** @description Branch, tag, commit or `refs/pr/N`. */
                revision?: string;
                /** @description Only what has this status. */
                status?: components["schemas"]["Status"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Download"] | components["schemas"]["RepoDownload"] | components["schemas"]["Downloads"];
                    "text/event-stream": string;
                };
            };
            /** @description Nothing has changed since the `end` of the stream before. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` or `queue_full` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resume: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Selector"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden_path` or `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_allowed_now` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    retry: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Selector"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Affected"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden_path` or `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unknown_download` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_allowed_now` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `loading` */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    settings: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Settings"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_settings: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SettingsPatch"];
            };
        };
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Settings"];
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain; version=0.0.4": string;
                };
            };
            /** @description `malformed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized` or `forbidden_origin` or `forbidden_host` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_field` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal` */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
