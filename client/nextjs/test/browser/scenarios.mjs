// What a person sees, one scenario each. All run on one stage; each has files of its own.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { axe, Button, seen, showRepo, watch } from "./browser.mjs";
import { until } from "./stage.mjs";

const MB = 1_000_000;

/** The file as it stands in the Hub's cache; null while it is not there. */
async function cached(stage, repo, path) {
  const snapshots = join(stage.cache, `models--${repo.replace("/", "--")}`, "snapshots");
  const commits = await readdir(snapshots).catch(() => []);
  return commits.length === 0 ? null : readFile(join(snapshots, commits[0], path)).catch(() => null);
}

export const scenarios = {
  async "click, the bar moves, done with the burst, the file is in the cache"({ stage, page, note }) {
    const { sha256 } = await stage.tell({ repo: "web/click", files: { "model.bin": 8 * MB } });
    await stage.tell({ rate: 2.5 * MB });
    await showRepo(page, stage.url, "web/click");
    await watch(page);
    const button = new Button(page, "web/click/model.bin");
    const before = await button.main.boundingBox();
    await button.main.click();
    await button.is("downloading");
    assert.deepEqual(await button.main.boundingBox(), before, "the button changed its size");
    await button.is("done");
    await until("the burst", async () => (await seen(page)).particles > 0, 3000);
    const { bars, particles } = await seen(page);
    assert.equal(particles, 28);
    assert.ok(new Set(bars.map(({ value }) => value)).size >= 5, `the bar had ${bars.length} values`);
    await until("a clean page", async () => (await page.locator("[data-hfdmd-burst]").count()) === 0, 3000);
    assert.equal(await button.main.getAttribute("aria-disabled"), "true");
    const file = await cached(stage, "web/click", "model.bin");
    assert.equal(createHash("sha256").update(file).digest("hex"), sha256["model.bin"]);
    note(`${new Set(bars.map(({ value }) => value)).size} values`);
    // Loaded anew it is done without a burst.
    await page.reload();
    await page.getByRole("button", { name: "Show files" }).waitFor();
    await watch(page);
    await page.getByLabel("Repo on the Hub").fill("web/click");
    await page.getByRole("button", { name: "Show files" }).click();
    await new Button(page, "web/click/model.bin").is("done");
    await page.waitForTimeout(300);
    assert.equal((await seen(page)).particles, 0);
  },

  async "event to paint under 100 ms at the median"({ stage, page, note }) {
    await stage.tell({ repo: "web/paint", files: { "model.bin": 8 * MB } });
    await stage.tell({ rate: 2 * MB });
    await showRepo(page, stage.url, "web/paint");
    await watch(page);
    const sent = new Map();
    const end = await stage.listen((event, data) => {
      const value = Math.floor(data.progress);
      if (event === "progress" && data.modelRepo === "web/paint" && !sent.has(value)) sent.set(value, Date.now());
    });
    const button = new Button(page, "web/paint/model.bin");
    await button.main.click();
    await button.is("done");
    end();
    const waits = (await seen(page)).bars
      .filter(({ value, label }) => sent.has(value) && value > 0 && label.includes("web/paint"))
      .map(({ value, at }) => at - sent.get(value))
      .sort((a, b) => a - b);
    assert.ok(waits.length >= 5, `only ${waits.length} values`);
    const median = waits[Math.floor(waits.length / 2)];
    note(`median ${median} ms of ${waits.length}, worst ${waits.at(-1)} ms`);
    assert.ok(median < 100, `median ${median} ms`);
  },

  async "failure with its reason, retry"({ stage, page }) {
    await stage.tell({ repo: "web/fail", files: { "model.bin": 1 * MB } });
    await stage.tell({ rate: 0 });
    await showRepo(page, stage.url, "web/fail");
    await stage.tell({ missing: "model.bin", of: "web/fail" });
    const button = new Button(page, "web/fail/model.bin");
    await button.main.click();
    await button.is("failed");
    assert.match(await button.whole.getByRole("alert").innerText(), /No such file/);
    await stage.tell({ clear: true });
    await page.getByRole("button", { name: "Retry web/fail/model.bin" }).click();
    await button.is("done");
    assert.equal(await button.whole.getByRole("alert").count(), 0);
  },

  async "pause and resume by keyboard, focus stays"({ stage, page }) {
    await stage.tell({ repo: "web/keys", files: { "model.bin": 6 * MB } });
    await stage.tell({ rate: 1.5 * MB });
    await showRepo(page, stage.url, "web/keys");
    const button = new Button(page, "web/keys/model.bin");
    await button.main.focus();
    await page.keyboard.press("Enter");
    await until("some progress", async () => (await button.percent()) > 5);
    await page.keyboard.press("Space");
    await button.is("paused");
    const at = await button.percent();
    assert.ok(at > 0 && at < 100);
    assert.match(await button.main.textContent(), /Resume web\/keys/);
    await page.waitForTimeout(700);
    assert.equal(await button.percent(), at, "it moved while paused");
    assert.ok(await button.main.evaluate((element) => element === document.activeElement), "focus is lost");
    await page.keyboard.press("Enter");
    await button.is("done");
    assert.ok(await button.main.evaluate((element) => element === document.activeElement), "focus is lost");
  },

  async "cancel deletes what was there and offers it again"({ stage, page }) {
    await stage.tell({ repo: "web/cancel", files: { "model.bin": 6 * MB } });
    await stage.tell({ rate: 1 * MB });
    await showRepo(page, stage.url, "web/cancel");
    const button = new Button(page, "web/cancel/model.bin");
    assert.equal(await button.cancel.isVisible(), false);
    await button.main.click();
    await until("some progress", async () => (await button.percent()) > 5);
    await button.cancel.click();
    await button.is("idle");
    const { downloads } = (await stage.ask("/api/progress?modelRepo=web/cancel")).json();
    assert.deepEqual([downloads[0].status, downloads[0].downloadedBytes], ["cancelled", 0]);
    await stage.tell({ rate: 0 });
    await button.main.click();
    await button.is("done");
  },

  async "reload in mid-download"({ stage, page }) {
    await stage.tell({ repo: "web/reload", files: { "model.bin": 6 * MB } });
    await stage.tell({ rate: 1.5 * MB });
    await showRepo(page, stage.url, "web/reload");
    await new Button(page, "web/reload/model.bin").main.click();
    await until("some progress", async () => (await new Button(page, "web/reload/model.bin").percent()) > 10);
    await showRepo(page, stage.url, "web/reload");
    await watch(page);
    const button = new Button(page, "web/reload/model.bin");
    await until("the bar to be there again", async () => (await button.percent()) > 10, 2000);
    await button.is("done");
    await until("the burst", async () => (await seen(page)).particles > 0, 3000);
  },

  async "the daemon restarted in mid-download, cleanly and by kill"({ stage, page, context, note }) {
    await stage.tell({ repo: "web/restart", files: { "model.bin": 12 * MB } });
    await stage.tell({ rate: 1.5 * MB });
    await showRepo(page, stage.url, "web/restart");
    const queue = await context.newPage();
    await queue.goto(`${stage.url}/queue`);
    const button = new Button(page, "web/restart/model.bin");
    await button.main.click();
    for (const signal of ["SIGTERM", "SIGKILL"]) {
      const from = (await button.percent()) || 0;
      await until("some progress", async () => (await button.percent()) > from + 10);
      await stage.stopDaemon(signal);
      await queue.getByText("The download service is not running").waitFor({ timeout: 8000 });
      const at = await button.percent();
      const before = Date.now();
      await stage.startDaemon();
      await until("progress after the restart", async () => (await button.percent()) > at, 15_000);
      note(`${signal}: ${at}%, ${Date.now() - before} ms from start to progress`);
      assert.equal(await queue.getByText("The download service is not running").count(), 0);
    }
    await stage.tell({ rate: 0 });
    await button.is("done");
    const sent = (await stage.tell({ sent: "model.bin" })).bytes;
    assert.ok(sent > 0);
  },

  async "removed while the stream was away: gone without a word of it"({ stage, page }) {
    await stage.tell({ repo: "web/prune", files: { "model.bin": 4 * MB } });
    await stage.tell({ rate: 0.2 * MB });
    await page.goto(`${stage.url}/queue`);
    await stage.ask("/api/download", "POST", { modelRepo: "web/prune", filePath: "model.bin" });
    const row = page.locator("li[data-id]").filter({ hasText: "web/prune" });
    await row.waitFor();
    await page.route("**/api/hfdmd/progress*", (route) => route.abort());
    await stage.stopDaemon();
    await page.getByText(/not running|Reconnecting|No network/).waitFor();
    await stage.startDaemon();
    assert.equal((await stage.ask("/api/download?modelRepo=web/prune", "DELETE")).status, 200);
    assert.equal(await row.count(), 1);
    await page.unroute("**/api/hfdmd/progress*");
    await until("the row to go", async () => (await row.count()) === 0);
  },

  async "nine tabs with one stream; the next takes over; the last one's end is heard at once"({ stage, context, note }) {
    await stage.tell({ repo: "web/tabs", files: { "model.bin": 12 * MB } });
    await stage.tell({ rate: 1 * MB });
    await until("no stream left", async () => (await stage.streams()) === 0);
    const tabs = [];
    for (let n = 0; n < 9; n += 1) {
      const tab = await context.newPage();
      await tab.goto(`${stage.url}/queue`);
      tabs.push(tab);
    }
    await stage.ask("/api/download", "POST", { modelRepo: "web/tabs", filePath: "model.bin" });
    const bar = (tab) => tab.locator("li[data-id]").filter({ hasText: "web/tabs" }).getByRole("progressbar");
    const value = async (tab) => Number((await bar(tab).count()) && (await bar(tab).getAttribute("aria-valuenow")));
    for (const tab of tabs) await until("each tab to move", async () => (await value(tab)) > 0);
    assert.equal(await stage.streams(), 1);
    await tabs.shift().close();
    const before = Date.now();
    await until("the next tab's stream", async () => (await stage.streams()) === 1, 3000);
    const at = await value(tabs[0]);
    for (const tab of tabs) await until("the others to move on", async () => (await value(tab)) > at);
    note(`on after ${Date.now() - before} ms`);
    assert.equal(await stage.streams(), 1);
    while (tabs.length > 1) await tabs.pop().close();
    assert.equal(await stage.streams(), 1);
    const closing = Date.now();
    await tabs[0].close();
    await until("the daemon to see the end", async () => (await stage.streams()) === 0, 1000);
    note(`last closed: ${Date.now() - closing} ms`);
    await stage.ask("/api/cancel", "POST", { modelRepo: "web/tabs" });
  },

  async "a stream passes both routers as it is"({ stage }) {
    for (const path of ["/api/hfdmd/progress", "/api/progress"]) {
      const left = new AbortController();
      const answer = await fetch(stage.url + path, {
        headers: { Accept: "text/event-stream", "Accept-Encoding": "gzip, br" },
        signal: left.signal,
      });
      const headers = Object.fromEntries(answer.headers);
      assert.equal(headers["content-encoding"], undefined, path);
      assert.equal(headers["content-type"], "text/event-stream");
      assert.equal(headers["cache-control"], "no-cache, no-transform");
      assert.equal(headers["x-accel-buffering"], "no");
      const reader = answer.body.getReader();
      let text = "";
      while (!text.includes("event: ready")) text += new TextDecoder().decode((await reader.read()).value);
      assert.ok(!text.includes(stage.folder), "a folder of the server is in the stream");
      left.abort();
      await until("the daemon to see the end", async () => (await stage.streams()) === 0, 1000);
    }
  },

  async "what a browser may not"({ stage }) {
    const post = (path, body, headers = {}) =>
      fetch(`${stage.url}/api/hfdmd/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
      }).then((answer) => answer.status);
    for (const base of ["/api/hfdmd", "/api"]) {
      assert.equal((await fetch(`${stage.url}${base}/metrics`)).status, 404);
      const info = await (await fetch(`${stage.url}${base}/info`)).json();
      assert.deepEqual([info.cacheDir, info.stateDir, info.socket], [undefined, undefined, undefined]);
    }
    assert.equal(await post("pause", { all: true }, { "Sec-Fetch-Site": "cross-site" }), 403);
    assert.equal(await post("download", { modelRepo: "a/b", localDir: "/tmp" }), 403);
    assert.equal((await fetch(`${stage.url}/api/hfdmd/download?all=true&deleteFile=true`, { method: "DELETE" })).status, 403);
  },

  async "the Pages Router's button does the same"({ stage, page }) {
    await stage.tell({ repo: "Qwen/Qwen3-0.6B-GGUF", files: { "Qwen3-0.6B-Q8_0.gguf": 4 * MB, "README.md": 2000 } });
    await stage.tell({ rate: 2 * MB });
    await page.goto(`${stage.url}/pages-router`);
    const button = new Button(page, "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf");
    await button.main.click();
    await until("some progress", async () => (await button.percent()) > 5);
    await button.main.click();
    await button.is("paused");
    await button.main.click();
    await button.is("done");
    await page.locator("li[data-id]").filter({ hasText: "Q8_0" }).getByText("Done").waitFor();
  },

  async "pick files of a repo: quantisations with sizes, split ones as one"({ stage, page }) {
    const files = {
      "tiny-Q4_K_M.gguf": 2 * MB,
      "tiny-BF16-00001-of-00002.gguf": 2 * MB,
      "tiny-BF16-00002-of-00002.gguf": 1 * MB,
      "README.md": 3000,
      "config.json": 500,
    };
    await stage.tell({ repo: "web/tiny-GGUF", files });
    await stage.tell({ rate: 0 });
    await showRepo(page, stage.url, "web/tiny-GGUF");
    const row = (name) => page.getByRole("listitem").filter({ hasText: name });
    assert.match(await row("BF16").innerText(), /3 MB · 2 parts/);
    assert.match(await row("Q4_K_M").innerText(), /2 MB/);
    await page.getByRole("checkbox", { name: "tiny-BF16.gguf" }).check();
    await page.getByRole("checkbox", { name: "config.json" }).check();
    await page.getByRole("button", { name: "Download 2 selected · 3 MB" }).click();
    await until("both parts and the file", async () => {
      const found = await Promise.all(Object.keys(files).map((path) => cached(stage, "web/tiny-GGUF", path)));
      return found.map(Boolean).join() === "false,true,true,false,true";
    });
    await new Button(page, "web/tiny-GGUF/config.json").is("done");
    await row("BF16").locator('button[data-state="done"]').waitFor();
    await row("Q4_K_M").locator("button[data-state]").click();
    await row("Q4_K_M").locator('button[data-state="done"]').waitFor();
  },

  async "the queue: counts, reorder, pause all, resume all, search, clear"({ stage, page }) {
    const files = Object.fromEntries(["a", "b", "c", "d", "e", "f"].map((name) => [`${name}.bin`, 3 * MB]));
    await stage.tell({ repo: "web/queue", files });
    await stage.tell({ rate: 0.3 * MB });
    for (const filePath of Object.keys(files)) await stage.ask("/api/download", "POST", { modelRepo: "web/queue", filePath });
    await page.goto(`${stage.url}/queue`);
    const rows = page.locator("li[data-id]");
    const filter = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) });
    await filter("Queued").click();
    await until("three to wait", async () => (await rows.count()) === 3);
    const names = async () => (await rows.locator("p.font-medium").allInnerTexts()).join();
    assert.equal(await names(), "d.bin,e.bin,f.bin");
    await page.getByRole("button", { name: "Move up web/queue/f.bin" }).click();
    await until("f to stand before e", async () => (await names()) === "d.bin,f.bin,e.bin");
    await page.getByRole("button", { name: "Pause all" }).click();
    await filter("Paused").click();
    await until("all six paused", async () => (await rows.count()) === 6);
    assert.match(await page.title(), /^Model shelf/);
    await page.getByLabel("Search downloads").fill("queue/c");
    await until("one found", async () => (await rows.count()) === 1);
    await page.getByLabel("Search downloads").fill("");
    await stage.tell({ rate: 0 });
    await page.getByRole("button", { name: "Resume all" }).click();
    await filter("Done").click();
    await until("all six done", async () => (await rows.filter({ hasText: "web/queue" }).count()) === 6, 20_000);
    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Clear finished" }).click();
    await until("an empty list", async () => (await rows.count()) === 0);
    assert.ok(await cached(stage, "web/queue", "a.bin"), "the file went with it");
  },

  async "quiet under reduced motion"({ stage, browser }) {
    await stage.tell({ repo: "web/calm", files: { "model.bin": 3 * MB } });
    await stage.tell({ rate: 2 * MB });
    const context = await browser.newContext({ reducedMotion: "reduce" });
    const page = await context.newPage();
    await showRepo(page, stage.url, "web/calm");
    await watch(page);
    const button = new Button(page, "web/calm/model.bin");
    await button.main.click();
    await button.is("downloading");
    const moving = await page.evaluate(() => document.getAnimations().length);
    await button.is("done");
    await page.waitForTimeout(300);
    assert.deepEqual([moving, (await seen(page)).particles], [0, 0]);
    await context.close();
  },

  async "axe finds nothing, light and dark, in every state"({ stage, browser }) {
    await stage.tell({ repo: "web/axe", files: { "a-Q4_0.gguf": 4 * MB, "b-Q8_0.gguf": 5 * MB, "c.bin": 4 * MB, "d.bin": MB, "e.bin": 1000, "f.bin": 4 * MB, "g.bin": 4 * MB } });
    await stage.tell({ missing: "d.bin", of: "web/axe" });
    await stage.tell({ rate: 0.1 * MB });
    const ask = (filePath) => stage.ask("/api/download", "POST", { modelRepo: "web/axe", filePath });
    for (const path of ["d.bin", "e.bin"]) await ask(path);
    await until("one failed, one done", async () => {
      const { downloads } = (await stage.ask("/api/progress?modelRepo=web/axe")).json();
      return downloads.map(({ status }) => status).sort().join() === "done,failed";
    });
    for (const path of ["a-Q4_0.gguf", "c.bin", "b-Q8_0.gguf", "f.bin", "g.bin"]) await ask(path);
    await stage.ask("/api/pause", "POST", { modelRepo: "web/axe", filePath: "c.bin" });
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      await showRepo(page, stage.url, "web/axe");
      await new Button(page, "web/axe/d.bin").is("failed");
      assert.equal(await axe(page), "", `first page, ${colorScheme}`);
      for (const path of ["/queue", "/pages-router"]) {
        await page.goto(stage.url + path);
        await page.locator('li[data-state="failed"]').first().waitFor();
        assert.equal(await axe(page), "", `${path}, ${colorScheme}`);
      }
      await context.close();
    }
    await stage.tell({ clear: true });
    await stage.ask("/api/cancel", "POST", { all: true });
  },

  async "the app ends when told, though a stream is open"({ stage, page, note }) {
    await page.goto(`${stage.url}/queue`);
    await until("the stream", async () => (await stage.streams()) === 1);
    const before = Date.now();
    await stage.stopApp();
    note(`${Date.now() - before} ms`);
    assert.ok(Date.now() - before < 5000, "it took too long");
  },
};
