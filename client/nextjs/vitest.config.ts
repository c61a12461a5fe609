import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** The recipes import the package by its name, as an app does. */
const alias = [
  { find: /^hfdmd-nextjs$/, replacement: at("src/index.ts") },
  { find: /^hfdmd-nextjs\/react$/, replacement: at("src/react/index.ts") },
];

export default defineConfig({
  test: {
    projects: [
      { test: { name: "server", environment: "node", include: ["test/server/**/*.test.ts"] } },
      {
        resolve: { alias },
        test: { name: "react", environment: "happy-dom", include: ["test/react/**/*.test.{ts,tsx}"] },
      },
    ],
  },
});
