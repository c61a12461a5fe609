import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { hfdmd, RequestError } from "../../src/server.js";
import { FakeDaemon, json } from "./daemon.js";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon.stop();
});

const client = () => hfdmd({ socket: daemon.socket });
const one = {
  id: "d1",
  modelRepo: "a/b",
  filePath: "c",
  revision: "main",
  repoType: "model",
  localDir: null,
  path: "/home/ann/c",
};
const sent = () => daemon.seen.map(({ method, url, body }) => [method, url, body && (JSON.parse(body) as unknown)]);

test("sends what the daemon's API expects", async () => {
  daemon.answer = (seen, res) => json(res, 200, seen.method === "POST" ? one : { downloads: [], repos: [] });
  await client().download({ modelRepo: "a/b", filePath: "c" }, { priority: 5 });
  await client().pause({ modelRepo: "a/b" });
  await client().retry({ id: "d1" });
  await client().reorder({ id: "d1" }, { position: 1 });
  await client().remove({ id: "d1" }, true);
  expect(sent()).toEqual([
    ["POST", "/api/download", { modelRepo: "a/b", filePath: "c", priority: 5 }],
    ["POST", "/api/pause", { modelRepo: "a/b" }],
    ["POST", "/api/retry", { id: "d1" }],
    ["PATCH", "/api/download", { id: "d1", position: 1 }],
    ["DELETE", "/api/download?id=d1&deleteFile=true", ""],
  ]);
});

test("lists and finds over all pages", async () => {
  daemon.answer = (seen, res) =>
    json(
      res,
      200,
      seen.url.includes("cursor=2")
        ? { downloads: [one], repos: [], nextCursor: null }
        : { downloads: [], repos: [], nextCursor: "2" },
    );
  expect(await client().find({ modelRepo: "a/b", filePath: "c" })).toEqual(one);
  expect(await client().find({ modelRepo: "a/b", filePath: "other" })).toBeUndefined();
  expect(daemon.seen[1]?.url).toBe("/api/progress?modelRepo=a%2Fb&cursor=2");
});

test("a snapshot for browsers has no folders of the server, unless the app shows them", async () => {
  daemon.answer = (_seen, res) => json(res, 200, { downloads: [one], repos: [], nextCursor: null });
  expect((await client().snapshot())?.downloads[0]).toMatchObject({ id: "d1", path: null });
  expect((await client().snapshot({ exposePaths: true }))?.downloads[0]).toMatchObject({ path: "/home/ann/c" });
});

test("errors have the daemon's code and sentence; without a daemon a page is shown all the same", async () => {
  daemon.answer = (_seen, res) => json(res, 409, { code: "not_allowed_now", detail: "It is done already." });
  const refused = await client()
    .pause({ id: "d1" })
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RequestError);
  expect(refused).toMatchObject({ code: "not_allowed_now", status: 409, message: "It is done already." });
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  daemon.answer = (_seen, res) => void res.destroy();
  await expect(client().info()).rejects.toMatchObject({ code: "daemon_unreachable" });
  const nowhere = hfdmd({ socket: "/nowhere/hfdmd.sock" });
  await expect(nowhere.info()).rejects.toMatchObject({ code: "daemon_unreachable", status: 503 });
  expect(await nowhere.snapshot()).toBeUndefined();
  warn.mockRestore();
});
