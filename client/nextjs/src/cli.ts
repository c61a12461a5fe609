#!/usr/bin/env node
/** `npx hfdmd-nextjs init`: adds routes, styles and a page to the Next.js app in the current folder. */
import { relative } from "node:path";

import { init, InitError } from "./cli/init.js";
import { hfdmd } from "./server.js";

const USAGE = `usage: npx hfdmd-nextjs init

Adds hfdmd to the Next.js app in this folder: route files, one line of styles, a page /downloads.
Keeps every file that exists; a second run changes nothing.`;

const [command, ...rest] = process.argv.slice(2);
if (command !== "init" || rest.length > 0) {
  const asked = command === "--help" || command === "-h";
  (asked ? console.log : console.error)(USAGE);
  process.exit(asked ? 0 : 2);
}
try {
  const steps = await init(process.cwd());
  for (const { did, path, text } of steps) {
    console.log(`${did.padEnd(8)} ${relative(".", path) || "."}${text === undefined ? "" : `: ${text}`}`);
  }
  await hfdmd()
    .info()
    .then(
      ({ version }) => console.log(`\nThe daemon answers (hfdmd ${version}).`),
      (error: Error) => console.log(`\n${error.message} Start it with: hfdmd`),
    );
  console.log("Next: npm run dev, then open /downloads. Who may download is decided by `authorize` in the route file.");
  process.exitCode = steps.some(({ did }) => did === "manual") ? 1 : 0;
} catch (error) {
  if (!(error instanceof InitError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
