// Scenarios for the app as a whole; the last ones end it. All run in one environment, each with its own files.
import assert from "node:assert/strict";

import { axe, Button, seen, showRepo, watch } from "../browser.mjs";
import { until } from "../stage.mjs";

const MB = 1_000_000;

export default {
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

  async "the first paint is the real state, without a script"({ stage, browser }) {
    await stage.tell({ repo: "web/first-paint", files: { "model.bin": 4 * MB } });
    await stage.tell({ rate: 0.5 * MB });
    await stage.ask("/api/download", "POST", { modelRepo: "web/first-paint", filePath: "model.bin" });
    await until("some progress", async () => {
      const { downloads } = (await stage.ask("/api/progress?modelRepo=web/first-paint")).json();
      return downloads[0].progress > 5;
    });
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${stage.url}/queue`);
    const row = page.locator("li[data-id]").filter({ hasText: "web/first-paint" });
    assert.match(await row.innerText(), /model\.bin[^]*\d+%[^]*Downloading/);
    assert.ok(!(await page.content()).includes(stage.folder), "a folder of the server is in the page");
    await context.close();
    const withScript = await browser.newContext();
    const live = await withScript.newPage();
    const faults = [];
    live.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    await live.goto(`${stage.url}/queue`);
    await live.locator("li[data-id]").filter({ hasText: "web/first-paint" }).waitFor();
    await stage.tell({ rate: 0 });
    await live.locator("li[data-id]").filter({ hasText: "web/first-paint" }).getByText("Done").waitFor();
    assert.deepEqual(faults, []);
    await withScript.close();
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
    assert.equal(
      (await fetch(`${stage.url}/api/hfdmd/download?all=true&deleteFile=true`, { method: "DELETE" })).status,
      403,
    );
  },

  async "axe finds nothing, light and dark, in every state"({ stage, browser }) {
    await stage.tell({
      repo: "web/axe",
      files: {
        "a-Q4_0.gguf": 4 * MB,
        "b-Q8_0.gguf": 5 * MB,
        "c.bin": 4 * MB,
        "d.bin": MB,
        "e.bin": 1000,
        "f.bin": 4 * MB,
        "g.bin": 4 * MB,
      },
    });
    await stage.tell({ missing: "d.bin", of: "web/axe" });
    await stage.tell({ rate: 0.1 * MB });
    const ask = (filePath) => stage.ask("/api/download", "POST", { modelRepo: "web/axe", filePath });
    for (const path of ["d.bin", "e.bin"]) await ask(path);
    await until("one failed, one done", async () => {
      const { downloads } = (await stage.ask("/api/progress?modelRepo=web/axe")).json();
      return (
        downloads
          .map(({ status }) => status)
          .sort()
          .join() === "done,failed"
      );
    });
    await stage.ask("/api/download", "POST", { modelRepo: "web/axe", include: ["[fg].bin"] });
    for (const path of ["a-Q4_0.gguf", "c.bin", "b-Q8_0.gguf"]) await ask(path);
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
        await page.getByRole("button", { name: "Show the files of web/axe" }).click();
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

  async "the server hears of what completes, and ends when asked to all the same"({ stage, note }) {
    await stage.tell({ repo: "web/heard", files: { "model.bin": MB } });
    await stage.tell({ rate: 0 });
    await stage.startApp({ LOG_DOWNLOADS: "1" });
    await until("the server's stream", async () => (await stage.streams()) === 1);
    await stage.ask("/api/download", "POST", { modelRepo: "web/heard", filePath: "model.bin" });
    await until("the app to hear it", () => stage.appLog.includes("downloaded: web/heard"));
    const before = Date.now();
    await stage.stopApp();
    note(`${Date.now() - before} ms`);
    assert.ok(Date.now() - before < 5000, "it took too long");
  },
};
