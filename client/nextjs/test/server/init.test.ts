import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { init, InitError } from "../../src/cli/init.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hfdmd-init-"));
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

type Files = Record<string, string>;

async function app(files: Files, dependencies: Files = {}): Promise<void> {
  const all = { "package.json": JSON.stringify({ dependencies: { next: "16", ...dependencies } }), ...files };
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

async function content(): Promise<Files> {
  const found: Files = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[relative(root, path)] = await readFile(path, "utf8");
  }
  return found;
}

const run = async () => (await init(root)).map(({ did, path }) => `${did} ${relative(root, path) || "."}`);

const LAYOUT = "export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n";
const TAILWIND_4 = '@import "tailwindcss";\n\nbody { margin: 0; }\n';

test.each<{ name: string; files: Files; needs: Files; steps: string[]; changed: [path: string, content: string] }>([
  {
    name: "App Router, TypeScript, Tailwind 4, src",
    files: { "src/app/layout.tsx": LAYOUT, "src/app/globals.css": TAILWIND_4, "tsconfig.json": "{}" },
    needs: { tailwindcss: "^4" },
    steps: [
      "created src/app/api/hfdmd/[...path]/route.ts",
      "created src/app/downloads/page.tsx",
      "changed src/app/globals.css",
    ],
    changed: ["src/app/globals.css", '@import "tailwindcss";\n@import "hfdmd-nextjs/tailwind.css";\n\nbody'],
  },
  {
    name: "App Router, JavaScript, no Tailwind",
    files: { "app/layout.js": `"use client";\n${LAYOUT}` },
    needs: {},
    steps: ["created app/api/hfdmd/[...path]/route.js", "created app/downloads/page.jsx", "changed app/layout.js"],
    changed: ["app/layout.js", `"use client";\nimport "hfdmd-nextjs/styles.css";\nexport default`],
  },
  {
    name: "Tailwind 3",
    files: {
      "app/layout.tsx": LAYOUT,
      "tsconfig.json": "{}",
      "tailwind.config.js": 'module.exports = { content: ["./app/**/*.tsx"] };\n',
    },
    needs: { tailwindcss: "3.4.1" },
    steps: ["created app/api/hfdmd/[...path]/route.ts", "created app/downloads/page.tsx", "changed tailwind.config.js"],
    changed: ["tailwind.config.js", 'content: ["./node_modules/hfdmd-nextjs/dist/**/*.js", "./app/**/*.tsx"]'],
  },
])("$name: what is needed, once", async ({ files, needs, steps, changed }) => {
  await app(files, needs);
  expect(await run()).toEqual(steps);
  const first = await content();
  expect(first[changed[0]]).toContain(changed[1]);
  expect(await run()).toEqual(steps.map((step) => step.replace(/^\w+/, "kept")));
  expect(await content()).toEqual(first);
});

test("Pages Router: the files that a reader looks for", async () => {
  await app({ "pages/index.js": "export default () => null;\n" });
  const steps = await run();
  expect(steps.every((step) => step.startsWith("created "))).toBe(true);
  const found = await content();
  expect(Object.keys(found)).toEqual(
    expect.arrayContaining([
      "utils/server/download.huggingface.js",
      "utils/server/progressTracker.js",
      "pages/api/download.js",
      "pages/api/progress.js",
      "pages/api/pause.js",
      "pages/downloads.jsx",
      "pages/_app.jsx",
    ]),
  );
  expect(found["pages/downloads.jsx"]).toContain('<HfdmdProvider basePath="/api">');
  expect(found["pages/_app.jsx"]).toContain('import "hfdmd-nextjs/styles.css";');
  await run();
  expect(await content()).toEqual(found);
});

test("what it may not touch stays, and is said", async () => {
  const own = "export default (req, res) => res.json({});\n";
  await app({ "pages/api/download.ts": own, "tsconfig.json": "{}", "pages/_app.tsx": "" }, { tailwindcss: "^4" });
  const steps = await run();
  expect(steps).toContain("manual pages/api/download.ts");
  expect(steps).toContain("manual ."); // no style sheet imports Tailwind
  expect((await content())["pages/api/download.ts"]).toBe(own);
  // A route whose authorize was edited is ours and stays.
  const route = join(root, "utils/server/download.huggingface.ts");
  await writeFile(route, 'import { createApiHandler } from "hfdmd-nextjs/next-pages"; // edited\n');
  expect(await run()).toContain("kept utils/server/download.huggingface.ts");
  expect(await readFile(route, "utf8")).toContain("edited");
});

test.each([
  ["no package.json", {}, "has no package.json"],
  ["no Next.js", { "package.json": '{"dependencies": {"vite": "8"}}' }, "does not depend on next"],
  ["no pages", { "package.json": '{"dependencies": {"next": "16"}}' }, "has no folder app, pages"],
] as const)("%s: says what is wrong and writes nothing", async (_name, files, message) => {
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text);
  await expect(init(root)).rejects.toThrow(message);
  await expect(init(root)).rejects.toBeInstanceOf(InitError);
  expect(await content()).toEqual(files);
});
