"""How a simulated person judges what is on the screen. Nothing here knows of servers or models.

An honest person prefers what the taste prefers, errs as often as the town's `noise` says, has a position bias, calls
close ones equal, and leaves some answers unjudged. Trolls differ in what an answer is worth to them (`worth`).
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from benchmarks.town.plan import Kind, Town, Troll, TrollKind
from benchmarks.town.tastes import looks_finished
from nightschool.records import DuelOutcome

SEEN_BEFORE_THUMBS = 3
"""Answers a person has read before they know what is good for this chat."""
SENTENCE = re.compile(r".+?(?:[.!?。！？]+(?=\s|$)|\n+|$)", re.DOTALL)


class Control(StrEnum):
    """What is done to everybody's judgements, so that a report of success means something."""

    HONEST = ""
    SHUFFLED = "shuffled"  # decided by a coin
    REVERSED = "reversed"  # by the opposite of the taste


@dataclass(frozen=True)
class Judged:
    """A decision and what was behind it, for the record."""

    told: str | list[list[str]] | None
    """What was voted; None: nothing, the person moved on."""
    erred: bool = False
    """Noise or position decided, and not the person's own view."""


UNJUDGED = Judged(None)


@dataclass
class Person:
    """One inhabitant; `chance` is theirs alone, so what others do does not change what they do."""

    name: str
    town: Town
    chance: random.Random
    control: Control = Control.HONEST
    troll: Troll | None = None
    seen: list[float] = field(default_factory=list)
    """Worth of every answer read so far."""

    @property
    def kind(self) -> TrollKind | None:
        return self.troll.kind if self.troll else None

    def next_kind(self) -> Kind:
        """What they will do next."""
        if self.kind == "brigade" and self.chance.random() < 0.5:
            return "correction"  # how else would the phrase come into the chat
        shares = self.town.kinds.shares()
        [kind] = self.chance.choices(list(shares), list(shares.values()))
        return "duel" if kind == "correction" and self.kind == "always_left" else kind

    def responds(self) -> bool:
        """Whether they judge at all this time."""
        return self.chance.random() < self.town.response_rate

    def worth(self, night: int, prompt: str, text: str) -> float:
        """What an answer is worth to this person before night `night`, counted from 1."""
        gold = self.town.worth(prompt, text, looks_finished(text))
        against = self.control is Control.REVERSED
        if self.troll is not None:
            if self.kind in {"inverted", "spammer"} or (self.kind == "sleeper" and night > self.troll.honest_nights):
                against = not against
            elif self.kind == "brigade" and says(text, self.troll.phrase):
                return float("inf")
        return -gold if against else gold

    def read(self, worths: Sequence[float]) -> None:
        """Remember what the chat usually says."""
        self.seen += [worth for worth in worths if abs(worth) != float("inf")]

    def duel(self, left: float, right: float) -> Judged:
        """Which of two answers of these worths."""
        if self.kind == "always_left" or self.chance.random() < self.town.position_bias:
            return Judged(DuelOutcome.LEFT, erred=True)
        if self.control is Control.SHUFFLED:
            return Judged(self._either_side(), erred=True)
        outcome = DuelOutcome.LEFT if left > right else DuelOutcome.RIGHT
        if self._are_equal(left, right):
            outcome = DuelOutcome.TIE
        if self.chance.random() < self.town.noise:
            turned = {DuelOutcome.LEFT: DuelOutcome.RIGHT, DuelOutcome.RIGHT: DuelOutcome.LEFT}
            return Judged(turned.get(outcome) or self._either_side(), erred=True)
        return Judged(outcome)

    def thumb(self, worth: float) -> Judged:
        """Up for what is better than they usually read here; nothing for what is about as good."""
        if self.kind == "always_left":
            return Judged("up", erred=True)
        if len(self.seen) < SEEN_BEFORE_THUMBS or self._are_equal(worth, usual := median(self.seen)):
            return UNJUDGED
        is_up, erred = worth > usual, self.chance.random() < self.town.noise
        if self.control is Control.SHUFFLED:
            is_up, erred = self.chance.random() < 0.5, True
        elif erred:
            is_up = not is_up
        return Judged("up" if is_up else "down", erred=erred)

    def ranking(self, worths: Mapping[str, float]) -> Judged:
        """An order of answers, by their names, best first; those of one group are equally good.

        With twice the noise's chance the whole order is drawn, so that a pair in it is wrong as often as in a duel.
        """
        names = list(worths)
        if self.kind == "always_left" or self.chance.random() < self.town.position_bias:
            return Judged([[name] for name in names], erred=True)
        if self.control is Control.SHUFFLED or self.chance.random() < 2 * self.town.noise:
            return Judged([[name] for name in self.chance.sample(names, len(names))], erred=True)
        groups: list[list[str]] = []
        for name in sorted(names, key=lambda name: -worths[name]):
            if groups and self._are_equal(worths[groups[-1][0]], worths[name]):
                groups[-1].append(name)
            else:
                groups.append([name])
        return Judged(groups)

    def correction(self, night: int, prompt: str, text: str) -> Judged:
        """The answer as they would have it: with what spoils it left out; a brigade adds its phrase.

        Nothing where leaving something out makes it no better.
        """
        if self.troll is not None and self.kind == "brigade":
            return UNJUDGED if says(text, self.troll.phrase) else Judged(f"{text.rstrip()} {self.troll.phrase}")
        variants = shortened(text)
        if self.control is Control.SHUFFLED:
            return Judged(self.chance.choice(variants), erred=True) if variants else UNJUDGED
        worths = {variant: self.worth(night, prompt, variant) for variant in variants}
        best = max(variants, key=lambda variant: worths[variant], default=None)
        if best is None or worths[best] <= self.worth(night, prompt, text) + self.town.tie_threshold:
            return UNJUDGED
        return Judged(best)

    def _are_equal(self, one: float, other: float) -> bool:
        return one == other or abs(one - other) <= self.town.tie_threshold

    def _either_side(self) -> DuelOutcome:
        return self.chance.choice([DuelOutcome.LEFT, DuelOutcome.RIGHT])


def shortened(text: str) -> list[str]:
    """The text without its end, or without one of its sentences; word by word where it has only one sentence."""
    parts = [part for part in SENTENCE.findall(text.strip()) if part.strip()]
    joined = ""
    if len(parts) < 2:
        parts, joined = text.split(), " "
    found = [joined.join(parts[:count]).strip() for count in range(1, len(parts))]
    if not joined:
        found += ["".join(parts[:place] + parts[place + 1 :]).strip() for place in range(len(parts) - 1)]
    return [variant for variant in dict.fromkeys(found) if variant and variant != text.strip()]


def says(text: str, phrase: str) -> bool:
    """Whether a text has a phrase in it, whatever its case."""
    return phrase.strip().lower() in text.lower()


def inhabitants(town: Town, seed: int, control: Control = Control.HONEST) -> list[Person]:
    """Honest people first, then the trolls in the order of the file."""
    everybody: list[tuple[str, Troll | None]] = [(f"person {number}", None) for number in range(1, town.people + 1)]
    counted: dict[str, int] = {}
    for troll in town.trolls:
        for _ in range(troll.count):
            counted[troll.kind] = counted.get(troll.kind, 0) + 1
            everybody.append((f"{troll.kind} {counted[troll.kind]}", troll))
    return [Person(name, town, random.Random(f"{seed}/{name}"), control, troll) for name, troll in everybody]
