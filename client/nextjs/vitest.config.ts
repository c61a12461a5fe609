import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "server", environment: "node", include: ["test/server/**/*.test.ts"] } },
      { test: { name: "react", environment: "happy-dom", include: ["test/react/**/*.test.{ts,tsx}"] } },
    ],
  },
});
