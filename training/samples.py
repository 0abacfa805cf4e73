"""A few of the replies that a version's night drew, for people to read side by side with the initial model's."""

import textwrap
from pathlib import Path
from typing import Any

from nightschool.errors import BadInput
from training.rollout_record import read_rollouts

WIDTH = 56


def samples_of(folder: Path, count: int, iteration: int | None) -> list[dict[str, Any]]:
    """Rows without token ids, evenly spread over one iteration's prompts. Raises `BadInput` for one that never was."""
    rows = read_rollouts(folder)
    last = max((row["iteration"] for row in rows), default=0)
    wanted = last if iteration is None else iteration
    chosen = [row for row in rows if row["iteration"] == wanted]
    if not rows:
        raise BadInput(f"The night of {folder.name} drew no replies: PPO ended before its first iteration.")
    if not chosen:
        raise BadInput(
            f"Iteration {wanted} was asked for and the night of {folder.name} had {last}; name one of those."
        )
    first_of_prompt = list({row["prompt"]: row for row in reversed(chosen)}.values())[::-1]
    count = min(count, len(first_of_prompt))
    spread = [first_of_prompt[place * len(first_of_prompt) // count] for place in range(count)]
    return [{name: value for name, value in row.items() if not name.endswith("_ids")} for row in spread]


def side_by_side(row: dict[str, Any]) -> str:
    """One prompt with both replies in two columns."""
    left = _column(f"{row['y1_version']} (score {row['y1_score']:+.2f})", row["y1"])
    words = f"iteration {row['iteration']} (score {row['y2_score']:+.2f}, KL {row['y2_kl']:.1f})"
    right = _column(words, row["y2"])
    height = max(len(left), len(right))
    left += [""] * (height - len(left))
    right += [""] * (height - len(right))
    lines = [f"{one:<{WIDTH}} | {other}".rstrip() for one, other in zip(left, right, strict=True)]
    return "\n".join([f"> {row['prompt'].strip()}", *lines, ""])


def _column(title: str, text: str) -> list[str]:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH) or [""]]
    return [title, "-" * WIDTH, *lines]
