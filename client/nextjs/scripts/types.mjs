// Writes src/wire.ts from ../openapi.json; with --check fails when it is not what would be written.
import { readFile, writeFile } from "node:fs/promises";

import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../openapi.json", import.meta.url);
const target = new URL("../src/wire.ts", import.meta.url);

const ast = await openapiTS(source, {
  alphabetize: true,
  rootTypes: true,
  rootTypesNoSchemaPrefix: true,
  defaultNonNullable: false, // else request fields with a default become required
});
const text = `// Generated from client/openapi.json by \`npm run types\`; not to be edited.\n\n${astToString(ast)}`;

if (process.argv.includes("--check")) {
  if ((await readFile(target, "utf8")) !== text) {
    console.error("src/wire.ts is not what client/openapi.json says: run `npm run types`");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
