/** The calls that a browser may make. Anything else is never forwarded. */
export type CallName =
  | "download"
  | "reorder"
  | "delete"
  | "progress"
  | "pause"
  | "resume"
  | "cancel"
  | "retry"
  | "plan"
  | "files"
  | "info"
  | "health"
  | "settings"
  | "change_settings";

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

export interface Route {
  name: CallName;
  method: Method;
  /** The last part of the path, both here and at the daemon: `/api/<segment>`. */
  segment: string;
  /** Query parameters that are forwarded; any other is refused. */
  query: readonly string[];
}

const SELECTOR = [
  "id",
  "modelRepo",
  "ModelRepo",
  "filePath",
  "FilePath",
  "revision",
  "repoType",
  "localDir",
  "inCache",
  "status",
];

const route = (name: CallName, method: Method, segment: string, query: string[] = []): Route => ({
  name,
  method,
  segment,
  query,
});

export const ROUTES: readonly Route[] = [
  route("download", "POST", "download"),
  route("reorder", "PATCH", "download"),
  route("delete", "DELETE", "download", [...SELECTOR, "all", "deleteFile"]),
  route("progress", "GET", "progress", [...SELECTOR, "all", "limit", "cursor", "history"]),
  route("pause", "POST", "pause"),
  route("resume", "POST", "resume"),
  route("cancel", "POST", "cancel"),
  route("retry", "POST", "retry"),
  route("plan", "POST", "plan"),
  route("files", "GET", "files", ["modelRepo", "ModelRepo", "revision", "repoType", "limit", "cursor"]),
  route("info", "GET", "info"),
  route("health", "GET", "health"),
];

/** Only with `allowSettings`. */
export const SETTINGS_ROUTES: readonly Route[] = [
  route("settings", "GET", "settings"),
  route("change_settings", "PATCH", "settings"),
];
