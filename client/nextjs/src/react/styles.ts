import type { ItemState } from "../browser/item.js";

/**
 * Classes shared by the components. Each state sets one hue, which is mixed with the page's text colour, so that light and dark follow from
 * the page and not from a setting. Only complete class names, and only those that both Tailwind 3.4 and 4 support.
 */

const BLUE = "[--hf:var(--hfdmd-accent,#2563eb)]";
const AMBER = "[--hf:#d97706]";
const GREEN = "[--hf:#16a34a]";
const RED = "[--hf:#dc2626]";
const GREY = "[--hf:#6b7280]";

export const HUE: Record<ItemState, string> = {
  loading: BLUE,
  idle: BLUE,
  queued: GREY,
  waiting: AMBER,
  resolving: BLUE,
  downloading: BLUE,
  verifying: BLUE,
  paused: AMBER,
  done: GREEN,
  failed: RED,
};

/** Text in the state's hue, dark on light and light on dark. */
export const TINTED_TEXT = "text-[color:color-mix(in_oklab,var(--hf)_45%,currentColor)]";
/** A surface in the state's hue. */
export const TINTED = "bg-[color:color-mix(in_oklab,var(--hf)_14%,transparent)]";
/** The part of a bar that is filled. */
export const FILLED = "bg-[color:color-mix(in_oklab,var(--hf)_32%,transparent)]";
export const MUTED = "text-[color:color-mix(in_oklab,currentColor_72%,transparent)]";
export const LINE = "border-[color:color-mix(in_oklab,currentColor_14%,transparent)]";
export const FAINT = "bg-[color:color-mix(in_oklab,currentColor_5%,transparent)]";
export const HOVER = "hover:bg-[color:color-mix(in_oklab,currentColor_9%,transparent)]";
/** In the text colour, which contrasts with the background of the ring. */
export const FOCUS = "focus-visible:outline focus-visible:outline-2 focus-visible:outline-offset-2";
/** For the container of the focused element. */
export const FOCUS_WITHIN = "focus-within:outline focus-within:outline-2 focus-within:outline-offset-2";
export const PRESS = "motion-safe:transition motion-safe:duration-150 motion-safe:active:scale-95";
/** A bar's fill moves between two updates of the stream, four a second. */
export const FILL =
  "origin-left rtl:origin-right motion-safe:transition-transform motion-safe:duration-300 motion-safe:ease-linear";

export const join = (...classes: (string | false | undefined)[]) => classes.filter(Boolean).join(" ");
