/**
 * For code that runs on the server: a client of the daemon, and events. Server Components and Server Actions call it directly;
 * browsers never reach it.
 */
import { Hfdmd } from "./server/client.js";
import type { Daemon } from "./server/places.js";

export { RequestError } from "./request-error.js";
export { onDownloadComplete } from "./server/events.js";
export type { Hfdmd } from "./server/client.js";
export type { Daemon } from "./server/places.js";
export type { Item, Target } from "./browser/item.js";

/** A client of the daemon; without `daemon` the one in the environment, as everywhere. */
export const hfdmd = (daemon?: Daemon): Hfdmd => new Hfdmd(daemon);
