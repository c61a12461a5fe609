import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, screen } from "@testing-library/react";
import { SWRConfig } from "swr";
import { afterEach, beforeEach, expect, test } from "vitest";

import { useDownloadsSWR } from "../../recipes/swr.js";
import { useDownloadsQuery, useStartDownload } from "../../recipes/tanstack-query.js";
import { answerWith, asked, download, newBase, say, settle, setUp, show, tearDown } from "./stage.js";

beforeEach(setUp);
afterEach(tearDown);

test("TanStack Query: a query that the stream keeps current, a mutation that starts", async () => {
  const base = newBase();
  function Page() {
    const { data } = useDownloadsQuery(base);
    const { mutate } = useStartDownload(base);
    return (
      <button onClick={() => mutate({ modelRepo: "owner/name", filePath: "model.gguf" })}>
        {data?.map(({ modelRepo, progress }) => `${modelRepo} ${progress}`).join() || "none"}
      </button>
    );
  }
  await show(
    <QueryClientProvider client={new QueryClient()}>
      <Page />
    </QueryClientProvider>,
  );
  await say(["ready", {}]);
  expect(screen.getByText("none")).toBeTruthy();
  answerWith(() => ({ body: download({ progress: 1 }) }));
  fireEvent.click(screen.getByRole("button"));
  await settle();
  expect(asked.at(-1)).toMatchObject({ method: "POST", path: "download" });
  expect(screen.getByText("owner/name 1")).toBeTruthy();
  await say(["progress", download({ progress: 43.6 })]);
  expect(screen.getByText("owner/name 43.6")).toBeTruthy();
});

test("SWR: a subscription that the stream feeds", async () => {
  const base = newBase();
  function Page() {
    const { data } = useDownloadsSWR(base);
    return <p>{data?.map(({ modelRepo, progress }) => `${modelRepo} ${progress}`).join() || "none"}</p>;
  }
  await show(
    <SWRConfig value={{ provider: () => new Map() }}>
      <Page />
    </SWRConfig>,
  );
  await say(["progress", download({ progress: 7 })], ["ready", {}]);
  expect(screen.getByText("owner/name 7")).toBeTruthy();
  await say(["progress", download({ progress: 8 })]);
  expect(screen.getByText("owner/name 8")).toBeTruthy();
});

test.each(["tanstack-query.ts", "swr.ts"])("the README shows %s as it was tested", async (name) => {
  const root = join(import.meta.dirname, "../..");
  const recipe = await readFile(join(root, "recipes", name), "utf8");
  const readme = await readFile(join(root, "README.md"), "utf8");
  expect(readme.includes(`\`\`\`ts\n${recipe}\`\`\``)).toBe(true);
});
