import { readFile } from "node:fs/promises";

import { expect, test } from "vitest";

import { ROUTES, SETTINGS_ROUTES } from "../../src/server/routes.js";

type Operation = { parameters?: { name: string; in: string }[] };

const ALIASES: Record<string, string> = { modelRepo: "ModelRepo", filePath: "FilePath" };
const document = JSON.parse(await readFile(new URL("../../../openapi.json", import.meta.url), "utf8")) as {
  paths: Record<string, Record<string, Operation>>;
};

test.each([...ROUTES, ...SETTINGS_ROUTES].map((route) => [`${route.method} ${route.segment}`, route] as const))(
  "%s passes on the parameters that the daemon knows, and no others",
  (_name, route) => {
    const operation = document.paths[`/api/${route.segment}`]?.[route.method.toLowerCase()];
    expect(operation).toBeDefined();
    const known = (operation?.parameters ?? [])
      .filter((parameter) => parameter.in === "query")
      .flatMap(({ name }) => [name, ...(ALIASES[name] ? [ALIASES[name]] : [])]);
    expect([...route.query].sort()).toEqual([...new Set(known)].sort());
  },
);

test("every call of the daemon is passed on, but for those about the machine and its document", () => {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const passed = [...ROUTES, ...SETTINGS_ROUTES].map((route) => `${route.method} /api/${route.segment}`);
  expect(calls.filter((call) => !passed.includes(call)).sort()).toEqual([
    "GET /api/checks",
    "GET /api/openapi.json",
    "GET /metrics",
  ]);
});
