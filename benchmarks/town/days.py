"""A day in town: everybody uses the chat in a fixed order, one after the other, until all have judged their share.

One after the other, because the same seed shall give the same day: what the server draws depends on the order in which
it is asked. Every answer read and every decision goes into the record, with what the person thought of it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.town.machinery import TownStopped
from benchmarks.town.people import UNJUDGED, Judged, Person
from benchmarks.town.plan import Kind
from benchmarks.town.visiting import Answer, Duel, Round
from nightschool.prompt_bank import BankPrompt

MOST_ACTS = 50
"""For each judgement that a day shall have, before it is given up."""


class Judging(Protocol):
    """What a day needs of an inhabitant."""

    person: Person

    def act(self, day: int) -> "Act":
        """Do one thing."""
        ...


class Chat(Protocol):
    """A person's way into the chat: `Visitor` over HTTP, `Guest` indoors."""

    person_id: str

    def ask(self, question: str, *, compare: bool = False) -> Answer | Duel: ...
    def thumb(self, reply: str, value: str) -> None: ...
    def correct(self, reply: str, text: str) -> None: ...
    def vote(self, duel: str, outcome: str) -> None: ...
    def next_round(self) -> Round: ...
    def rank(self, ranking: str, order: list[list[str]]) -> None: ...
    def skip(self, ranking: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Act:
    """What one person did once. `texts` are those on screen, `worths` what they were worth to the person."""

    day: int
    person: str
    troll: str
    kind: Kind
    prompt: str
    texts: tuple[str, ...]
    worths: tuple[float, ...]
    told: str | list[list[str]] | None
    erred: bool

    @property
    def facts(self) -> int:
        """What it counts as: nothing where nothing was said, K - 1 for a ranking of K."""
        if self.told is None:
            return 0
        return len(self.texts) - 1 if self.kind == "ranking" else 1


class Inhabitant:
    """A person with a way into the chat and questions to ask."""

    def __init__(self, person: Person, visitor: Chat, prompts: list[BankPrompt]) -> None:
        self.person, self.id, self._visitor = person, visitor.person_id, visitor
        self._questions = _again_and_again(prompts, person.chance)

    def act(self, day: int) -> Act:
        """Ask something, read the answers, and judge them in one way or another."""
        kind = self.person.next_kind()
        return self._rank(day) if kind == "ranking" else self._chat(day, kind)

    def close(self) -> None:
        self._visitor.close()

    def _chat(self, day: int, kind: Kind) -> Act:
        question = next(self._questions)
        shown = self._visitor.ask(question, compare=kind == "duel")
        texts = (shown.left, shown.right) if isinstance(shown, Duel) else (shown.text,)
        worths = tuple(self.person.worth(day, question, text) for text in texts)
        if isinstance(shown, Duel):
            kind = "duel"
            judged = self._decided(self.person.duel(*worths))
            if judged.told is not None:
                self._visitor.vote(shown.duel, str(judged.told))
        else:
            kind, judged = self._of_one(day, kind, question, shown, worths[0])
        self.person.read(worths)
        return self._acted(day, kind, question, texts, worths, judged)

    def _of_one(self, day: int, kind: Kind, question: str, shown: Answer, worth: float) -> tuple[Kind, Judged]:
        """A correction where one was meant and the answer can be made better, else a thumb."""
        if not shown.reply:  # nothing came out
            return "thumb", UNJUDGED
        if kind == "correction":
            judged = self._decided(self.person.correction(day, question, shown.text))
            if judged.told is not None:
                self._visitor.correct(shown.reply, str(judged.told))
                return "correction", judged
        judged = self._decided(self.person.thumb(worth))
        if judged.told is not None:
            self._visitor.thumb(shown.reply, str(judged.told))
        return "thumb", judged

    def _rank(self, day: int) -> Act:
        shown = self._visitor.next_round()
        worths = {name: self.person.worth(day, shown.question, text) for name, text in shown.answers.items()}
        judged = self._decided(self.person.ranking(worths))
        if judged.told is None:
            self._visitor.skip(shown.ranking)
        else:
            assert isinstance(judged.told, list)
            self._visitor.rank(shown.ranking, judged.told)
        self.person.read(tuple(worths.values()))
        return self._acted(
            day, "ranking", shown.question, tuple(shown.answers.values()), tuple(worths.values()), judged
        )

    def _decided(self, judged: Judged) -> Judged:
        """What they would say, if they say anything."""
        return judged if self.person.responds() else UNJUDGED

    def _acted(
        self, day: int, kind: Kind, prompt: str, texts: tuple[str, ...], worths: tuple[float, ...], judged: Judged
    ) -> Act:
        told = judged.told if isinstance(judged.told, list | None) else str(judged.told)
        return Act(day, self.person.name, self.person.kind or "", kind, prompt, texts, worths, told, judged.erred)


def live(
    everybody: Sequence[Judging], day: int, judgements: int, after: Callable[[Act], Any] = lambda act: None
) -> list[Act]:
    """One day: the honest judge `judgements` in all, each troll its own share. `after` is called after every act."""
    honest = [one for one in everybody if one.person.troll is None]
    queues: list[tuple[Sequence[Judging], int]] = [(honest, judgements)]
    queues += [([one], share_of(one.person, judgements, len(honest))) for one in everybody if one.person.troll]
    done, turns = [0] * len(queues), [0] * len(queues)
    acts: list[Act] = []
    most = MOST_ACTS * sum(wanted for _, wanted in queues)
    while (place := _farthest_behind(done, [wanted for _, wanted in queues])) is not None:
        members, _ = queues[place]
        act = members[turns[place] % len(members)].act(day)
        done[place], turns[place] = done[place] + act.facts, turns[place] + 1
        acts.append(act)
        after(act)
        if len(acts) > most:
            raise TownStopped(
                f"After {len(acts)} acts on day {day} only {sum(done)} judgements were given: the taste hardly tells "
                "answers apart, or people seldom respond; give the town other kinds, a lower tie_threshold or a higher "
                "response_rate."
            )
    return acts


def share_of(person: Person, judgements: int, honest: int) -> int:
    """How many facts a troll tells in a day."""
    assert person.troll is not None
    if person.troll.judgements is not None:
        return person.troll.judgements
    return judgements if person.kind == "spammer" else max(1, round(judgements / honest))


def _farthest_behind(done: list[int], wanted: list[int]) -> int | None:
    """Who acts next, so that all come to their end at about the same time; None when all are there."""
    shares = [have / want for have, want in zip(done, wanted, strict=True)]
    least = min(shares)
    return shares.index(least) if least < 1 else None


def _again_and_again(prompts: list[BankPrompt], chance: random.Random) -> Iterator[str]:
    """Each question once in an order of the person's own, then all again in another one."""
    while True:
        yield from (prompt.text for prompt in chance.sample(prompts, len(prompts)))
