// Shared by the scenarios: the browser and locators for the example's pages.
import { createRequire } from "node:module";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { until } from "./stage.mjs";

const require = createRequire(import.meta.url);

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** The button of a file, by name, on a page with a repo's files or a card. */
export class Button {
  constructor(page, name) {
    this.whole = page.locator(`span[data-target="${name}"]`).first();
    this.main = this.whole.locator("button[data-state]");
    this.cancel = this.whole.locator('button[aria-label^="Cancel "]');
    this.bar = this.whole.locator('[role="progressbar"]');
  }

  async state() {
    return this.main.getAttribute("data-state");
  }

  async is(...states) {
    return until(
      `the button to be ${states.join(" or ")}, now ${await this.state()}`,
      async () => states.includes(await this.state()),
      20_000,
    );
  }

  async percent() {
    return (await this.bar.count())
      ? Number(await this.bar.getAttribute("aria-valuenow", { timeout: 500 }).catch(() => NaN))
      : NaN;
  }
}

/** Shows the files of a repo on the example's first page. */
export async function showRepo(page, url, repo) {
  await page.goto(url);
  await page.getByLabel("Repo on the Hub").fill(repo);
  await page.getByRole("button", { name: "Show files" }).click();
  await page.getByRole("checkbox").first().waitFor();
}

/** Records each painted value of the page's progress bars with its time, and the number of particles. */
export async function watch(page) {
  await page.evaluate(() => {
    const seen = { bars: [], particles: 0 };
    globalThis.__seen = seen;
    new MutationObserver((changes) => {
      for (const { target, attributeName } of changes) {
        if (attributeName !== "aria-valuenow") continue;
        const value = Number(target.getAttribute("aria-valuenow"));
        const label = target.getAttribute("aria-label");
        requestAnimationFrame(() => setTimeout(() => seen.bars.push({ label, value, at: Date.now() })));
      }
      seen.particles = Math.max(seen.particles, document.querySelectorAll("[data-hfdmd-burst] i").length);
    }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-valuenow"] });
  });
}

export const seen = (page) => page.evaluate(() => globalThis.__seen);

/** The violations that axe finds on a page, as text; empty if there are none. */
export async function axe(page) {
  await page.evaluate(await readFile(require.resolve("axe-core/axe.min.js"), "utf8"));
  const violations = await page.evaluate(async () => {
    const found = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return found.violations.map(({ id, nodes }) => ({
      id,
      nodes: nodes.map((node) => `${node.html.slice(0, 300)} ${node.failureSummary}`),
    }));
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.join("\n  ")}`).join("\n");
}

/** The content of the file in the Hub's cache; null while it does not exist. */
export async function cached(stage, repo, path) {
  const snapshots = join(stage.cache, `models--${repo.replace("/", "--")}`, "snapshots");
  const commits = await readdir(snapshots).catch(() => []);
  return commits.length === 0 ? null : readFile(join(snapshots, commits[0], path)).catch(() => null);
}
