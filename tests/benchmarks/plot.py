"""Horizontal bars as a plain SVG file: no library, readable on light and dark pages."""

from __future__ import annotations

from html import escape

from tests.benchmarks.report import Bars, number

WIDTH, LABEL, ROW, TOP = 760, 230, 30, 44
OURS, PEERS, INK = "#0d9373", "#8a94a6", "#6b7280"
_FONT = "font-family='system-ui, sans-serif'"


def svg(plot: Bars) -> str:
    """The picture; bars of hfdmd in another colour than its peers'."""
    most = max((value for _, value in plot.bars), default=1.0) or 1.0
    height = TOP + ROW * len(plot.bars) + 12
    room = WIDTH - LABEL - 90
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'"
        f" role='img' aria-label='{escape(plot.title, quote=True)}'>",
        f"<text x='8' y='24' {_FONT} font-size='15' font-weight='600' fill='{INK}'>{escape(plot.title)}</text>",
    ]
    for at, (label, value) in enumerate(plot.bars):
        y = TOP + ROW * at
        colour = OURS if label.startswith("hfdm") else PEERS
        wide = max(1.0, room * value / most)
        text = f"{_FONT} font-size='13' fill='{INK}'"
        lines += [
            f"<text x='{LABEL - 8}' y='{y + 17}' text-anchor='end' {text}>{escape(label)}</text>",
            f"<rect x='{LABEL}' y='{y + 3}' width='{wide:.1f}' height='{ROW - 10}' rx='3' fill='{colour}'/>",
            f"<text x='{LABEL + wide + 7:.1f}' y='{y + 17}' {text}>{number(value)} {escape(plot.unit)}</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])
