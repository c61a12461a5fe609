// Browser tests against the built example: `npm run test:browser [-- "part of a name|of another"]`; pictures: `npm run screenshots`.
// Needs chromium (`CHROMIUM`, default /usr/bin/chromium) and a Python with hfdmd (`HFDMD_PYTHON`, default the repository's .venv).
import { launch } from "./browser.mjs";
import app from "./scenarios/app.mjs";
import button from "./scenarios/button.mjs";
import queue from "./scenarios/queue.mjs";
import { takeScreenshots } from "./screenshots.mjs";
import { Stage } from "./stage.mjs";

const wanted = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
const stage = await Stage.open();
const browser = await launch().catch(async (error) => {
  await stage.close();
  throw error;
});
let passed = 0;
let failed = 0;
try {
  if (process.argv.includes("--screenshots")) await takeScreenshots(stage, browser);
  else await runAll();
} finally {
  await browser.close();
  await stage.close();
}

async function underWay() {
  const { downloads, repos } = await stage.ask("/api/progress").then(
    (answer) => answer.json(),
    () => ({ downloads: [], repos: [] }),
  );
  return [...downloads, ...repos]
    .filter(({ status }) => status !== "done" && status !== "cancelled")
    .map(
      (one) => `${one.modelRepo} ${one.filePath ?? ""} ${one.status} ${one.phase} ${one.reason} ${one.downloadedBytes}`,
    )
    .join("\n");
}

async function runAll() {
  for (const [name, scenario] of Object.entries({ ...button, ...queue, ...app })) {
    if (wanted && !wanted.split("|").some((part) => name.includes(part))) continue;
    const context = await browser.newContext();
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(`${error.message}\n${error.stack ?? ""}`));
    const notes = [];
    const before = Date.now();
    try {
      await scenario({ stage, browser, context, page, note: (text) => notes.push(text) });
      if (faults.length > 0) throw new Error(`the page had errors: ${faults.join("\n")}`);
      passed += 1;
      console.log(`ok    ${name} (${Date.now() - before} ms${notes.length ? `; ${notes.join("; ")}` : ""})`);
    } catch (error) {
      failed += 1;
      console.log(
        `FAIL  ${name}\n${error.stack}\n--- under way\n${await underWay()}\n--- daemon\n${stage.daemonLog.slice(-1500)}\n--- app\n${stage.appLog.slice(-1500)}`,
      );
    }
    await context.close();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
