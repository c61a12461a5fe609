// Builds dist/: one ES module per source file, so that each keeps its own "use client"; then the style sheets.
import { execFileSync } from "node:child_process";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import tailwind from "@tailwindcss/postcss";
import postcss from "postcss";

const root = new URL("../", import.meta.url);
const at = (path) => fileURLToPath(new URL(path, root));
const require = createRequire(import.meta.url);

await rm(at("dist"), { recursive: true, force: true });
execFileSync(process.execPath, [require.resolve("typescript/lib/tsc.js"), "-p", at("tsconfig.build.json")], {
  stdio: "inherit",
});
await copyFile(at("src/tailwind.css"), at("dist/tailwind.css"));
// Processed as if it were in dist, so that its @source finds the built components.
const styles = await postcss([tailwind({ optimize: { minify: true } })]).process(
  await readFile(at("src/styles.css"), "utf8"),
  {
    from: at("dist/styles.css"),
  },
);
await writeFile(at("dist/styles.css"), styles.css);
