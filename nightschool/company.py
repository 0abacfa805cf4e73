"""Replies drawn in one another's company: a step of all that are at work, as soon as one of them is read on."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from nightschool.engine import Piece
from nightschool.records import Version


class Draw(Protocol):
    """`sampling.stream_in_step` with everything given but who draws."""

    def __call__(self, models: Mapping[int, Any], *, at_work: set[int]) -> Iterator[dict[int, int | None]]: ...


class Company:
    """One reply for each version, by place. All tensor work is done by `turns`, a step of everybody at a turn.

    Any thread may read any place. A version that cannot be loaded fails at its own place; a step that breaks fails at
    all that were at work.
    """

    def __init__(
        self, versions: Mapping[int, Version], load: Callable[[Version], Any], draw: Draw, turns: Executor
    ) -> None:
        self._versions, self._load, self._draw, self._turns = versions, load, draw, turns
        self._at_work = set(versions)
        self._drawn: dict[int, deque[int | None]] = {place: deque() for place in versions}
        self._faults: dict[int, Exception] = {}
        self._steps: Iterator[dict[int, int | None]] | None = None
        self._reading = Lock()

    def next(self, place: int) -> int | None:
        """The next token of a reply; None: a part of the prompt was read. Raises what broke it, once."""
        with self._reading:
            if not self._drawn[place] and place not in self._faults:
                self._turns.submit(self._step).result()
            if self._drawn[place]:
                return self._drawn[place].popleft()
            raise self._faults.pop(place)  # kept no longer: its traceback holds all tensors of the step

    def leave(self, place: int) -> None:
        """Nobody reads this reply any more."""
        with self._reading:
            self._at_work.discard(place)
            self._drawn[place].clear()
            self._faults.pop(place, None)

    def _step(self) -> None:
        try:
            if self._steps is None:
                models = self._models()
                self._steps = self._draw(models, at_work=self._at_work) if models else iter(())
            for place, token in next(self._steps, {}).items():
                self._drawn[place].append(token)
        except Exception as error:  # told to everybody who reads on
            self._faults |= dict.fromkeys(self._at_work, error)
            self._steps = iter(())

    def _models(self) -> dict[int, Any]:
        """The versions in memory; one that cannot be loaded is not at work."""
        models = {}
        for place, version in self._versions.items():
            if place in self._at_work:
                try:
                    models[place] = self._load(version)
                except Exception as error:
                    self._faults[place] = error
                    self._at_work.discard(place)
        return models


@dataclass(frozen=True)
class End:
    """What ends a reply."""

    stop_ids: Collection[int]
    max_new_tokens: int


class Pieces(Iterator[Piece]):
    """One reply of a company, a piece per token. Closing it, read from or not, takes it out of the company."""

    def __init__(self, company: Company, place: int, end: End, text: Callable[[Sequence[int], bool], str]) -> None:
        """`text`: tokens so far, and whether the last one ends the turn -> what is shown."""
        self._company, self._place, self._end, self._text = company, place, end, text
        self._token_ids: list[int] = []
        self._is_over = False

    def __next__(self) -> Piece:
        if self._is_over:
            raise StopIteration
        self._is_over = True  # where this breaks, nothing follows
        token = self._company.next(self._place)
        self._is_over = False
        if token is not None:  # None: a part of the prompt was read, nothing is drawn yet
            self._token_ids.append(token)
        stopped = token in self._end.stop_ids
        ended = stopped or len(self._token_ids) == self._end.max_new_tokens
        if ended:
            self.close()
        return Piece(self._text(self._token_ids, stopped), tuple(self._token_ids), ended)

    def close(self) -> None:
        """Draw no more of it."""
        self._is_over = True
        self._company.leave(self._place)
