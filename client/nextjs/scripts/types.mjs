// Writes src/wire.ts from ../openapi.json: one exported type for each schema. With --check fails when it is out of date.
import { readFile, writeFile } from "node:fs/promises";

import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const source = new URL("../../openapi.json", import.meta.url);
const target = new URL("../src/wire.ts", import.meta.url);

const ast = await openapiTS(source, {
  alphabetize: true,
  defaultNonNullable: false, // else request fields with a default become required
});

/** The member of an interface or type literal that has this name. */
const member = (node, name) => node.members.find((candidate) => candidate.name.text === name);

const components = ast.find((node) => node.name.text === "components");
const types = member(components, "schemas").type.members.map((schema) =>
  ts.setSyntheticLeadingComments(
    ts.factory.createTypeAliasDeclaration(
      [ts.factory.createToken(ts.SyntaxKind.ExportKeyword)],
      schema.name.text,
      undefined,
      schema.type,
    ),
    ts.getSyntheticLeadingComments(schema),
  ),
);
const named = astToString(types).replaceAll(/components\["schemas"\]\["(\w+)"\]/g, "$1");
const text = `// Generated from client/openapi.json by \`npm run types\`; not to be edited.\n\n${named}`;

if (process.argv.includes("--check")) {
  if ((await readFile(target, "utf8")) !== text) {
    console.error("src/wire.ts is not what client/openapi.json says: run `npm run types`");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
