// Scenarios for the queue, the files of a repo, many tabs and a daemon that restarts. All run in one environment, each with its own files.
import assert from "node:assert/strict";

import { Button, cached, showRepo } from "../browser.mjs";
import { until } from "../stage.mjs";

const MB = 1_000_000;

export default {
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

  async "no byte comes: every view says why and shows no speed, until the next byte"({ stage, page, context, note }) {
    await stage.tell({ repo: "web/outage", files: { "model.bin": 30 * MB } });
    await stage.tell({ rate: 2 * MB });
    await showRepo(page, stage.url, "web/outage");
    const button = new Button(page, "web/outage/model.bin");
    await button.main.click();
    const queue = await context.newPage();
    await queue.goto(`${stage.url}/queue`);
    const row = queue.locator("li[data-id]").filter({ hasText: "web/outage" });
    const head = queue.locator("p.text-2xl");
    const texts = async () => [await row.innerText(), await head.innerText()];
    const speed = /[1-9][\d.]* [kM]B\/s/;
    await until("a speed everywhere", async () => (await texts()).every((text) => speed.test(text)));
    const bytes = async () =>
      (await stage.ask("/api/progress?modelRepo=web/outage")).json().downloads[0].downloadedBytes;
    const reason = /stalled|no network|not available/i;
    let last = { bytes: -1, at: 0 };
    stage.hub.kill("SIGSTOP");
    try {
      await until("no more bytes", async () => {
        const now = await bytes();
        if (now !== last.bytes) last = { bytes: now, at: Date.now() };
        return Date.now() - last.at > 1000;
      });
      await until("no speed", async () => !(await texts()).some((text) => speed.test(text)));
      assert.match(await row.innerText(), reason);
      await until("the other tab", async () => /stalled/i.test(await button.main.innerText()));
      note(`no speed ${Date.now() - last.at} ms after the last byte`);
      assert.ok(Date.now() - last.at < 4000, "an old speed stayed");
    } finally {
      stage.hub.kill("SIGCONT");
    }
    await until("the next byte", async () => (await bytes()) > last.bytes);
    const back = Date.now();
    await until("no reason", async () => !reason.test(await row.innerText()));
    note(`no reason ${Date.now() - back} ms after the next byte`);
    assert.ok(Date.now() - back < 2000, "the reason stayed");
    await stage.tell({ rate: 0 });
    await button.is("done");
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

  async "nine tabs with one stream; the next takes over; the last one's end is heard at once"({
    stage,
    context,
    note,
  }) {
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
    for (const filePath of Object.keys(files))
      await stage.ask("/api/download", "POST", { modelRepo: "web/queue", filePath });
    await page.goto(`${stage.url}/queue`);
    const rows = page.locator("li[data-id]");
    const filter = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) });
    await filter("Queued").click();
    await until("three to wait", async () => (await rows.count()) === 3);
    const names = async () => (await rows.locator("[data-files]").allInnerTexts()).join();
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
};
