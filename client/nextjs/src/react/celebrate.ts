"use client";

import type { BurstOptions } from "./burst.js";

/** An effect: true for the built-in one, false for none, a function for another library (defined in a client file). */
export type Burst = boolean | BurstOptions | ((element: HTMLElement) => void);

/** Runs the effect at `element`. Does nothing with reduced motion or in a hidden tab. */
export function celebrate(element: HTMLElement, how: Burst = true, reach?: "button"): void {
  if (!how || document.visibilityState === "hidden" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  if (typeof how === "function") return how(element);
  import("./burst.js").then(
    ({ burst }) => burst(element, { reach, ...(how as BurstOptions) }), // spreading true adds nothing
    () => undefined, // after a deployment an old page does not find the file any more; only the particles are missing
  );
}
