import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Ledger } from "../../src/browser/ledger.js";
import { escapeGlob, keyOf, requestFor, stateOf } from "../../src/browser/item.js";
import { download, repo } from "./stage.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const versions = (ledger: Ledger) => ledger.all().map(({ id, version }) => [id, version]);

test("the newest version wins, in whatever order they come", () => {
  const ledger = new Ledger();
  expect(ledger.receive(download({ version: 5 }))).toBe(true);
  expect(ledger.receive(download({ version: 4, status: "queued" }))).toBe(false);
  expect(ledger.answer(download({ version: 5, status: "queued" }))).toBe(false);
  expect(ledger.get("d1")?.status).toBe("downloading");
  ledger.receive(download({ version: 6, status: "done" }));
  expect(ledger.find(keyOf({ modelRepo: "owner/name", filePath: "model.gguf" }))?.status).toBe("done");
});

test("what a new stream says first always counts: the daemon may have begun anew", () => {
  const ledger = new Ledger();
  ledger.receive(download({ version: 500 }));
  ledger.begin();
  ledger.receive(download({ version: 3 }));
  expect(versions(ledger)).toEqual([["d1", 3]]);
  ledger.receive(download({ version: 2 }));
  expect(versions(ledger)).toEqual([["d1", 3]]);
});

test("but not over a newer answer that came since", () => {
  const ledger = new Ledger();
  ledger.begin();
  ledger.answer(download({ version: 5 }));
  ledger.receive(download({ version: 4 }));
  expect(versions(ledger)).toEqual([["d1", 5]]);
});

test("what is not named before ready is gone; what ended long ago stays", () => {
  const ledger = new Ledger();
  const old = new Date(Date.now() - 48 * 3600_000).toISOString();
  ledger.receive(download({ id: "live" }));
  ledger.receive(download({ id: "failed", filePath: "f", status: "failed", updatedAt: old }));
  ledger.receive(download({ id: "named", filePath: "n" }));
  ledger.receive(download({ id: "ended", filePath: "e", status: "done" }));
  ledger.receive(download({ id: "old", filePath: "o", status: "done", updatedAt: old }));
  ledger.begin();
  ledger.receive(download({ id: "named", filePath: "n" }));
  ledger.answer(download({ id: "asked", filePath: "a" }));
  ledger.ready();
  expect(ledger.all().map(({ id }) => id)).toEqual(["named", "old", "asked"]);
  vi.advanceTimersByTime(6000); // an answer is fresh for some seconds only
  ledger.begin();
  ledger.ready();
  expect(ledger.all().map(({ id }) => id)).toEqual(["old"]);
});

test("another tab's state takes the place of this one's", () => {
  const ledger = new Ledger();
  ledger.receive(download({ id: "a" }));
  ledger.receive(download({ id: "b", filePath: "b", version: 9 }));
  ledger.replace([download({ id: "b", filePath: "b", version: 3 })]);
  expect(versions(ledger)).toEqual([["b", 3]]);
});

test("a place in the queue changes without a new version", () => {
  const ledger = new Ledger();
  const waiting = download({ status: "queued", queuePosition: 2, version: 7 });
  ledger.receive(waiting);
  expect(ledger.moved).toBe(false);
  ledger.setPosition({ ...waiting, queuePosition: 1 });
  expect(ledger.get("d1")).toMatchObject({ queuePosition: 1 });
  ledger.setPosition({ ...waiting, queuePosition: 5, version: 6 });
  expect(ledger.get("d1")).toMatchObject({ queuePosition: 1 });
  ledger.receive(download({ version: 8 }));
  expect(ledger.moved).toBe(true);
});

test("what was removed is found no more", () => {
  const ledger = new Ledger();
  ledger.receive(download());
  expect(ledger.remove("d1")).toBe(true);
  expect(ledger.remove("d1")).toBe(false);
  expect(ledger.find(keyOf(download()))).toBeUndefined();
});

test("a target and what the daemon made of it have one key", () => {
  expect(keyOf({ modelRepo: "owner/name", filePath: "model.gguf" })).toBe(keyOf(download()));
  expect(keyOf({ modelRepo: "owner/name", filePath: "model.gguf", revision: "v2" })).not.toBe(keyOf(download()));
  expect(keyOf({ modelRepo: "owner/name", filePath: "model.gguf" })).not.toBe(keyOf(download({ localDir: "…" })));
  expect(keyOf({ modelRepo: "owner/name" })).toBe(keyOf(repo()));
  expect(keyOf({ modelRepo: "owner/name", include: ["b", "a", "a"] })).toBe(keyOf(repo({ include: ["a", "b"] })));
  expect(keyOf({ modelRepo: "owner/name", include: ["a"] })).not.toBe(keyOf(repo({ exclude: ["a"] })));
});

test("a request says only what was said", () => {
  expect(requestFor({ modelRepo: "a/b", filePath: "c", include: ["x"] })).toEqual({ modelRepo: "a/b", filePath: "c" });
  expect(requestFor({ modelRepo: "a/b", include: ["x"], exclude: [], revision: "v1", repoType: "dataset" })).toEqual({
    modelRepo: "a/b",
    revision: "v1",
    repoType: "dataset",
    include: ["x"],
  });
});

test("states as a person sees them", () => {
  expect(stateOf(undefined)).toBe("idle");
  expect(stateOf(download({ status: "cancelled" }))).toBe("idle");
  expect(stateOf(download({ status: "queued", retryAt: "2026-01-01T00:00:00Z" }))).toBe("waiting");
  expect(stateOf(download({ phase: "resolving" }))).toBe("resolving");
  expect(stateOf(repo({ phase: "listing" }))).toBe("resolving");
  expect(stateOf(download({ phase: "placing" }))).toBe("verifying");
});

test("a path as a glob means itself", () => {
  expect(escapeGlob("a[1]*?.bin")).toBe("a[[]1][*][?].bin");
});
