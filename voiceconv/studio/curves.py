"""Draws curves and waveforms as SVG, in the page's own colours."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 420, 200, 44, 10, 22
MOST_POINTS = 300
COLOURS = ("#6366f1", "#d97706", "#059669", "#db2777", "#0284c7", "#7c3aed")


def draw(title: str, rows: Sequence[Mapping[str, float]], names: Sequence[str], meaning: str = "") -> str:
    """A figure of the values `names` in `rows` by their "step"; values that are not finite are left out."""
    lines = {}
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row and math.isfinite(row[name])]
        lines[name] = points[:: max(1, len(points) // MOST_POINTS)]
    values = [value for points in lines.values() for _, value in points]
    if not values:
        return ""
    steps = [step for points in lines.values() for step, _ in points]
    low, high, last = min(values), max(values), max(*steps, 1)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 8) * step / last
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = []
    for value in (low + margin, (low + high) / 2, high - margin):
        y = place(0, value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step, anchor in ((0, "start"), (last, "end")):
        parts.append(f'<text x="{place(step, low)[0]:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{step:.0f}</text>')
    for colour, points in zip(COLOURS * len(lines), lines.values(), strict=False):
        at = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if len(at) < 30:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in at]
    legend = " ".join(
        f'<span><b style="color:{colour}">●</b> {html.escape(name)}</span>'
        for colour, name in zip(COLOURS * len(lines), lines, strict=False)
    )
    label = html.escape(f"{title}, by step")
    return (
        f'<figure class="curve"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'
        f"<p>{legend if len(lines) > 1 else ''} {html.escape(meaning)}</p></figure>"
    )


def waveform(wav: NDArray[np.float32], label: str) -> str:
    """The loudness of `wav` `(T,)` over time, in the colour of the text around it."""
    peaks = [float(np.abs(part).max(initial=0.0)) for part in np.array_split(wav, MOST_POINTS)]
    top = max(*peaks, 1e-9)
    heights = [max(0.5, 19.5 * peak / top) for peak in peaks]
    bars = "".join(f"M{x + 0.5:g} {20 - height:.1f}V{20 + height:.1f}" for x, height in enumerate(heights))
    return (
        f'<svg class="wave" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {MOST_POINTS} 40" '
        f'preserveAspectRatio="none"><path stroke="currentColor" d="{bars}"/></svg>'
    )
