/** The parts without React: the store, the types of the API, the texts. */
export { getStore, DEFAULT_BASE_PATH, type Pending, type Snapshot, type Store } from "./browser/store.js";
export { RequestError } from "./request-error.js";
export { daemonInfo, remove, reorder, repoFiles, type PublicInfo } from "./browser/calls.js";
export type { Connection } from "./browser/link.js";
export { isLive, isRepo, keyOf, nameOf, stateOf, type Item, type ItemState, type Target } from "./browser/item.js";
export { messages, type Messages } from "./react/queue-messages.js";
export type * from "./wire.js";
