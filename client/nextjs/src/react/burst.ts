"use client";

export interface BurstOptions {
  colors?: readonly string[];
  /** Default 28. */
  particles?: number;
}

const COLORS = ["#f59e0b", "#ef4444", "#8b5cf6", "#3b82f6", "#10b981", "#ec4899"];
const DURATION_MS = 1000;

/** Shows particles that spread from the middle of `element` for one second. */
export function burst(element: HTMLElement, { colors = COLORS, particles = 28 }: BurstOptions): void {
  const box = element.getBoundingClientRect();
  const host = document.createElement("div");
  host.setAttribute("aria-hidden", "true");
  host.dataset.hfdmdBurst = "";
  host.style.cssText = `position:fixed;z-index:2147483647;pointer-events:none;left:${box.left + box.width / 2}px;top:${box.top + box.height / 2}px`;
  for (let n = 0; n < particles; n += 1) {
    const piece = document.createElement("i");
    const size = 5 + Math.random() * 6;
    piece.style.cssText = `position:absolute;width:${size}px;height:${n % 3 ? size : size / 2}px;border-radius:${n % 2 ? 50 : 15}%;background:${colors[n % colors.length]}`;
    host.append(piece);
    const angle = ((n + Math.random()) / particles) * 2 * Math.PI;
    const far = 50 + Math.random() * 80;
    const x = Math.cos(angle) * far * 1.4;
    const y = Math.sin(angle) * far;
    piece.animate?.(
      [
        { transform: "translate(-50%,-50%) scale(.4)", opacity: 1 },
        {
          transform: `translate(${x}px,${y - 25}px) rotate(${Math.random() * 360}deg) scale(1)`,
          opacity: 1,
          offset: 0.6,
        },
        { transform: `translate(${x * 1.1}px,${y + 40}px) rotate(${Math.random() * 720}deg) scale(.7)`, opacity: 0 },
      ],
      { duration: DURATION_MS * (0.7 + Math.random() * 0.3), easing: "cubic-bezier(.15,.8,.4,1)", fill: "forwards" },
    );
  }
  document.body.append(host);
  setTimeout(() => host.remove(), DURATION_MS);
}
