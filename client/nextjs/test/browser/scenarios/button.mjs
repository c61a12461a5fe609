// Scenarios for the button. All run in one environment, each with its own files.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { Button, cached, seen, showRepo, watch } from "../browser.mjs";
import { until } from "../stage.mjs";

const MB = 1_000_000;

export default {
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
    assert.equal(particles, 110);
    assert.ok(new Set(bars.map(({ value }) => value)).size >= 5, `the bar had ${bars.length} values`);
    await until("a clean page", async () => (await page.locator("[data-hfdmd-burst]").count()) === 0, 3000);
    assert.equal(await button.main.getAttribute("aria-disabled"), "true");
    const file = await cached(stage, "web/click", "model.bin");
    assert.equal(createHash("sha256").update(file).digest("hex"), sha256["model.bin"]);
    note(`${new Set(bars.map(({ value }) => value)).size} values`);
    // After a reload it is done without a burst.
    await page.reload();
    await page.getByRole("button", { name: "Show files" }).waitFor();
    await watch(page);
    await page.getByLabel("Repo on the Hub").fill("web/click");
    await page.getByRole("button", { name: "Show files" }).click();
    await new Button(page, "web/click/model.bin").is("done");
    await page.waitForTimeout(300);
    assert.equal((await seen(page)).particles, 0);
  },

  async "failure with its reason, retry"({ stage, page }) {
    await stage.tell({ repo: "web/fail", files: { "model.bin": 1 * MB } });
    await stage.tell({ rate: 0 });
    await showRepo(page, stage.url, "web/fail");
    await stage.tell({ missing: "model.bin", of: "web/fail" });
    const button = new Button(page, "web/fail/model.bin");
    await button.main.click();
    await button.is("failed");
    assert.match(await button.whole.getByRole("alert").innerText(), /File not found/);
    await stage.tell({ clear: true });
    await page.getByRole("button", { name: "Retry web/fail/model.bin" }).click();
    await button.is("done");
    assert.equal(await button.whole.getByRole("alert").count(), 0);
  },

  async "centred and never cut, in 160 pixels too"({ stage, page }) {
    await stage.tell({ repo: "web/narrow", files: { "model.bin": 6 * MB } });
    await stage.tell({ rate: 1.5 * MB });
    await showRepo(page, stage.url, "web/narrow");
    const button = new Button(page, "web/narrow/model.bin");
    await button.whole.evaluate((element) => (element.style.width = "160px"));
    const measure = () =>
      button.main.evaluate((element) => {
        const box = (of) => of.getBoundingClientRect();
        const content = element.querySelector("svg").parentElement;
        const words = [...content.querySelectorAll("span[aria-hidden] span")].filter((word) => word.textContent);
        const off = (box(content).left + box(content).right - box(element).left - box(element).right) / 2;
        const last = words.at(-1);
        const room = element.parentElement.querySelectorAll("button").length > 1 ? 36 : 16; // for the cancel button
        const cut = last.scrollWidth > last.clientWidth || box(last).right > box(element).right - room;
        return { width: box(element).width, off, text: content.textContent, cut };
      });
    const right = ({ width, off, cut }, state) => {
      assert.equal(width, 160, state);
      assert.ok(Math.abs(off) < 1, `${state}: ${off} px off the middle`);
      assert.equal(cut, false, `${state} is cut`);
    };
    right(await measure(), "idle");
    await button.main.click();
    await until("some progress", async () => (await button.percent()) > 10);
    right(await measure(), "downloading");
    await button.main.click();
    await button.is("paused");
    const paused = await measure();
    assert.match(paused.text, /^Resume · \d\d%$/);
    right(paused, "paused");
    await button.main.click();
    await button.is("done");
    right(await measure(), "done");
  },

  async "the burst reaches the whole page"({ stage, page, note }) {
    await stage.tell({ repo: "web/wide", files: { "model.bin": 1 * MB } });
    await stage.tell({ rate: 0 });
    await showRepo(page, stage.url, "web/wide");
    const button = new Button(page, "web/wide/model.bin");
    await button.main.click();
    await page.locator("[data-hfdmd-burst=page]").waitFor({ state: "attached" });
    // Once they have spread: where they are, and how often the page was painted meanwhile.
    const { cells, frames } = await page.evaluate(async () => {
      const start = performance.now();
      let frames = 0;
      while (performance.now() - start < 700) {
        await new Promise(requestAnimationFrame);
        frames += 1;
      }
      const pieces = [...document.querySelectorAll("[data-hfdmd-burst] i")].map((one) => one.getBoundingClientRect());
      const inside = pieces.filter(({ left, top }) => left > 0 && left < innerWidth && top > 0 && top < innerHeight);
      const cell = ({ left, top }) => `${Math.floor((left / innerWidth) * 4)},${Math.floor((top / innerHeight) * 3)}`;
      return { cells: new Set(inside.map(cell)).size, frames };
    });
    note(`${cells} of 12 parts of the page, ${Math.round(frames / 0.7)} frames a second`);
    assert.equal(cells, 12, `only ${cells} of 12 parts of the page`);
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
};
