/** Texts of the queue and the file list; separate from messages.ts so that a button alone stays below its budget of 8 KB. */
import { buttonMessages } from "./messages.js";

/** English texts, see `buttonMessages`. */
export const queueMessages = {
  downloads: "Downloads",
  filters: { all: "All", active: "Active", queued: "Queued", paused: "Paused", done: "Done", failed: "Failed" },
  filterLabel: "Show",
  search: "Search downloads",
  empty: "No downloads yet.",
  emptyFilter: "No downloads match.",
  loading: "Loading…",
  reconnecting: "Reconnecting…",
  leftAtLeast: "more than {time} left",
  free: "{size} free",
  tooFull: "{size} remain to be downloaded, but only {free} are free.",
  pauseAll: "Pause all",
  resumeAll: "Resume all",
  clear: "Clear finished",
  clearConfirm: "Remove all finished downloads from the list? Their files stay.",
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
  allFiles: "all files",
  without: "without {files}",
  moreFiles: "{count} more",
  copyPath: "Copy the path of",
  copyByHand: "This page may not copy (it needs https). Select the path instead.",
  filesDone: "{done} of {total} files",
  filesFailed: "{count} failed",
  showFiles: "Show the files of",
  more: "Show more",
  files: "Files of {name}",
  quantisations: "Quantisations",
  projectors: "For images (mmproj)",
  withProjector: "with mmproj",
  recommended: "recommended",
  tooLarge: "does not fit, {free} free",
  otherFiles: "Files",
  select: "Select",
  downloadSelected: "Download {count} selected · {size}",
  downloadAll: "Download all · {size}",
  parts: "{count} parts",
  cached: "on disk",
  unknownSize: "size unknown",
  tryAgain: "Try again",
};

/** All texts in one object, for translations. */
export const messages = { ...buttonMessages, ...queueMessages };

export type Messages = typeof messages;
