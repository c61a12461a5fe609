// Compares the size of the components, bundled and minified without React, gzipped, with their budgets.
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const BUDGETS = [
  ["button", "export { DownloadButton } from './react/index.js'", 8 * 1024],
  ["button, queue", "export { DownloadButton, DownloadQueue } from './react/index.js'", 16 * 1024],
  ["all components", "export { DownloadButton, DownloadQueue, RepoFiles } from './react/index.js'", 16 * 1024],
];

let failed = 0;
for (const [name, contents, limitBytes] of BUDGETS) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL("../dist", import.meta.url)) },
    bundle: true,
    splitting: true, // the burst is a separate chunk, loaded at the first completion and reported separately
    outdir: "out",
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    external: ["react", "react/jsx-runtime"],
    logOverride: { "ignored-directive": "silent" },
  });
  const size = new Map(
    outputFiles.map(({ path, contents }) => [relative(".", path), gzipSync(contents, { level: 9 }).length]),
  );
  const now = new Set();
  const load = (path) => {
    now.add(path);
    for (const { kind, path: next } of metafile.outputs[path].imports)
      if (kind === "import-statement" && size.has(next)) load(next);
  };
  load("out/stdin.js");
  const sum = (paths) => paths.reduce((total, path) => total + size.get(path), 0);
  const gzipped = sum([...now]);
  const later = sum([...size.keys()].filter((path) => !now.has(path)));
  if (gzipped > limitBytes) failed += 1;
  console.log(
    `size: ${name}: ${gzipped} gzipped (at most ${limitBytes})${gzipped > limitBytes ? " TOO BIG" : ""}, ${later} more later`,
  );
}
process.exit(failed > 0 ? 1 : 0);
