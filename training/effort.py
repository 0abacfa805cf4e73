"""One dial for the person: how long a night may take. Everything else follows from it."""

from dataclasses import dataclass

from nightschool.errors import BadInput


@dataclass(frozen=True)
class Effort:
    """Sizes of a night. Seconds are time boxes of single stages on 2 cores; a stage stops early when they are used.

    Going on along a night's way (`training.lengthening`) comes after PPO's box.
    """

    name: str
    iterations: int
    reply_tokens: int
    normaliser_replies: int
    exam_prompts: int
    exam_replies: int
    """To each prompt, by champion and candidate."""
    context_tokens: int
    """Of a conversation, its end, that the reward model reads before a reply."""
    lora_epochs: int
    lora_seconds: float
    members: int
    """Heads of the reward model's ensemble rung; 0: it is not tried."""
    ppo_seconds: float


EFFORTS = {
    effort.name: effort
    for effort in (
        Effort("quick", 4, 64, 64, 128, 1, 128, 1, 60, 0, 220),
        Effort("normal", 36, 64, 128, 128, 2, 128, 2, 180, 3, 1_080),
        Effort("thorough", 64, 96, 256, 128, 2, 512, 3, 900, 5, 6_000),
    )
}


def effort_named(name: str) -> Effort:
    """The effort of that name. Raises `BadInput` for another one."""
    if name not in EFFORTS:
        raise BadInput(f"The effort was given as {name!r}; it is one of {', '.join(EFFORTS)}.")
    return EFFORTS[name]
