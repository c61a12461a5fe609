// Pictures of every page in light and dark, wide and narrow, into shots/ (which git ignores), and the one of the README into pictures/.
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { showRepo } from "./browser.mjs";
import { until } from "./stage.mjs";

const MB = 1_000_000;
const folder = fileURLToPath(new URL("../../shots/", import.meta.url));
const pictures = fileURLToPath(new URL("../../pictures/", import.meta.url));

export async function takeScreenshots(stage, browser) {
  for (const path of [folder, pictures]) await mkdir(path, { recursive: true });
  await stage.tell({
    repo: "Qwen/Qwen3-0.6B-GGUF",
    files: {
      "Qwen3-0.6B-Q8_0.gguf": 64 * MB,
      "Qwen3-0.6B-Q4_K_M.gguf": 40 * MB,
      "Qwen3-0.6B-BF16-00001-of-00002.gguf": 60 * MB,
      "Qwen3-0.6B-BF16-00002-of-00002.gguf": 60 * MB,
      "README.md": 4000,
      "config.json": 700,
      "mmproj-F16.gguf": 9 * MB,
      ...Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`onnx/layer_${n}.onnx`, (n % 3) * MB + 2000])),
    },
  });
  await stage.tell({
    repo: "sentence-transformers/all-MiniLM-L6-v2",
    files: { "model.safetensors": 9 * MB, "config.json": 600, "tokenizer.json": 400_000 },
  });
  await stage.tell({ repo: "openai/whisper-tiny", files: { "model.safetensors": 15 * MB } });
  const ask = (modelRepo, filePath) =>
    stage.ask("/api/download", "POST", filePath ? { modelRepo, filePath } : { modelRepo });
  await stage.tell({ missing: "model.safetensors", of: "openai/whisper-tiny" });
  await ask("openai/whisper-tiny", "model.safetensors");
  await ask("sentence-transformers/all-MiniLM-L6-v2", "config.json");
  await until("one failed, one done", async () => {
    const { counts } = (await stage.ask("/api/info")).json();
    return counts.failed >= 1 && counts.done >= 1;
  });
  await stage.tell({ rate: 3 * MB });
  await ask("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf");
  await ask("sentence-transformers/all-MiniLM-L6-v2", "model.safetensors");
  await new Promise((done) => setTimeout(done, 2000));
  await stage.ask("/api/pause", "POST", {
    modelRepo: "sentence-transformers/all-MiniLM-L6-v2",
    filePath: "model.safetensors",
  });
  await stage.tell({ rate: 0.5 * MB });
  await stage.ask("/api/download", "POST", { modelRepo: "Qwen/Qwen3-0.6B-GGUF", include: ["*BF16*", "onnx/*"] });
  await ask("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q4_K_M.gguf");
  await ask("Qwen/Qwen3-0.6B-GGUF", "README.md");
  await ask("Qwen/Qwen3-0.6B-GGUF", "config.json");
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, width] of [
      ["wide", 1280],
      ["narrow", 360],
    ]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      const shoot = async (what) => {
        await page.waitForTimeout(800);
        await page.screenshot({ path: `${folder}${what}-${colorScheme}-${name}.png`, fullPage: true });
      };
      await showRepo(page, stage.url, "Qwen/Qwen3-0.6B-GGUF");
      await shoot("models");
      const isReadme = colorScheme === "light" && name === "wide";
      if (isReadme)
        await page
          .locator("main .grid")
          .first()
          .screenshot({ path: `${pictures}buttons.png` });
      await page.goto(`${stage.url}/queue`);
      await page.getByRole("button", { name: /^Show the files of/ }).click();
      await shoot("queue");
      if (name === "wide") {
        await page.goto(`${stage.url}/pages-router`);
        await shoot("pages");
      }
      await context.close();
    }
  }
  await burst(stage, browser);
  console.log(folder);
}

async function burst(stage, browser) {
  await stage.ask("/api/pause", "POST", { all: true });
  await stage.tell({ rate: 0 });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(stage.url);
  await page.getByRole("button", { name: /^Resume sentence/ }).click();
  await page.locator("[data-hfdmd-burst]").waitFor({ state: "attached" });
  await page.waitForTimeout(250);
  await page.screenshot({ path: `${folder}burst.png` });
  await context.close();
}
