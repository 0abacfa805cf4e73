"""A town file: who lives there and how they judge. Bad ones are refused in one sentence."""

import importlib
import math
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from benchmarks.town.tastes import Taste
from nightschool.errors import BadInput

Kind = Literal["duel", "thumb", "ranking", "correction"]
TrollKind = Literal["inverted", "always_left", "spammer", "brigade", "sleeper"]
TROLLS: tuple[TrollKind, ...] = ("inverted", "always_left", "spammer", "brigade", "sleeper")
FOLDER = Path(__file__).parent.parent / "towns"
"""The towns that are shipped."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Kinds(_Part):
    """How often a person judges in each way; only the proportions count."""

    duel: Share = 0.6
    thumb: Share = 0.2
    ranking: Share = 0.15
    correction: Share = 0.05

    @model_validator(mode="after")
    def _something(self) -> "Kinds":
        if not sum(self.shares().values()):
            raise ValueError("give at least one kind a share above 0")
        return self

    def shares(self) -> dict[Kind, float]:
        """Kind -> its weight."""
        return {"duel": self.duel, "thumb": self.thumb, "ranking": self.ranking, "correction": self.correction}


class Troll(_Part):
    """People who do not judge by the taste.

    `inverted` judge by its opposite; `always_left` take the left answer, like everything and leave a ranking as it
    stands; a `spammer` judges by the opposite as often as all others together; a `brigade` writes its phrase into
    answers, prefers those that have it, and judges like everybody else where none has; a `sleeper` is honest for
    `honest_nights` and then inverted.
    """

    kind: TrollKind
    count: PositiveInt = 1
    judgements: PositiveInt | None = None
    """Of each of them before each night; none: as many as an honest person (a spammer: as all of them)."""
    phrase: str = ""
    honest_nights: NonNegativeInt = 1

    @model_validator(mode="after")
    def _phrase_of_brigade(self) -> "Troll":
        if (self.kind == "brigade") != bool(self.phrase.strip()):
            raise ValueError("a brigade needs a phrase, and nobody else has one")
        return self


class Town(_Part):
    """Everything random in it is drawn from the seed on the command line."""

    name: str = Field(min_length=1, max_length=60)
    taste: str = Field(pattern=r"^[\w.]+:\w+$")
    """`module:function`, taking (prompt, response, finished) and giving a float; everything below is in its unit."""
    people: PositiveInt = 12
    judgements: PositiveInt = 200
    """Of the honest people together before each night; a ranking of K answers counts as the K - 1 facts it tells."""
    noise: float = Field(0.15, ge=0, le=0.5)
    """Chance that a judgement goes against the taste (of a ranking: that a pair in it does)."""
    tie_threshold: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Answers whose worth differs by no more are called equal."""
    response_rate: float = Field(1.0, gt=0, le=1)
    """Share of answers that are judged at all; the others are read and left."""
    position_bias: float = Field(0.0, ge=0, le=1)
    """Share of comparisons in which the first answer is taken, whatever it says."""
    kinds: Kinds = Kinds()
    trolls: tuple[Troll, ...] = ()
    reply_tokens: int = Field(64, ge=4, le=256)
    """The longest reply of the chat and of the nights."""

    @cached_property
    def worth(self) -> Taste:
        """The taste itself. Raises `BadInput` where there is none of that name, or it gives no number."""
        return taste_named(self.taste)


def load_town(path: Path) -> Town:
    """Read a town file. Raises `BadInput` with what was given, what is expected, and what to do."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        shipped = ", ".join(sorted(town.stem for town in FOLDER.glob("*.toml")))
        raise BadInput(
            f"The town file {path} could not be read ({error}); give a TOML file, such as one in {FOLDER} ({shipped})."
        ) from error
    return town_of(told, str(path))


def town_of(told: Mapping[str, Any], where: str) -> Town:
    """A town from what a file says; its taste is tried once. Raises `BadInput`."""
    try:
        town = Town(**told)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "it"
        given = "" if first["type"] == "missing" else f" was given as {first['input']!r:.80}"
        known = f" (known here: {', '.join(Town.model_fields)})" if first["type"] == "extra_forbidden" else ""
        raise BadInput(f"In the town file {where}, {name}{given}: {first['msg']}{known}; correct it there.") from error
    _ = town.worth
    return town


def taste_named(name: str) -> Taste:
    """The function `module:function`, tried on one reply. Raises `BadInput`."""
    module, _, function = name.partition(":")
    try:
        taste = getattr(importlib.import_module(module), function)
        worth = taste("Why is the sky blue?", "Because of the air.", True)
        if isinstance(worth, bool) or not isinstance(worth, int | float) or not math.isfinite(worth):
            raise TypeError(f"it gave {worth!r:.40}, which is no number")
    except Exception as error:  # whatever somebody's own function raises
        raise BadInput(
            f"The taste {name!r} cannot be used ({type(error).__name__}: {error}); name a function as module:function "
            "that takes (prompt, response, finished) and gives a number."
        ) from error
    return taste
