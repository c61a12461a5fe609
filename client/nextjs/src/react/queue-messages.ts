import { buttonMessages } from "./messages.js";

/** Every further text of the queue and of the file list. */
export const queueMessages = {
  downloads: "Downloads",
  filters: { all: "All", active: "Active", queued: "Queued", paused: "Paused", done: "Done", failed: "Failed" },
  filterLabel: "Show",
  search: "Search downloads",
  empty: "Nothing here yet. Start a download and watch it arrive.",
  emptyFilter: "Nothing matches.",
  loading: "Loading…",
  reconnecting: "Reconnecting…",
  free: "{size} free",
  tooFull: "{size} are still to come, but only {free} are free.",
  pauseAll: "Pause all",
  resumeAll: "Resume all",
  clear: "Clear finished",
  clearConfirm: "Forget all finished downloads? Their files stay.",
  remove: "Forget",
  up: "Move up",
  down: "Move down",
  states: {
    loading: "…",
    idle: "Cancelled",
    queued: "Queued",
    waiting: "Waiting",
    resolving: "Starting",
    downloading: "Downloading",
    verifying: "Checking",
    paused: "Paused",
    done: "Done",
    failed: "Failed",
  },
  filesDone: "{done} of {total} files",
  filesFailed: "{count} failed",
  showFiles: "Show the files of",
  more: "Show more",
  files: "Files of {name}",
  quantisations: "Quantisations",
  otherFiles: "Files",
  select: "Select",
  downloadSelected: "Download {count} selected · {size}",
  downloadAll: "Download all · {size}",
  parts: "{count} parts",
  cached: "on disk",
  unknownSize: "size unknown",
  tryAgain: "Try again",
};

/** All texts in one object. */
export const messages = { ...buttonMessages, ...queueMessages };

export type Messages = typeof messages;
