"use client";

/** Whether to celebrate and how: false for not at all, a function for a library of your own (from a client file). */
export type Burst = boolean | BurstOptions | ((element: HTMLElement) => void);

export interface BurstOptions {
  colors?: readonly string[];
  /** Default 28. */
  particles?: number;
}

/** Particles from the middle of `element`, or what you want instead. Nothing under reduced motion or in a hidden tab. */
export function celebrate(element: HTMLElement, how: Burst = true): void {
  if (!how || document.visibilityState === "hidden" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  if (typeof how === "function") return how(element);
  import("./burst.js").then(
    ({ burst }) => burst(element, how === true ? {} : how),
    () => undefined, // a page older than its server finds the file gone: nothing is lost but the particles
  );
}
