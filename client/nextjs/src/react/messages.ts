import type { Reason } from "../wire.js";

/** Every text of the button. `{name}` and the like are filled in; translate what you need and pass it to `HfdmdProvider`. */
export const buttonMessages = {
  download: "Download",
  queued: "Queued",
  queuedAt: "Queued, #{position}",
  waiting: "Waiting",
  tryIn: "try {attempt}, in {time}",
  resolving: "Starting…",
  verifying: "Checking…",
  resume: "Resume",
  paused: "paused",
  done: "Downloaded",
  retry: "Retry",
  failed: "failed",
  stalled: "stalled",
  left: "{time} left",
  pause: "Pause",
  cancel: "Cancel",
  actionOn: "{action} {name}",
  progressOf: "Progress of {name}",
  ofTotal: "{done} of {total}",
  confirmCancel: "Cancel {name}? {size} of it are here already and will be deleted.",
  announce: "{name}: {state}",
  reasons: {
    repo_not_found: "No such repo",
    revision_not_found: "No such revision",
    file_not_found: "No such file",
    gated: "Access must be granted on the Hub",
    unauthorized: "Access denied",
    hash_mismatch: "Content differs from what the Hub promised",
    unverifiable: "Content cannot be verified",
    tls: "Certificate refused",
    disk_error: "Disk error",
    path_taken: "Another file is in the way",
    xet_required: "Only available over Xet",
    internal: "Internal error",
    network: "No network",
    hub_unavailable: "The Hub does not answer",
    rate_limited: "The Hub asks to wait",
    stalled: "Stalled",
    locked: "In use by another program",
    disk_full: "The disk is full",
    restarted: "Starts over",
    requested: "Paused",
    daemon_unreachable: "The download service is not running",
    daemon_unauthorized: "The download service refuses this app",
    queue_full: "The queue is full",
    loading: "The download service is starting",
  } satisfies Record<Reason, string> & Record<string, string> as Record<string, string>,
};

export type ButtonMessages = typeof buttonMessages;

/** `text` with its `{names}` filled in. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
