"use client";

import type { BurstOptions } from "./burst.js";

/** The effect on completion: true for the built-in one, false for none, a function for another library (defined in a client file). */
export type Burst = boolean | BurstOptions | ((element: HTMLElement) => void);

/** Runs the effect at `element`. Does nothing with reduced motion or in a hidden tab. */
export function celebrate(element: HTMLElement, how: Burst = true): void {
  if (!how || document.visibilityState === "hidden" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  if (typeof how === "function") return how(element);
  import("./burst.js").then(
    ({ burst }) => burst(element, how === true ? {} : how),
    () => undefined, // after a deployment an old page does not find the file any more; only the particles are missing
  );
}
