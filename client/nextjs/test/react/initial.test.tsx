import { act, screen } from "@testing-library/react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { getStore } from "../../src/index.js";
import { DownloadButton, DownloadQueue, HfdmdProvider } from "../../src/react/index.js";
import { download, EMPTY_LIST, newBase, say, settle, setUp, tearDown } from "./stage.js";

beforeEach(setUp);
afterEach(tearDown);

const initial = { ...EMPTY_LIST, downloads: [download({ progress: 43.6, downloadedBytes: 26_160_000 })] };

function page(base: string) {
  return (
    <HfdmdProvider basePath={base} initial={initial}>
      <DownloadButton modelRepo="owner/name" filePath="model.gguf" />
      <DownloadQueue />
    </HfdmdProvider>
  );
}

/** As on a server, where there is no window. */
function rendered(base: string): string {
  vi.stubGlobal("window", undefined);
  try {
    return renderToString(page(base));
  } finally {
    vi.unstubAllGlobals();
    setUp();
  }
}

test("the first paint is the real state, on the server and while the page hydrates", async () => {
  const base = newBase();
  const html = rendered(base);
  expect(html.match(/43%/g)?.length).toBeGreaterThanOrEqual(2); // button and row
  const root = document.createElement("div");
  root.innerHTML = html;
  document.body.append(root);
  const faults: unknown[] = [];
  const shown = await act(async () => {
    const hydrated = hydrateRoot(root, page(base), { onRecoverableError: (error) => faults.push(error) });
    await vi.advanceTimersByTimeAsync(0);
    return hydrated;
  });
  expect(faults).toEqual([]);
  expect(screen.getAllByRole("progressbar")[0]?.getAttribute("aria-valuenow")).toBe("43");
  await say(["progress", download({ progress: 50, downloadedBytes: 30_000_000 })], ["ready", {}]);
  expect(screen.getAllByRole("progressbar")[0]?.getAttribute("aria-valuenow")).toBe("50");
  await act(async () => shown.unmount());
  await settle();
});

test("what one request shows does not stay on the server", () => {
  const base = newBase();
  rendered(base);
  expect(getStore(base).getSnapshot().items).toEqual([]);
});

test("a later page does not bring back what the stream has removed", async () => {
  const base = newBase();
  const store = getStore(base);
  const leave = store.subscribe(() => undefined);
  await say(["ready", {}]);
  store.seed(initial.downloads);
  expect(store.getSnapshot().items).toEqual([]);
  leave();
});
