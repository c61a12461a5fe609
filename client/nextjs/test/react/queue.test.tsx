import { fireEvent, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test } from "vitest";

import {
  DownloadQueue,
  groupFiles,
  RepoFiles,
  formatBytes,
  formatDuration,
  formatPercent,
  formatRate,
} from "../../src/react/index.js";
import type { Quantisation, RepoFile } from "../../src/index.js";
import { answerWith, asked, download, EMPTY_LIST, newBase, repo, say, settle, setUp, show, tearDown } from "./stage.js";

beforeEach(setUp);
afterEach(tearDown);

const info = {
  version: "1",
  apiVersion: "1",
  hubEndpoint: "h",
  freeBytes: 50_000_000,
  counts: {},
  bytesPerSecond: 0,
  loading: false,
};

async function queue() {
  answerWith(({ path }) => ({ body: path === "info" ? info : EMPTY_LIST }));
  await show(<DownloadQueue basePath={newBase()} showInTitle />);
}

const rows = () => screen.getAllByRole("listitem").map((row) => row.dataset.id);

test("empty only when it is known to be empty", async () => {
  await queue();
  expect(screen.getByText("Loading…")).toBeTruthy();
  await say(["ready", {}]);
  expect(screen.getByText(/^No downloads yet/)).toBeTruthy();
});

test("failed first, what moves, what waits in its order, then what ended; files of a repo stand under it", async () => {
  await queue();
  await say(
    ["progress", download({ id: "done", filePath: "a", status: "done" })],
    ["progress", download({ id: "q2", filePath: "b", status: "queued", queuePosition: 2 })],
    ["progress", download({ id: "q1", filePath: "c", status: "queued", queuePosition: 1 })],
    ["progress", download({ id: "active", filePath: "d", bytesPerSecond: 2e6, downloadedBytes: 30e6, progress: 50 })],
    [
      "progress",
      download({ id: "failed", filePath: "e", status: "failed", reason: "disk_error", error: "cannot write: EIO" }),
    ],
    ["repo", repo()],
    ["progress", download({ id: "of-repo", filePath: "f", repoIds: ["r1"], status: "done" })],
    ["ready", {}],
  );
  expect(rows()).toEqual(["failed", "active", "r1", "q1", "q2", "done"]);
  expect(screen.getByRole("alert").textContent).toBe("Disk error: cannot write: EIO");
  expect(screen.getAllByText("2 MB/s")).toHaveLength(2); // in all, and in the row
  expect(screen.getByText("1 of 3 files")).toBeTruthy();
  expect(screen.getByRole("button", { name: /^Active/ }).textContent).toBe("Active2");
  expect(document.title).toMatch(/^\(\d+%\)/);
  fireEvent.click(screen.getByRole("button", { name: "Show the files of owner/name" }));
  expect(rows()).toContain("of-repo");
  fireEvent.click(screen.getByRole("button", { name: /^Failed/ }));
  expect(rows()).toEqual(["failed"]);
});

test("a warning before what will not fit, with the numbers", async () => {
  await queue();
  await say(["progress", download({ totalBytes: 9e9, downloadedBytes: 1e9 })], ["ready", {}]);
  expect(screen.getByText("8 GB remain to be downloaded, but only 50 MB are free.")).toBeTruthy();
});

const head = () => screen.getByRole("region", { name: "Downloads" }).firstElementChild?.textContent;

test("time left in all: none while it cannot be known, more than that while a size is unknown or one is held up", async () => {
  document.title = "Shelf";
  await queue();
  const moving = { totalBytes: 40e6, downloadedBytes: 20e6, bytesPerSecond: 1e6, etaSeconds: 20 };
  await say(["progress", download({ id: "a", filePath: "a", ...moving })], ["ready", {}]);
  expect(head()).toContain("1 MB/s20 sec left");
  expect(document.title).toMatch(/^\(50%\)/);
  // A second, slower one: all together cannot be ready before it.
  const slow = { totalBytes: 36e6, downloadedBytes: 0, bytesPerSecond: 1e4, etaSeconds: 3600 };
  await say(["progress", download({ id: "b", filePath: "b", ...slow })]);
  expect(head()).toContain("1 hr left");
  await say(["progress", download({ id: "c", filePath: "c", status: "queued", totalBytes: null })]);
  expect(head()).toContain("more than 1 hr left");
  expect(document.title).toBe("Shelf");
  await say(["removed", { id: "c" }], ["progress", download({ id: "b", filePath: "b", ...slow, reason: "network" })]);
  expect(head()).toContain("1 MB/smore than 56 sec left");
  await say(["progress", download({ id: "a", filePath: "a", ...moving, reason: "network" })]);
  expect(head()).toMatch(/^0 kB\/s50 MB free/);
});

test("a row that is held up says why, in full", async () => {
  await queue();
  const away = { reason: "network", detail: "no connection to hub.example for 3 s" } as const;
  await say(
    ["progress", download({ ...away, downloadedBytes: 1e6, bytesPerSecond: 9e6, etaSeconds: 3 })],
    ["repo", repo({ ...away, bytesPerSecond: 9e6, etaSeconds: 3 })],
    ["ready", {}],
  );
  for (const row of screen.getAllByRole("listitem")) {
    expect(row.textContent).toContain("No network");
    expect(row.textContent).toContain("no connection to hub.example for 3 s");
    expect(row.textContent).not.toMatch(/MB\/s|left/);
  }
});

test("the model's name leads, its files follow, and the percentage is there", async () => {
  await queue();
  await say(
    ["progress", download({ id: "a", filePath: "gguf/m-Q4_0.gguf", revision: "v2", progress: 43.9 })],
    ["repo", repo({ id: "b" })],
    ["repo", repo({ id: "c", include: ["*.json", "*.txt"], exclude: ["x*"], status: "queued" })],
    ["ready", {}],
  );
  const lines = screen.getAllByRole("listitem").map((row) => [...row.querySelectorAll("p")].map((p) => p.textContent));
  expect(lines).toEqual([
    ["owner/name", "gguf/m-Q4_0.gguf @ v2"],
    ["owner/name", "all files"],
    ["owner/name", "*.json, *.txt · without x*"],
  ]);
  expect(screen.getByText("43%")).toBeTruthy();
});

test("files of a repo are one line each: name, percentage or what holds it up, actions", async () => {
  await queue();
  const files = Array.from({ length: 53 }, (_, n) =>
    download({ id: `f${n}`, filePath: `deep/${n}.bin`, repoIds: ["r1"], status: "queued" }),
  );
  await say(
    ["repo", repo()],
    ...files.slice(2).map((file): [string, unknown] => ["progress", file]),
    ["progress", { ...files[0], status: "downloading", phase: "transferring", progress: 12.3 }],
    ["progress", { ...files[1], status: "failed", reason: "disk_error", error: "EIO", detail: "EIO" }],
    ["ready", {}],
  );
  fireEvent.click(screen.getByRole("button", { name: "Show the files of owner/name" }));
  const line = (id: string) => screen.getAllByRole("listitem").find(({ dataset }) => dataset.id === id)!;
  expect(within(line("f0")).getByText("12%")).toBeTruthy();
  expect(within(line("f0")).getByRole("progressbar").getAttribute("aria-valuenow")).toBe("12");
  expect(within(line("f1")).getByRole("alert").textContent).toBe("Disk error");
  expect(line("f0").querySelectorAll("p")).toHaveLength(0);
  expect(screen.getByText("3 more")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Pause owner/name/deep/0.bin" }));
  await settle(0);
  expect(asked).toContainEqual({ method: "POST", path: "pause", body: { id: "f0" } });
});

test("repos have a place in the queue too", async () => {
  await queue();
  const waiting = { ...repo({ status: "queued" }), priority: 0, queuePosition: 2 };
  await say(["repo", waiting], ["ready", {}]);
  expect(screen.getByText("Queued #2")).toBeTruthy();
  answerWith(({ path }) => ({
    body: path === "info" ? info : { downloads: [], repos: [{ ...waiting, queuePosition: 1 }], nextCursor: null },
  }));
  fireEvent.click(screen.getByRole("button", { name: "Move up owner/name" }));
  await settle(600);
  expect(asked).toContainEqual({ method: "PATCH", path: "download", body: { id: "r1", position: 1 } });
  expect(screen.getByText("Queued #1")).toBeTruthy();
});

test("done shows the size and, if the app shows paths, the path with a button that copies it", async () => {
  await queue();
  await say(["progress", download({ status: "done" })], ["ready", {}]);
  expect(screen.getByText("60 MB")).toBeTruthy();
  expect(screen.queryByRole("button", { name: /^Copy/ })).toBeNull();
  await say(["progress", download({ status: "done", path: "/srv/models/model.gguf" })]);
  expect(screen.getByText("/srv/models/model.gguf")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Copy the path of owner/name/model.gguf" }));
  await settle(0);
  expect(await navigator.clipboard.readText()).toBe("/srv/models/model.gguf");
});

test("an answer that counts what it left as it was is no fault", async () => {
  await queue();
  await say(
    ["progress", download()],
    ["progress", download({ id: "x", filePath: "x", status: "done" })],
    ["ready", {}],
  );
  const paused = { downloads: [download({ status: "paused" })], repos: [], unchanged: 1 };
  answerWith(({ path }) => ({ body: path === "info" ? info : paused }));
  fireEvent.click(screen.getByRole("button", { name: "Pause all" }));
  await settle();
  expect(screen.queryByRole("alert")).toBeNull();
  expect(screen.getByRole("button", { name: "Resume owner/name/model.gguf" })).toBeTruthy();
  expect(rows()).toHaveLength(2);
});

test("rows act by id, the bar on everything", async () => {
  await queue();
  await say(["progress", download({ status: "queued", queuePosition: 2 })], ["ready", {}]);
  answerWith(({ path }) => ({
    body: path === "info" ? info : { downloads: [download({ status: "queued", queuePosition: 1 })], repos: [] },
  }));
  fireEvent.click(screen.getByRole("button", { name: "Move up owner/name/model.gguf" }));
  await settle(0);
  expect(asked).toContainEqual({ method: "PATCH", path: "download", body: { id: "d1", position: 1 } });
  fireEvent.click(screen.getByRole("button", { name: "Pause all" }));
  await settle(0);
  expect(asked).toContainEqual({ method: "POST", path: "pause", body: { all: true } });
  asked.length = 0;
  fireEvent.click(screen.getByRole("button", { name: "Resume all" })); // nothing is paused
  await settle(0);
  expect(asked.filter(({ method }) => method === "POST")).toEqual([]);
});

test("when one leaves the queue the others' places are asked for", async () => {
  await queue();
  const waiting = download({ id: "b", filePath: "b", status: "queued", queuePosition: 2 });
  await say(
    ["progress", download({ id: "a", filePath: "a", status: "queued", queuePosition: 1 })],
    ["progress", waiting],
  );
  await say(["ready", {}]);
  expect(screen.getByText("Queued #2")).toBeTruthy();
  const moved = { ...waiting, queuePosition: 1 };
  answerWith(({ path }) => ({ body: path === "info" ? info : { downloads: [moved], repos: [], nextCursor: null } }));
  await say(["progress", download({ id: "a", filePath: "a" })]);
  await settle(600);
  expect(screen.getByText("Queued #1")).toBeTruthy();
  expect(asked.filter(({ path }) => path === "progress?status=queued&limit=100")).toHaveLength(1);
});

test("forgetting takes the row away and leaves the file", async () => {
  await queue();
  const done = download({ status: "done" });
  await say(["progress", done], ["ready", {}]);
  answerWith(({ path }) => ({ body: path === "info" ? info : { downloads: [done], repos: [] } }));
  fireEvent.click(screen.getByRole("button", { name: "Forget owner/name/model.gguf" }));
  await settle();
  expect(asked).toContainEqual({ method: "DELETE", path: "download?id=d1", body: undefined });
  expect(screen.queryAllByRole("listitem")).toEqual([]);
});

test("what the daemon refuses is said in the row", async () => {
  await queue();
  await say(["progress", download()], ["ready", {}]);
  answerWith(() => ({ status: 409, body: { code: "not_allowed_now", detail: "It is done already." } }));
  fireEvent.click(screen.getByRole("button", { name: /^Pause owner/ }));
  await settle();
  expect(screen.getByRole("alert").textContent).toBe("It is done already.");
});

const file = (filePath: string, size: number | null): RepoFile => ({
  filePath,
  size,
  status: null,
  id: null,
  cached: false,
});

const quantisation = (name: string, files: string[], totalBytes: number, recommended = false): Quantisation => ({
  name,
  files,
  totalBytes,
  recommended,
  mmproj: files.find((path) => path.includes("mmproj")) ?? null,
});

test("the daemon's quantisations in its order, projectors, split files as one, the rest by name", () => {
  const groups = groupFiles(
    [
      file("README.md", 10),
      file("m-Q8_0.gguf", 800),
      file("m-BF16-00002-of-00002.gguf", 700),
      file("m-BF16-00001-of-00002.gguf", 900),
      file("mmproj-F16.gguf", 50),
      file("model-00002-of-00002.safetensors", 6),
      file("model-00001-of-00002.safetensors", 5),
      file("imatrix.gguf", 5),
    ],
    [
      quantisation("Q8_0", ["m-Q8_0.gguf", "mmproj-F16.gguf"], 850, true),
      quantisation("BF16", ["m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf", "mmproj-F16.gguf"], 1650),
    ],
  );
  expect(groups.map((one) => [one.quantisation, one.name, one.size, one.recommended, one.projector])).toEqual([
    ["Q8_0", "m-Q8_0.gguf", 850, true, false],
    ["BF16", "m-BF16.gguf", 1650, false, false],
    [null, "mmproj-F16.gguf", 50, false, true],
    [null, "imatrix.gguf", 5, false, false],
    [null, "model.safetensors", 11, false, false],
    [null, "README.md", 10, false, false],
  ]);
  expect(groups[4]?.files.map(({ filePath }) => filePath)).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
  ]);
});

test("RepoFiles: one is recommended, projectors stand apart, what does not fit is marked", async () => {
  const files = [file("m-Q4_K_M.gguf", 4e6), file("m-F16.gguf", 60e6), file("mmproj-F16.gguf", 1e6), file("a.txt", 7)];
  const quantisations = [
    quantisation("Q4_K_M", ["m-Q4_K_M.gguf", "mmproj-F16.gguf"], 5e6, true),
    quantisation("F16", ["m-F16.gguf", "mmproj-F16.gguf"], 61e6),
  ];
  answerWith(({ path }) => {
    if (path === "info") return { body: info };
    return { body: path.startsWith("files") ? { commit: "c", files, quantisations, nextCursor: null } : EMPTY_LIST };
  });
  await show(<RepoFiles modelRepo="owner/name" basePath={newBase()} />);
  await say(["ready", {}]);
  const lists = screen.getAllByRole("list").map((list) => within(list).getAllByRole("listitem"));
  expect(lists.map((rows) => rows.length)).toEqual([2, 1, 1]);
  expect(screen.getAllByRole("heading").map(({ textContent }) => textContent)).toEqual([
    "Quantisations",
    "For images (mmproj)",
    "Files",
  ]);
  const [q4, f16] = lists[0]!;
  expect(q4?.textContent).toContain("Q4_K_Mrecommended5 MB · with mmproj");
  expect(q4?.textContent).not.toContain("does not fit");
  expect(f16?.textContent).toContain("does not fit, 50 MB free");
  const solid = screen.getAllByRole("button").filter(({ className }) => className.includes("bg-[color:var(--hf)]"));
  expect(solid.map(({ textContent }) => textContent)).toEqual(["DownloadDownload owner/name"]);
  answerWith(({ method }) => ({ body: method === "POST" ? repo({ status: "queued" }) : EMPTY_LIST }));
  fireEvent.click(solid[0]!);
  await settle(0);
  expect(asked).toContainEqual({
    method: "POST",
    path: "download",
    body: { modelRepo: "owner/name", include: ["m-Q4_K_M.gguf", "mmproj-F16.gguf"] },
  });
});

test("RepoFiles: pick some, each is asked for by itself; the whole repo at once", async () => {
  const pages = [
    {
      commit: "c",
      files: [file("m-Q4_0.gguf", 4e6), file("m-F16-00001-of-00002.gguf", 9e6)],
      quantisations: [
        quantisation("Q4_0", ["m-Q4_0.gguf"], 4e6, true),
        quantisation("F16", ["m-F16-00001-of-00002.gguf", "m-F16-00002-of-00002.gguf"], 10e6),
      ],
      nextCursor: "2",
    },
    { commit: "c", files: [file("m-F16-00002-of-00002.gguf", 1e6), file("[x].txt", 7)], nextCursor: null },
  ];
  answerWith(({ method, path }) => {
    if (path.startsWith("files")) return { body: pages[path.includes("cursor=2") ? 1 : 0] };
    return { body: method === "POST" ? repo({ id: `r${asked.length}`, status: "queued" }) : EMPTY_LIST };
  });
  await show(<RepoFiles modelRepo="owner/name" basePath={newBase()} />);
  await say(["ready", {}]);
  expect(within(screen.getAllByRole("listitem")[1] as HTMLElement).getByText(/10 MB · 2 parts/)).toBeTruthy();
  fireEvent.click(screen.getByRole("checkbox", { name: "Select m-F16.gguf" }));
  fireEvent.click(screen.getByRole("checkbox", { name: "Select [x].txt" }));
  fireEvent.click(screen.getByRole("button", { name: /^Download 2 selected · 10 MB/ }));
  await settle();
  expect(asked.filter(({ method }) => method === "POST").map(({ body }) => body)).toEqual([
    { modelRepo: "owner/name", include: ["m-F16-00001-of-00002.gguf", "m-F16-00002-of-00002.gguf"] },
    { modelRepo: "owner/name", filePath: "[x].txt" },
  ]);
  fireEvent.click(screen.getByRole("button", { name: /^Download all · 14 MB/ }));
  await settle();
  expect(asked.filter(({ method }) => method === "POST").at(-1)?.body).toEqual({ modelRepo: "owner/name" });
});

test("RepoFiles: what the Hub refuses is said, and tried again on demand", async () => {
  answerWith(({ path }) =>
    path.startsWith("files")
      ? { status: 404, body: { code: "repo_not_found", detail: "owner/name does not exist" } }
      : { body: EMPTY_LIST },
  );
  await show(<RepoFiles modelRepo="owner/name" basePath={newBase()} />);
  expect(screen.getByRole("alert").textContent).toContain("Repo not found: owner/name does not exist");
  answerWith(({ path }) => ({
    body: path.startsWith("files") ? { commit: "c", files: [file("a", 1)], nextCursor: null } : EMPTY_LIST,
  }));
  fireEvent.click(screen.getByRole("button", { name: "Try again" }));
  await settle();
  expect(screen.getByText("a")).toBeTruthy();
});

test("numbers for a person", () => {
  expect([0, 999, 999.5, 12_345, 999_499, 999_500, 26_160_000, 8e9].map((n) => formatBytes(n, "en"))).toEqual([
    "0 bytes",
    "999 bytes",
    "1 kB",
    "12 kB",
    "999 kB",
    "1 MB",
    "26.2 MB",
    "8 GB",
  ]);
  expect([0, 600, 999_499].map((n) => formatRate(n, "en"))).toEqual(["0 kB/s", "1 kB/s", "999 kB/s"]);
  expect(formatRate(1_500_000, "de")).toBe("1,5 MB/s");
  expect([99.9, 100, 0.4].map((n) => formatPercent(n, "en"))).toEqual(["99%", "100%", "0%"]);
  expect([3, 59.6, 90, 3599, 3700, 36_000, 400_000].map((n) => formatDuration(n, "en"))).toEqual([
    "3 sec",
    "1 min",
    "2 min",
    "1 hr",
    "1 hr 2 min",
    "10 hr",
    "5 days",
  ]);
});
