// Checks the built package: publint, all entries exist, "use client" is kept, no server code in the browser's part.
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { publint } from "publint";
import { formatMessage } from "publint/utils";

const root = fileURLToPath(new URL("../", import.meta.url));
const pkg = JSON.parse(await readFile(`${root}package.json`, "utf8"));
const faults = [];

const { messages } = await publint({ pkgDir: root, strict: true });
faults.push(...messages.map((message) => formatMessage(message, pkg)));

const sources = (await readdir(`${root}src`, { recursive: true })).filter((path) => /\.tsx?$/.test(path));
for (const path of sources) {
  const built = await readFile(`${root}dist/${path.replace(/\.tsx?$/, ".js")}`, "utf8");
  const isClient = (await readFile(`${root}src/${path}`, "utf8")).startsWith('"use client"');
  if (isClient && !built.startsWith('"use client"')) faults.push(`${path} lost its "use client"`);
  if (/^(browser|react)\//.test(path) && /from "(node:|next)/.test(built))
    faults.push(`${path} imports what a browser has not`);
  if (path.endsWith(".tsx") && !isClient) faults.push(`${path} has components but no "use client"`);
}
if (Object.keys(pkg.dependencies ?? {}).length > 0) faults.push("it has runtime dependencies");
if (!/@layer utilities\s*{/.test(await readFile(`${root}dist/styles.css`, "utf8"))) faults.push("styles.css is empty");

for (const fault of faults) console.error(fault);
console.log(`package: ${sources.length} modules, ${faults.length} faults`);
process.exit(faults.length > 0 ? 1 : 0);
