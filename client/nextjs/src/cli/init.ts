import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { appFiles, customApp, pagesFiles } from "./templates.js";

/** What happened to a file. `manual`: what is left to do by hand, with the reason in `text`. */
export interface Step {
  did: "created" | "changed" | "kept" | "manual";
  path: string;
  text?: string;
}

/** `init` cannot go on; the message says what to do. */
export class InitError extends Error {}

const TAILWIND_3 = "./node_modules/hfdmd-nextjs/dist/**/*.js";

/**
 * Adds hfdmd to the Next.js app in the folder `root`: route files, styles, a page. Which router, language and Tailwind the app uses is
 * looked up there. What exists is kept, so a second run changes nothing. Throws an `InitError` if there is no Next.js app.
 */
export async function init(root: string): Promise<Step[]> {
  const needed = await dependenciesOf(root);
  if (!needed.next) throw new InitError(`${join(root, "package.json")} does not depend on next. Run this in the app.`);
  const base = await firstOf(["app", "pages", "src/app", "src/pages"].map((path) => join(root, path)));
  if (!base) throw new InitError(`${root} has no folder app, pages, src/app or src/pages. Run this in the app.`);
  const inBase = dirname(base);
  const isApp = base.endsWith("app");
  const typed = await exists(join(root, "tsconfig.json"));
  const steps: Step[] = [];
  for (const [path, content] of isApp ? appFiles(typed) : pagesFiles(typed)) {
    steps.push(await create(join(inBase, path), content));
  }
  const tailwind = await tailwindOf(root, needed);
  if (tailwind === null) steps.push(...(await addStyles(inBase, isApp, typed)));
  else steps.push(tailwind >= 4 ? await addImport(root) : await addContent(root));
  return steps;
}

async function dependenciesOf(root: string): Promise<Record<string, string>> {
  let text: string;
  try {
    text = await readFile(join(root, "package.json"), "utf8");
  } catch {
    throw new InitError(`${root} has no package.json. Run this in the folder of a Next.js app.`);
  }
  const { dependencies, devDependencies } = JSON.parse(text) as Record<string, Record<string, string> | undefined>;
  return { ...devDependencies, ...dependencies };
}

/** The major version of Tailwind: the installed one, else the one asked for; null without Tailwind. */
async function tailwindOf(root: string, needed: Record<string, string>): Promise<number | null> {
  if (!needed.tailwindcss) return null;
  let version = needed.tailwindcss;
  try {
    version = (
      JSON.parse(await readFile(join(root, "node_modules/tailwindcss/package.json"), "utf8")) as { version: string }
    ).version;
  } catch {
    // not installed in this folder: the range in package.json decides
  }
  return Number(/\d+/.exec(version)?.[0] ?? 4);
}

async function create(path: string, content: string): Promise<Step> {
  if (await exists(path)) {
    const ours = /hfdmd|progressTracker/.test(await readFile(path, "utf8"));
    return ours
      ? { did: "kept", path }
      : { did: "manual", path, text: `it is another file; hfdmd needs here:\n${content}` };
  }
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return { did: "created", path };
}

/** Changes a file by `edit`, which returns null where it finds no place for the change. */
async function change(path: string, mark: string, edit: (text: string) => string | null, todo: string): Promise<Step> {
  const text = await readFile(path, "utf8");
  if (text.includes(mark)) return { did: "kept", path };
  const edited = edit(text);
  if (edited === null) return { did: "manual", path, text: todo };
  await writeFile(path, edited);
  return { did: "changed", path };
}

/** Tailwind 4: a line after the import of Tailwind in the app's style sheet. */
async function addImport(root: string): Promise<Step> {
  const line = '@import "hfdmd-nextjs/tailwind.css";';
  const folders = ["app", "src/app", "styles", "src/styles", "src", "."].map((path) => join(root, path));
  const tailwind = /^@import\s+["']tailwindcss["'][^;]*;/m;
  for (const folder of folders) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith(".css")) continue;
      const path = join(folder, name);
      if (tailwind.test(await readFile(path, "utf8")))
        return change(path, line, (text) => text.replace(tailwind, (found) => `${found}\n${line}`), line);
    }
  }
  return { did: "manual", path: root, text: `no style sheet imports tailwindcss; add to yours: ${line}` };
}

/** Tailwind 3: an entry in `content`. */
async function addContent(root: string): Promise<Step> {
  const todo = `add "${TAILWIND_3}" to content`;
  const path = await firstOf(["js", "ts", "mjs", "cjs"].map((end) => join(root, `tailwind.config.${end}`)));
  if (!path) return { did: "manual", path: root, text: `no tailwind.config; where yours is, ${todo}` };
  const list = /content\s*:\s*\[/;
  return change(
    path,
    "hfdmd-nextjs",
    (text) => (list.test(text) ? text.replace(list, (found) => `${found}"${TAILWIND_3}", `) : null),
    todo,
  );
}

/** Without Tailwind: an import in the root layout or in `_app`. */
async function addStyles(inBase: string, isApp: boolean, typed: boolean): Promise<Step[]> {
  const line = 'import "hfdmd-nextjs/styles.css";';
  const stem = join(inBase, isApp ? "app/layout" : "pages/_app");
  const steps: Step[] = [];
  let path = await firstOf(["tsx", "jsx", "js", "ts"].map((end) => `${stem}.${end}`));
  if (!path) {
    path = `${stem}.${typed ? "tsx" : "jsx"}`;
    if (isApp) return [{ did: "manual", path, text: `there is no root layout; add to it: ${line}` }];
    await writeFile(path, `${line}\n${customApp(typed)}`);
    return [{ did: "created", path }];
  }
  steps.push(await change(path, line, (text) => text.replace(/^(["']use \w+["'];?\s*)?/, `$1${line}\n`), line));
  return steps;
}

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
