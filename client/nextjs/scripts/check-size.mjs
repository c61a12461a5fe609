// What the components cost a page: bundled and minified with React outside, gzipped.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const BUDGETS = [
  ["button", "export { DownloadButton } from './react/index.js'", 8_000],
  ["button, queue", "export { DownloadButton, DownloadQueue } from './react/index.js'", 16_000],
  ["all components", "export { DownloadButton, DownloadQueue, RepoFiles } from './react/index.js'", 16_000],
];

let failed = 0;
for (const [name, contents, limitBytes] of BUDGETS) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL("../dist", import.meta.url)) },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external: ["react", "react/jsx-runtime"],
    logOverride: { "ignored-directive": "silent" },
  });
  const raw = outputFiles[0].contents;
  const gzipped = gzipSync(raw, { level: 9 }).length;
  if (gzipped > limitBytes) failed += 1;
  console.log(`size: ${name}: ${raw.length} bytes, ${gzipped} gzipped (at most ${limitBytes})${gzipped > limitBytes ? " TOO BIG" : ""}`);
}
process.exit(failed > 0 ? 1 : 0);
