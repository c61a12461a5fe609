/**
 * Status, progress and error of downloads. The daemon keeps them, in one small JSON file per download; `GET /api/progress` answers with them
 * as JSON, or as a live stream of server-sent events.
 */
export { hfdmd as progressTracker } from "./download.huggingface";
