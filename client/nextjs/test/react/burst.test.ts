import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { burst } from "../../src/react/burst.js";
import { celebrate } from "../../src/react/celebrate.js";

type Frames = { transform: string; opacity: number }[];

const flown: Frames[] = [];
let reduced = false;

beforeEach(() => {
  vi.useFakeTimers();
  flown.length = 0;
  reduced = false;
  vi.stubGlobal("matchMedia", () => ({ matches: reduced }));
  vi.stubGlobal("innerWidth", 1280);
  vi.stubGlobal("innerHeight", 900);
  HTMLElement.prototype.animate = vi.fn((frames: Frames) => {
    flown.push(frames);
    return {} as Animation;
  }) as unknown as typeof HTMLElement.prototype.animate;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const reached = () =>
  flown.map((frames) => /translate\((-?[\d.]+)px,(-?[\d.]+)px\)/.exec(frames[1]!.transform)!.slice(1, 3).map(Number));

test("reaches every part of the page and leaves nothing behind", () => {
  burst(document.createElement("button"), {});
  const cells = new Set(reached().map(([x, y]) => `${Math.floor(x! / 320)},${Math.floor(y! / 300)}`));
  expect(cells.size).toBe(12); // four columns of three
  // Only what the compositor can move, and still in full colour at two thirds of the time.
  for (const frames of flown) {
    expect(frames.flatMap((frame) => Object.keys(frame))).not.toContain("left");
    expect(frames[2]?.opacity).toBe(1);
  }
  expect(document.querySelectorAll("[data-hfdmd-burst] i")).toHaveLength(110);
  vi.advanceTimersByTime(2200);
  expect(document.querySelectorAll("[data-hfdmd-burst]")).toHaveLength(0);
});

test("stays near the button for a click", () => {
  burst(document.createElement("button"), { reach: "button", particles: 9 });
  expect(reached()).toHaveLength(9);
  for (const [x, y] of reached()) expect(Math.hypot(x!, y!)).toBeLessThan(120);
});

test("is quiet under reduced motion", async () => {
  reduced = true;
  const own = vi.fn();
  celebrate(document.createElement("button"), own);
  celebrate(document.createElement("button"), true);
  await vi.dynamicImportSettled();
  expect([own.mock.calls.length, flown.length]).toEqual([0, 0]);
  reduced = false;
  celebrate(document.createElement("button"), { particles: 3 });
  await vi.dynamicImportSettled();
  expect(flown).toHaveLength(3);
});
