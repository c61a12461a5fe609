import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Item } from "../../src/server.js";
import { onDownloadComplete } from "../../src/server.js";
import { FakeDaemon, until } from "./daemon.js";

let daemon: FakeDaemon;
let stop = () => undefined as void;
const completed: string[] = [];
beforeEach(async () => {
  daemon = await FakeDaemon.start();
  completed.length = 0;
});
afterEach(async () => {
  stop();
  await daemon.stop();
});

const file = (id: string, status: string, repoIds: string[] = []) => ({
  id,
  modelRepo: "a/b",
  filePath: id,
  status,
  repoIds,
});
const repo = (id: string, status: string) => ({ id, modelRepo: "a/b", filesTotal: 2, status });

async function listen(listener: (item: Item) => unknown = ({ id }) => completed.push(id)): Promise<void> {
  stop = onDownloadComplete(listener, { socket: daemon.socket });
  await until(() => daemon.streams.size === 1, "a stream");
}

test("each download that completes is heard once: files asked for singly and whole repos, not their files", async () => {
  await listen();
  daemon.send("progress", file("old", "done"));
  daemon.send("progress", file("live", "downloading"));
  daemon.send("repo", repo("repo", "downloading"));
  daemon.send("ready", {});
  daemon.send("progress", file("live", "done"));
  daemon.send("progress", file("live", "done"));
  daemon.send("progress", file("of-repo", "done", ["repo"]));
  daemon.send("repo", repo("repo", "done"));
  daemon.send("progress", file("quick", "done")); // too quick to be seen on its way
  daemon.send("progress", file("old", "queued"));
  daemon.send("progress", file("old", "done")); // an update
  await until(() => completed.length === 4, "four completions");
  expect(completed).toEqual(["live", "repo", "quick", "old"]);
});

test("also what completed while the connection was lost", async () => {
  await listen();
  daemon.send("progress", file("was-done", "done"));
  daemon.send("progress", file("live", "downloading"));
  daemon.send("ready", {});
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const res of daemon.streams) res.destroy();
  await until(() => daemon.streams.size === 0, "the end of the first stream");
  await until(() => daemon.streams.size === 1, "the next stream");
  for (const id of ["was-done", "live", "new"]) daemon.send("progress", file(id, "done"));
  daemon.send("ready", {});
  await until(() => completed.length === 2, "two completions");
  expect(completed).toEqual(["live", "new"]);
});

test("a listener that fails is logged and stops nothing", async () => {
  const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
  await listen(({ id }) => {
    completed.push(id);
    throw new Error(`no room for ${id}`);
  });
  daemon.send("ready", {});
  daemon.send("progress", file("a", "done"));
  daemon.send("progress", file("b", "done"));
  await until(() => completed.length === 2, "both");
  await until(() => error.mock.calls.length === 2, "both errors");
  expect(String(error.mock.calls[0]?.[1])).toContain("no room for a");
  error.mockRestore();
});

test("ends when asked to", async () => {
  await listen();
  stop();
  await until(() => daemon.streams.size === 0, "the end of the stream");
  await new Promise((resolve) => setTimeout(resolve, 700)); // longer than the first wait before a new try
  expect(daemon.streams.size).toBe(0);
});
