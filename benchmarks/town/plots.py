"""Plots as inline SVG: lines with bands, a grid, a legend. All text is escaped, nothing is loaded from anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 62
COLOURS = ("#1f6feb", "#d1570a", "#1a7f37", "#8250df")
MOST_TICKS = 6


@dataclass(frozen=True)
class Series:
    """A line through points; `band` holds (low, high) for each of them."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class _Scale:
    """From a value to its place."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def plot(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    *,
    level: tuple[float, str] | None = None,
    percent: bool = False,
) -> str:
    """One figure; `level` is a dashed line across, with its name. Series without points are left out."""
    series = [one for one in series if one.points]
    if not series:
        return f"<figure><figcaption>{escape(title)}: nothing to show.</figcaption></figure>"
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points] + [y for one in series for ends in one.band for y in ends]
    ys += [level[0]] if level else []
    x_ticks, y_ticks = ticks(min(xs), max(xs), whole=all(x == int(x) for x in xs)), ticks(min(ys), max(ys))
    across = _Scale(min(x_ticks[0], *xs), max(x_ticks[-1], *xs), LEFT, WIDTH - RIGHT)
    up = _Scale(min(y_ticks[0], *ys), max(y_ticks[-1], *ys), HEIGHT - BOTTOM, TOP)
    parts = [_text(LEFT, 16, title, weight="600")]
    for tick in y_ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(_text(LEFT - 6, up(tick) + 4, told(tick, percent=percent), anchor="end"))
    parts += [_text(across(tick), HEIGHT - BOTTOM + 16, told(tick), anchor="middle") for tick in x_ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, x_label, anchor="middle"))
    turned = f'transform="rotate(-90 12 {(TOP + HEIGHT - BOTTOM) / 2})"'
    parts.append(_text(12, (TOP + HEIGHT - BOTTOM) / 2, y_label, anchor="middle", more=turned))
    if level:
        y = up(level[0])
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(WIDTH - RIGHT - 2, y - 4, level[1], anchor="end"))
    for one, colour in zip(series, COLOURS, strict=False):
        parts += _line(one, colour, across, up)
    parts += _legend(series)
    name = escape(f"{title}: {y_label} against {x_label}")
    return f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg></figure>'


def _line(one: Series, colour: str, across: _Scale, up: _Scale) -> list[str]:
    places = [(across(x), up(y)) for x, y in one.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts: list[str] = []
    if one.band:
        lows = [f"{x:.1f},{up(low):.1f}" for (x, _), (low, _) in zip(places, one.band, strict=True)]
        highs = [f"{x:.1f},{up(high):.1f}" for (x, _), (_, high) in zip(places, one.band, strict=True)]
        parts.append(f'<polygon fill="{colour}" opacity="0.15" points="{" ".join(lows + highs[::-1])}"/>')
        for (x, _), (low, high) in zip(places, one.band, strict=True):
            parts.append(f'<line stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"/>')
    parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
    return parts + [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]


def _legend(series: Sequence[Series]) -> list[str]:
    parts, x = [], float(LEFT)
    for one, colour in zip(series, COLOURS, strict=False):
        parts.append(f'<rect x="{x:.0f}" y="{HEIGHT - 18}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 14, HEIGHT - 9, one.name))
        x += 30 + 6.2 * len(one.name)
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" {more}>{escape(text)}</text>'


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round numbers from at most `low` to at least `high`."""
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def told(value: float, *, percent: bool = False) -> str:
    """A number as short as it can be."""
    return f"{100 * value:.4g} %" if percent else f"{value:.4g}"
