"""The curves of a night as small drawings (SVG), made on the server so that nothing flickers: numbers only."""

import html
from collections.abc import Mapping, Sequence

from demo.catalogue import Words
from demo.night_time import PPO, REWARD_MODEL
from nightschool.records import Curves

SHOWN = {
    (REWARD_MODEL, "log_loss"): "{:.3f}",
    (REWARD_MODEL, "accuracy"): "{:.0%}",
    (PPO, "reward"): "{:+.2f}",
    (PPO, "kl"): "{:.2f}",
    (PPO, "length"): "{:.0f}",
    (PPO, "entropy"): "{:.2f}",
    (PPO, "clip_fraction"): "{:.1%}",
    (PPO, "finished"): "{:.0%}",
}
"""(stage, name) of each curve -> the shape of its values, in the order they are drawn."""
WIDTH, HEIGHT, EDGE = 240, 72, 5

Points = Sequence[tuple[int, float]]


def curves_grid(curves: Curves, words: Words) -> str:
    """All curves that have a point; nothing before the first."""
    found = {key: curves.get(key[0], {}).get(key[1], []) for key in SHOWN}
    cells = "".join(_curve(key, points, words) for key, points in found.items() if points)
    return f'<div class="curves">{cells}</div>' if cells else ""


def _curve(key: tuple[str, str], points: Points, words: Words) -> str:
    shape, name = SHOWN[key], html.escape(words(f"school.curve_{key[1]}"))
    first, last = shape.format(points[0][1]), shape.format(points[-1][1])
    of = "looks" if key[0] == REWARD_MODEL else "iterations"
    if len(points) == 1:
        told = words(f"school.curve_one_of_{of}")
    else:
        told = words(f"school.curve_told_{of}", count=len(points), first=first, last=last)
    return (
        f'<figure class="curve"><figcaption><span>{name}</span><b>{html.escape(last)}</b></figcaption>'
        f'<div class="drawn"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}: {html.escape(told)}">'
        f"{_line(points)}</svg></div><small>{html.escape(told)}</small></figure>"
    )


def _line(points: Points) -> str:
    places = drawn(points)
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    line = f'<polyline points="{joined}"/>' if len(places) > 1 else ""
    return f'{line}<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def drawn(points: Points) -> list[tuple[float, float]]:
    """Where each point lies in the drawing: steps from left to right, the highest value at the top."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    return [(_place(step, steps, WIDTH), HEIGHT - _place(value, values, HEIGHT)) for step, value in points]


def _place(value: float, among: Sequence[float], size: int) -> float:
    """Between the edges; in the middle where all are equal."""
    low, high = min(among), max(among)
    share = (value - low) / (high - low) if high > low else 0.5
    return EDGE + share * (size - 2 * EDGE)


def iteration_seconds(curves: Curves) -> list[float]:
    """How long each iteration of PPO took so far."""
    found: Mapping[str, Points] = curves.get(PPO, {})
    return [value for _, value in found.get("seconds", [])]
