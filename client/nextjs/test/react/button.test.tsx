import { fireEvent, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { DownloadButton, HfdmdProvider, type DownloadButtonProps } from "../../src/react/index.js";
import {
  answerWith,
  asked,
  download,
  EMPTY_LIST,
  FakeEventSource,
  newBase,
  repo,
  say,
  settle,
  setUp,
  show,
  tearDown,
} from "./stage.js";

beforeEach(setUp);
afterEach(tearDown);

const burst = vi.fn();
const events = { onStarted: vi.fn(), onProgress: vi.fn(), onComplete: vi.fn(), onError: vi.fn() };
beforeEach(() => {
  vi.clearAllMocks();
});

const Button = (props: Partial<DownloadButtonProps>) => (
  <StrictMode>
    <DownloadButton modelRepo="owner/name" filePath="model.gguf" burst={burst} {...events} {...props} />
  </StrictMode>
);
const main = () => screen.getAllByRole("button")[0] as HTMLButtonElement;
const state = () => main().dataset.state;

test("renders on a server, and the same in the browser before anything is heard", () => {
  const html = renderToString(<DownloadButton modelRepo="owner/name" filePath="model.gguf" />);
  expect(html).toContain("Download owner/name/model.gguf");
  expect(FakeEventSource.all).toEqual([]);
});

describe("into a folder, which the answers hide", () => {
  const hidden = { id: "there", localDir: "…" };

  test("follows what it asked for itself", async () => {
    await show(<Button basePath={newBase()} localDir="/srv/models" />);
    await say(["ready", {}]);
    answerWith(() => ({ body: download({ ...hidden, status: "queued" }) }));
    fireEvent.click(main());
    await settle();
    expect(state()).toBe("queued");
    await say(["progress", download({ ...hidden, progress: 50, downloadedBytes: 30_000_000 })]);
    expect(state()).toBe("downloading");
    await say(["progress", download({ ...hidden, status: "done" })]);
    expect(state()).toBe("done");
    expect(events.onComplete).toHaveBeenCalledTimes(1);
  });

  test("finds it again on a page that has not asked for it", async () => {
    const there = download(hidden);
    answerWith(({ path }) => {
      const mine = new URLSearchParams(path.split("?")[1]).get("localDir") === "/srv/models";
      return { body: mine ? { ...EMPTY_LIST, downloads: [there] } : EMPTY_LIST };
    });
    await show(<Button basePath={newBase()} localDir="/srv/models" />);
    await say(["progress", download({ id: "elsewhere", localDir: "…", status: "failed" })], ["progress", there]);
    await say(["ready", {}]);
    expect(state()).toBe("downloading");
    fireEvent.click(main());
    await settle();
    expect(asked.at(-1)).toMatchObject({ path: "pause", body: { id: "there" } });
  });
});

test("queued at once, then what the stream says, then done with exactly one burst", async () => {
  await show(<Button basePath={newBase()} />);
  expect(state()).toBe("loading");
  await say(["ready", {}]);
  expect(state()).toBe("idle");
  let answer: (value: { body: unknown }) => void = () => undefined;
  answerWith(() => new Promise((resolve) => (answer = resolve)));
  fireEvent.click(main());
  await settle(0);
  expect(state()).toBe("queued");
  expect(asked.at(-1)).toEqual({
    method: "POST",
    path: "download",
    body: { modelRepo: "owner/name", filePath: "model.gguf" },
  });
  answer({ body: download({ status: "queued", queuePosition: 3, version: 1 }) });
  await settle();
  expect(main().textContent).toContain("Queued, #3");
  expect(events.onStarted).toHaveBeenCalledTimes(1);
  await say([
    "progress",
    download({ progress: 43.6, downloadedBytes: 26_160_000, bytesPerSecond: 10_000_000, etaSeconds: 3, version: 2 }),
  ]);
  const bar = screen.getByRole("progressbar");
  expect(bar.getAttribute("aria-valuenow")).toBe("43");
  expect(bar.getAttribute("aria-valuetext")).toBe("43%, 26.2 MB of 60 MB, 3 sec left");
  expect(main().textContent).toContain("43%");
  expect(screen.getByText("10 MB/s · 3 sec left")).toBeTruthy();
  expect(events.onProgress).toHaveBeenCalledTimes(1);
  await say(["progress", download({ phase: "verifying", progress: 99.9, version: 3 })]);
  expect(main().textContent).toContain("Checking…");
  await say(["progress", download({ status: "done", progress: 100, version: 4 })]);
  expect(state()).toBe("done");
  await say(["progress", download({ status: "done", progress: 100, version: 5 })]);
  expect(burst).toHaveBeenCalledTimes(1);
  expect(burst).toHaveBeenCalledWith(main());
  expect(events.onComplete).toHaveBeenCalledTimes(1);
});

test("done before the answer to the click came: a burst all the same", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["ready", {}]);
  let answer: (value: { body: unknown }) => void = () => undefined;
  answerWith(() => new Promise((resolve) => (answer = resolve)));
  fireEvent.click(main());
  await say(["progress", download({ status: "done", progress: 100, version: 9 })]);
  answer({ body: download({ status: "queued", version: 1 }) });
  await settle();
  expect(state()).toBe("done");
  expect(burst).toHaveBeenCalledTimes(1);
});

test("no burst for what was done when the page was loaded, nor for what a lookup tells", async () => {
  const base = newBase();
  answerWith(() => ({
    body: { downloads: [download({ status: "done", progress: 100 })], repos: [], nextCursor: null },
  }));
  await show(<Button basePath={base} />);
  await say(["ready", {}]);
  expect(asked).toEqual([{ method: "GET", path: "progress?modelRepo=owner%2Fname&status=done", body: undefined }]);
  expect(state()).toBe("done");
  expect(burst).not.toHaveBeenCalled();
  expect(events.onComplete).not.toHaveBeenCalled();
});

test("a refused request is rolled back and told", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["ready", {}]);
  answerWith(() => ({ status: 503, body: { code: "daemon_unreachable", detail: "…" } }));
  fireEvent.click(main());
  await settle();
  expect(state()).toBe("failed");
  expect(screen.getByRole("alert").textContent).toBe("The download service is not running");
  expect(events.onError).toHaveBeenCalledWith({ code: "daemon_unreachable", message: "…" }, undefined);
  answerWith(() => ({ body: download({ status: "queued" }) }));
  fireEvent.click(main());
  await settle();
  expect(state()).toBe("queued");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("a failure is an alert, and a click retries", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["progress", download()], ["ready", {}]);
  await say(["progress", download({ status: "failed", reason: "gated", error: "owner/name is gated" })]);
  expect(screen.getByRole("alert").textContent).toBe("Access must be granted on the Hub");
  expect(events.onError).toHaveBeenCalledWith({ code: "gated", message: "owner/name is gated" }, expect.anything());
  answerWith(() => ({ body: { downloads: [download({ status: "queued" })], repos: [] } }));
  fireEvent.click(main());
  await settle();
  expect(asked.at(-1)).toEqual({ method: "POST", path: "retry", body: { id: "d1" } });
  expect(state()).toBe("queued");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("pause, resume and cancel go by id; the same button keeps the focus", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["progress", download({ progress: 20 })], ["ready", {}]);
  const button = main();
  button.focus();
  answerWith(({ path }) => ({
    body: { downloads: [download({ status: path === "pause" ? "paused" : "queued", progress: 20 })], repos: [] },
  }));
  fireEvent.click(button);
  await settle();
  expect(asked.at(-1)).toMatchObject({ path: "pause", body: { id: "d1" } });
  expect(button.textContent).toContain("Resume · 20%");
  fireEvent.click(button);
  await settle();
  expect(asked.at(-1)).toMatchObject({ path: "resume", body: { id: "d1" } });
  expect(document.activeElement).toBe(button);
  const cancel = screen.getByRole("button", { name: "Cancel owner/name/model.gguf" });
  cancel.focus();
  fireEvent.click(cancel);
  expect(document.activeElement).toBe(button);
  await settle();
  expect(asked.at(-1)).toMatchObject({ path: "cancel", body: { id: "d1" } });
});

test("a cancel asks when much is lost", async () => {
  const confirm = vi.fn(() => false);
  vi.stubGlobal("confirm", confirm);
  window.confirm = confirm;
  await show(<Button basePath={newBase()} />);
  await say(["progress", download({ totalBytes: 9e9, downloadedBytes: 5e9, progress: 55 })], ["ready", {}]);
  asked.length = 0;
  fireEvent.click(screen.getByRole("button", { name: /^Cancel/ }));
  await settle();
  expect(confirm).toHaveBeenCalledWith(expect.stringContaining("5 GB"));
  expect(asked).toEqual([]);
});

test("waiting says why and counts down; a click tries now", async () => {
  await show(<Button basePath={newBase()} />);
  const retryAt = new Date(Date.now() + 12_300).toISOString();
  await say(["progress", download({ status: "queued", reason: "network", retryAt, attempt: 2 })], ["ready", {}]);
  await settle(1000);
  expect(screen.getByText(/No network · try 3, in 1\d sec/)).toBeTruthy();
  answerWith(() => ({ body: { downloads: [download()], repos: [] } }));
  fireEvent.click(main());
  await settle();
  expect(asked.at(-1)).toMatchObject({ path: "retry" });
});

test("a stall is told, never an old rate", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["progress", download({ progress: 30, downloadedBytes: 18e6, bytesPerSecond: 5e6 })], ["ready", {}]);
  await say(["progress", download({ progress: 30, downloadedBytes: 18e6, bytesPerSecond: null })]);
  expect(main().textContent).toMatch(/30% · stalled|Stalled · 30%/);
  expect(screen.queryByText(/MB\/s/)).toBeNull();
});

test("a reason while it downloads takes the place of speed and time left, until the next byte", async () => {
  await show(<Button basePath={newBase()} />);
  const moving = { progress: 30, downloadedBytes: 18e6, bytesPerSecond: 5e6, etaSeconds: 9 };
  await say(["progress", download(moving)], ["ready", {}]);
  expect(screen.getByText("5 MB/s · 9 sec left")).toBeTruthy();
  // With an old speed on purpose: the reason alone counts.
  await say(["progress", download({ ...moving, reason: "network", detail: "no connection to hub.example for 3 s" })]);
  expect(main().textContent).toMatch(/stalled/i);
  expect(screen.getByText("No network").title).toBe("no connection to hub.example for 3 s");
  expect(screen.queryByText(/MB\/s|left/)).toBeNull();
  expect(screen.getByRole("progressbar").getAttribute("aria-valuetext")).toBe("30%, 18 MB of 60 MB");
  await say([
    "progress",
    download({ phase: "resolving", reason: "rate_limited", progress: 30, downloadedBytes: 18e6 }),
  ]);
  expect(screen.getByText("Rate limited by the Hub")).toBeTruthy();
  await say(["progress", download({ ...moving, bytesPerSecond: 4e6, etaSeconds: 11 })]);
  expect(screen.getByText("4 MB/s · 11 sec left")).toBeTruthy();
  expect(screen.queryByText(/stalled|No network|Rate limited/)).toBeNull();
});

test("without a daemon it says so before it is pressed, and no more once there is one", async () => {
  await show(<Button basePath={newBase()} />);
  answerWith(() => ({ status: 503, body: { code: "daemon_unreachable" } }));
  FakeEventSource.open[0]?.onerror?.();
  await settle();
  expect(screen.getByText("The download service is not running")).toBeTruthy();
  expect(main().className).not.toContain("bg-[color:var(--hf)]"); // it does not look ready
  while (FakeEventSource.open.length === 0) await settle(50);
  answerWith(() => ({ body: EMPTY_LIST }));
  await say(["ready", {}]);
  expect(screen.queryByText(/not running/)).toBeNull();
  expect(main().className).toContain("bg-[color:var(--hf)]");
});

test("done shows the size, and the path if the app shows paths", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["progress", download({ status: "done", progress: 100 })], ["ready", {}]);
  expect(screen.getByText("60 MB")).toBeTruthy();
  await say(["progress", download({ status: "done", progress: 100, path: "/srv/models/model.gguf" })]);
  expect(screen.getByText("60 MB · /srv/models/model.gguf").title).toBe("/srv/models/model.gguf");
});

test("a click effect is a choice, and only the click that starts has one", async () => {
  const clickEffect = vi.fn();
  await show(<Button basePath={newBase()} clickEffect={clickEffect} />);
  await say(["ready", {}]);
  answerWith(({ path }) => ({
    body: path === "download" ? download() : { downloads: [download({ status: "paused" })], repos: [], unchanged: 0 },
  }));
  fireEvent.click(main());
  await settle();
  expect(clickEffect).toHaveBeenCalledExactlyOnceWith(main());
  fireEvent.click(main());
  await settle();
  expect([state(), clickEffect.mock.calls.length]).toEqual(["paused", 1]);
});

test("when the daemon is away no old speed stays", async () => {
  await show(<Button basePath={newBase()} />);
  const moving = { progress: 30, downloadedBytes: 18e6, bytesPerSecond: 5e6, etaSeconds: 9, version: 7 };
  await say(["progress", download(moving)], ["ready", {}]);
  answerWith(() => ({ status: 503, body: { code: "daemon_unreachable" } }));
  for (let round = 0; round < 2; round += 1) {
    FakeEventSource.open[0]?.onerror?.();
    while (FakeEventSource.open.length === 0) await settle(50);
  }
  await settle();
  expect(screen.queryByText(/MB\/s|left/)).toBeNull();
  await say(["progress", download(moving)], ["ready", {}]); // the same version, from the new stream
  expect(screen.getByText("5 MB/s · 9 sec left")).toBeTruthy();
});

test("a screen reader hears changes of state and quarters, politely, and nothing of what was so on load", async () => {
  await show(<Button basePath={newBase()} />);
  await say(["progress", download({ progress: 10 })], ["ready", {}]);
  const status = screen.getByRole("status");
  expect(status.textContent).toBe("");
  await say(["progress", download({ progress: 24 })]);
  expect(status.textContent).toBe("");
  await say(["progress", download({ progress: 26 })]);
  expect(status.textContent).toBe("owner/name/model.gguf: 25%");
  await say(["progress", download({ status: "done", progress: 100 })]);
  expect(status.textContent).toBe("owner/name/model.gguf: Downloaded");
});

test("a whole repo is a target too", async () => {
  await show(<Button basePath={newBase()} filePath={undefined} include={["*.gguf"]} />);
  await say(["repo", repo({ include: ["*.gguf"], progress: 50 })], ["progress", download()], ["ready", {}]);
  expect(main().textContent).toContain("50%");
});

test("two buttons of the same download show the same and share one stream", async () => {
  const base = newBase();
  await show(
    <>
      <Button basePath={base} />
      <Button basePath={base} />
    </>,
  );
  await say(["progress", download({ progress: 7 })], ["ready", {}]);
  expect(screen.getAllByRole("progressbar").map((bar) => bar.getAttribute("aria-valuenow"))).toEqual(["7", "7"]);
  expect(FakeEventSource.all.filter(({ url }) => url === `${base}/progress`)).toHaveLength(FakeEventSource.all.length);
  expect(FakeEventSource.open).toHaveLength(1);
});

test("texts and numbers in another language", async () => {
  await show(
    <HfdmdProvider
      locale="de"
      basePath={newBase()}
      messages={{ actionOn: "{name}: {action}", pause: "Anhalten", left: "noch {time}" }}
    >
      <Button />
    </HfdmdProvider>,
  );
  await say(
    ["progress", download({ progress: 50, downloadedBytes: 1, bytesPerSecond: 1_500_000, etaSeconds: 90 })],
    ["ready", {}],
  );
  expect(screen.getByRole("button", { name: "owner/name/model.gguf: Anhalten" })).toBeTruthy();
  expect(screen.getByText("1,5 MB/s · noch 2 Min.")).toBeTruthy();
});

describe("the stream", () => {
  test("opens again by itself, sooner at first, at most five seconds apart, and says why", async () => {
    await show(<Button basePath={newBase()} />);
    answerWith(() => ({ status: 503, body: { code: "daemon_unreachable" } }));
    const opened: number[] = [];
    let before = Date.now();
    for (let round = 0; round < 7; round += 1) {
      FakeEventSource.open[0]?.onerror?.();
      while (FakeEventSource.open.length === 0) await settle(50);
      opened.push(Date.now() - before);
      before = Date.now();
    }
    expect(opened[0]).toBeLessThan(1000);
    expect(Math.max(...opened)).toBeLessThan(6800);
    expect(opened.at(-1)).toBeGreaterThan(3000);
    await say(["progress", download({ progress: 66 })], ["ready", {}]);
    expect(main().textContent).toContain("66%");
  });

  test.each(["shutdown", "lagging"])("an end with %s is followed by another", async (reason) => {
    await show(<Button basePath={newBase()} />);
    await say(["ready", {}]);
    await say(["end", { reason }]);
    await settle(1000);
    expect(FakeEventSource.open).toHaveLength(1);
    expect(FakeEventSource.all.length).toBeGreaterThan(1);
  });

  test("what was removed, by event or while away, is offered again", async () => {
    await show(<Button basePath={newBase()} />);
    await say(["progress", download()], ["ready", {}]);
    await say(["removed", { id: "d1" }]);
    expect(state()).toBe("idle");
    await say(["progress", download()]);
    expect(state()).toBe("downloading");
    FakeEventSource.open[0]?.onerror?.();
    await settle(1000);
    await say(["ready", {}]);
    expect(state()).toBe("idle");
  });

  test("is left when nobody looks, kept over a re-mount", async () => {
    const base = newBase();
    const { rerender, unmount } = await show(<Button basePath={base} key="a" />);
    const [source] = FakeEventSource.open;
    rerender(<Button basePath={base} key="b" />);
    await settle();
    expect(FakeEventSource.open).toEqual([source]);
    unmount();
    await settle();
    expect(FakeEventSource.open).toEqual([]);
  });

  test("without locks a hidden tab gives its stream back", async () => {
    await show(<Button basePath={newBase()} />);
    await say(["ready", {}]);
    const visibility = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    document.dispatchEvent(new Event("visibilitychange"));
    await settle(6000);
    expect(FakeEventSource.open).toEqual([]);
    visibility.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(FakeEventSource.open).toHaveLength(1);
    visibility.mockRestore();
  });
});
