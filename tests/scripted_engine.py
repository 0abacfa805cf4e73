"""An engine without a model: each version says what the test wrote for it, one word per step."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from nightschool.engine import Piece
from nightschool.errors import BadInput, DamagedVersion
from nightschool.records import Message, Sampling, Version

LONGEST_MESSAGE = 300


class ScriptedEngine:
    """Keeps what it was asked, so that a test can look at it."""

    model_name = "scripted"

    def __init__(self, **scripts: str) -> None:
        self.scripts = scripts
        """What each version says; an unnamed one says "a reply by NAME", asked again "another reply by NAME 2"."""
        self._asked: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self.damaged: set[str] = set()
        self.breaks_after: dict[str, int] = {}
        """After how many words a version breaks."""
        self.seconds_per_word: dict[str, float] = {}
        self.conversations: list[list[Message]] = []
        self.streams: list[tuple[str, int]] = []
        """(version, seed) of each stream, in order."""
        self.steps: list[str] = []
        """The version of each step that was drawn, in order."""
        self.closed = 0
        """How many streams were given up before their end."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        last = messages[-1].content
        if not last.strip():
            raise BadInput("The message was empty; write something to send.")
        if len(last) > LONGEST_MESSAGE:
            raise BadInput("The message is too long for this model; shorten it.")
        self.conversations.append(list(messages))
        return [len(message.content) for message in messages]

    def reply_ids(self, text: str) -> list[int]:
        return [*range(len(text.split())), -1]

    def prepare(self, version: Version) -> None:
        if version.id in self.damaged:
            raise DamagedVersion(f"The version {version.id} is damaged (a file was changed).")

    def stream_in_step(
        self, versions: Sequence[Version], prompt_ids: Sequence[int], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Iterator[Piece]]:
        return [self.stream(version, prompt_ids, sampling, seed) for version, seed in zip(versions, seeds, strict=True)]

    def stream(self, version: Version, prompt_ids: Sequence[int], sampling: Sampling, seed: int) -> Iterator[Piece]:
        self.streams.append((version.id, seed))
        self._asked[version.id, tuple(prompt_ids)] += 1
        times = self._asked[version.id, tuple(prompt_ids)]
        usual = f"a reply by {version.id}" if times == 1 else f"another reply by {version.id} {times}"
        words = re.findall(r"\s*\S+", self.scripts.get(version.id, usual))[: sampling.max_new_tokens]
        try:
            for count in range(1, len(words) + 1):
                if count > self.breaks_after.get(version.id, count):
                    raise RuntimeError("the scripted engine broke on purpose")
                time.sleep(self.seconds_per_word.get(version.id, 0))
                self.steps.append(version.id)
                yield Piece("".join(words[:count]), tuple(range(count)), count == len(words))
        except GeneratorExit:
            self.closed += 1
            raise
