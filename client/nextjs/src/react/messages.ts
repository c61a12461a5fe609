/**
 * Texts of the button. Those of the queue are in queue-messages.ts, because a page with only the button has a budget of 8 KB gzipped;
 * words.ts and queue-words.ts are split for the same reason.
 */
import type { Reason } from "../wire.js";

/** English texts; `{name}` and other placeholders are filled in. Pass translations to `HfdmdProvider`. */
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
  confirmCancel: "Cancel {name}? {size} already downloaded will be deleted.",
  announce: "{name}: {state}",
  reasons: {
    repo_not_found: "Repo not found",
    revision_not_found: "Revision not found",
    file_not_found: "File not found",
    gated: "Access must be granted on the Hub",
    unauthorized: "Access denied",
    hash_mismatch: "Checksum mismatch",
    unverifiable: "Content cannot be verified",
    tls: "Certificate rejected",
    disk_error: "Disk error",
    path_taken: "Another file is at this path",
    xet_required: "Only available over Xet",
    internal: "Internal error",
    network: "No network",
    hub_unavailable: "The Hub is not available",
    rate_limited: "Rate limited by the Hub",
    stalled: "Stalled",
    locked: "In use by another program",
    disk_full: "The disk is full",
    restarted: "Restarted",
    requested: "Paused",
    daemon_unreachable: "The download service is not running",
    daemon_unauthorized: "The download service rejected this app",
    queue_full: "The queue is full",
    loading: "The download service is starting",
  } satisfies Record<Reason, string> & Record<string, string> as Record<string, string>,
};

export type ButtonMessages = typeof buttonMessages;

/** `text` with its `{placeholders}` replaced by `values`. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
