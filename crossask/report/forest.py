"""Small interval bars as inline SVG, all of a column on one scale: a forest plot that lives in a table."""

import math
from html import escape

WIDTH, HEIGHT, MARGIN = 220, 26, 14


def scale(intervals, zero: bool = False) -> tuple[float, float, list[float]]:
    """(low, high, ticks) in per cent for intervals (low, high) in fractions; `zero` brings zero into the picture."""
    ends = [100 * end for interval in intervals for end in interval] + ([0.0] if zero else [])
    low, high = min(ends), max(ends)
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100) if s * 4 >= max(high - low, 0.5))
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    high = high if high > low else low + step
    return low, high, [low + step * number for number in range(round((high - low) / step) + 1)]


def bar(
    low: float, value: float, high: float, scaled, kind: str, label: str, zero: bool = False
) -> str:
    """One interval (fractions) with its dot; `kind` is a class of the style sheet, `label` is read out."""
    left, middle, right = (_x(100 * number, scaled) for number in (low, value, high))
    y = HEIGHT / 2
    grid = "".join(
        f'<line class="grid" x1="{_x(t, scaled)}" x2="{_x(t, scaled)}" y1="0" y2="{HEIGHT}"/>'
        for t in scaled[2]
    )
    axis = (
        f'<line class="zero" x1="{_x(0, scaled)}" x2="{_x(0, scaled)}" y1="0" y2="{HEIGHT}"/>'
        if zero
        else ""
    )
    ends = "".join(
        f'<line class="end" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>' for x in (left, right)
    )
    return (
        f'<svg class="forest {kind}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{grid}{axis}'
        f'<line class="span" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        f'{ends}<circle cx="{middle}" cy="{y}" r="4.5"/></svg>'
    )


def axis(scaled, zero: bool = False) -> str:
    """The scale's figures, to stand above a column of bars."""
    texts = ""
    for tick in scaled[2]:
        text = f"{tick:g}".replace("-", "−")
        text = f"+{text}" if zero and tick > 0 else text
        texts += f'<text x="{_x(tick, scaled)}" y="11" text-anchor="middle">{text}</text>'
    return f'<svg class="forest axis" viewBox="0 0 {WIDTH} 14" aria-hidden="true">{texts}</svg>'


def _x(number: float, scaled) -> float:
    low, high, _ = scaled
    return round(MARGIN + (WIDTH - 2 * MARGIN) * (number - low) / (high - low), 1)
