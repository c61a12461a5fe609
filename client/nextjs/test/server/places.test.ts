import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { places, type Daemon, type Place } from "../../src/server/places.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hfdmd-places-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function all(env: Record<string, string>, daemon: Daemon = {}): Promise<Place[]> {
  const found: Place[] = [];
  for await (const place of places(daemon, env)) found.push(place);
  return found;
}

test("what was set on purpose is the only place", async () => {
  expect(await all({ HFDMD_URL: "http://h:1", HFDMD_TOKEN: "t", HFDMD_SOCKET: "/s" })).toEqual([
    { url: "http://h:1", token: "t" },
  ]);
  expect(await all({ HFDMD_SOCKET: "/s", XDG_RUNTIME_DIR: "/run/user/1" })).toEqual([{ socket: "/s" }]);
  expect(await all({ HFDMD_URL: "http://h:1" }, { socket: "~/d.sock" })).toEqual([
    { socket: join((await import("node:os")).homedir(), "d.sock") },
  ]);
});

test("else the runtime folder, the daemon's own word, the state folder, the system service", async () => {
  await writeFile(join(folder, "endpoint.json"), JSON.stringify({ pid: 1, socket: "/elsewhere/d.sock", url: null }));
  expect(await all({ XDG_RUNTIME_DIR: "/run/user/1", HFDMD_STATE_DIR: folder })).toEqual([
    { socket: "/run/user/1/hfdmd.sock" },
    { socket: "/elsewhere/d.sock" },
    { socket: join(folder, "hfdmd.sock") },
    { socket: "/run/hfdmd.sock" },
  ]);
});

test("an endpoint file that is none is passed over", async () => {
  for (const content of ["{", "{}", '{"socket": "relative.sock"}', '{"socket": 7}']) {
    await writeFile(join(folder, "endpoint.json"), content);
    expect(await all({ HFDMD_STATE_DIR: folder })).toHaveLength(2);
  }
});
