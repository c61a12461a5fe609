"use client";

export interface BurstOptions {
  colors?: readonly string[];
  /** Default 110 for the page, 14 for the button. */
  particles?: number;
  /** Over the whole page, or only around the button. Default `page`. */
  reach?: "page" | "button";
}

const COLORS = ["#f59e0b", "#ef4444", "#8b5cf6", "#3b82f6", "#10b981", "#ec4899"];
const NEAR_PX = 70;
/** Steps by this fraction cover a range evenly, however many there are. */
const GOLDEN = 0.618;

/** Shows particles that fly from the middle of `element` and fall. Only transforms and opacity move, so the page stays responsive. */
export function burst(element: HTMLElement, options: BurstOptions): void {
  const { colors = COLORS, reach = "page", particles = reach === "page" ? 110 : 14 } = options;
  const durationMs = reach === "page" ? 2200 : 600;
  const box = element.getBoundingClientRect();
  const fromX = box.left + box.width / 2;
  const fromY = box.top + box.height / 2;
  const host = document.createElement("div");
  host.setAttribute("aria-hidden", "true");
  host.dataset.hfdmdBurst = reach;
  host.style.cssText = "position:fixed;inset:0;z-index:2147483647;pointer-events:none;overflow:hidden;contain:strict";
  for (let n = 0; n < particles; n += 1) {
    const size = reach === "page" ? 7 + Math.random() * 9 : 4 + Math.random() * 3;
    const part = (n + Math.random()) / particles;
    const [x, y] =
      reach === "page"
        ? [part * innerWidth, ((n * GOLDEN) % 1) * innerHeight]
        : [fromX + Math.cos(part * 2 * Math.PI) * NEAR_PX * 1.6, fromY + Math.sin(part * 2 * Math.PI) * NEAR_PX];
    const fall = reach === "page" ? innerHeight * (0.12 + Math.random() * 0.2) : 12;
    const turn = (Math.random() - 0.5) * 1080;
    const at = (left: number, top: number, more: string) => `translate(${left}px,${top}px) ${more}`;
    const piece = document.createElement("i");
    piece.style.cssText = `position:absolute;left:0;top:0;opacity:0;width:${size}px;height:${n % 3 ? size : size / 2}px;border-radius:${n % 2 ? 50 : 15}%;background:${colors[n % colors.length]}`;
    piece.animate?.(
      [
        { transform: at(fromX, fromY, "scale(.3)"), opacity: 1, easing: "cubic-bezier(.1,.8,.3,1)" },
        { transform: at(x, y, `rotate(${turn / 2}deg)`), opacity: 1, offset: 0.4, easing: "ease-in" },
        { transform: at(x, y + fall * 0.6, `rotate(${turn}deg)`), opacity: 1, offset: 0.75 },
        { transform: at(x, y + fall, `rotate(${turn * 1.2}deg) scale(.6)`), opacity: 0 },
      ],
      durationMs * (0.75 + Math.random() * 0.25),
    );
    host.append(piece);
  }
  document.body.append(host);
  setTimeout(() => host.remove(), durationMs);
}
