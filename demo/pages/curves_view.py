"""The curves of a night as small drawings (SVG), made on the server so that nothing flickers: numbers only."""

import html
from collections.abc import Mapping, Sequence

from demo.catalogue import Words
from demo.night_time import PPO, REWARD_MODEL
from nightschool.records import Curves

SHOWN = {
    (REWARD_MODEL, "log_loss"): ("{:.3f}", 0.05),
    (REWARD_MODEL, "accuracy"): ("{:.0%}", 0.1),
    (PPO, "reward"): ("{:+.2f}", 0.5),
    (PPO, "kl"): ("{:.2f}", 1.0),
    (PPO, "length"): ("{:.0f}", 10.0),
    (PPO, "entropy"): ("{:.2f}", 0.2),
    (PPO, "clip_fraction"): ("{:.1%}", 0.05),
    (PPO, "finished"): ("{:.0%}", 0.2),
}
"""(stage, name) of each curve -> the shape of its values and the least span that its height stands for, so that what
hardly moves looks flat; in the order they are drawn."""
WIDTH, HEIGHT, EDGE = 240, 72, 5

Points = Sequence[tuple[int, float]]


def curves_grid(curves: Curves, words: Words) -> str:
    """All curves that have a point; nothing before the first."""
    found = {key: curves.get(key[0], {}).get(key[1], []) for key in SHOWN}
    cells = "".join(_curve(key, points, words) for key, points in found.items() if points)
    if not cells:
        return ""
    told = f'<p class="quiet">{html.escape(words("school.curves_of"))}</p>' if found[PPO, "reward"] else ""
    return f'<div class="curves">{cells}</div>{told}'


def _curve(key: tuple[str, str], points: Points, words: Words) -> str:
    (shape, span), name = SHOWN[key], html.escape(words(f"school.curve_{key[1]}"))
    first, last = shape.format(points[0][1]), shape.format(points[-1][1])
    of = "looks" if key[0] == REWARD_MODEL else "iterations"
    if len(points) == 1:
        told = words(f"school.curve_one_of_{of}")
    else:
        told = words(f"school.curve_told_{of}", count=len(points), first=first, last=last)
    return (
        f'<figure class="curve"><figcaption><span>{name}</span><b>{html.escape(last)}</b></figcaption>'
        f'<div class="drawn"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}: {html.escape(told)}">'
        f"{_line(points, span)}</svg></div><small>{html.escape(told)}</small></figure>"
    )


def _line(points: Points, span: float) -> str:
    places = drawn(points, span)
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    line = f'<polyline points="{joined}"/>' if len(places) > 1 else ""
    return f'{line}<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def drawn(points: Points, span: float = 0.0) -> list[tuple[float, float]]:
    """Where each point lies in the drawing: steps from left to right, the highest value at the top.

    `span`: so much at least lies between the lower and the upper edge.
    """
    steps, values = [step for step, _ in points], [value for _, value in points]
    return [(_place(step, steps, WIDTH), HEIGHT - _place(value, values, HEIGHT, span)) for step, value in points]


def _place(value: float, among: Sequence[float], size: int, span: float = 0.0) -> float:
    """Between the edges; in the middle where all are equal."""
    middle, whole = (min(among) + max(among)) / 2, max(max(among) - min(among), span)
    share = 0.5 + (value - middle) / whole if whole > 0 else 0.5
    return EDGE + share * (size - 2 * EDGE)


def iteration_seconds(curves: Curves) -> list[float]:
    """How long each iteration of PPO took so far."""
    found: Mapping[str, Points] = curves.get(PPO, {})
    return [value for _, value in found.get("seconds", [])]
