"""Examples of a file -> what the store takes: pairs as decided duels, labelled and shown answers as thumbs."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nightschool.errors import BadInput
from nightschool.examples import Example, Labelled, Numbered, Pair, Shown
from nightschool.records import DuelOutcome, Message, Opinion, Preference, ThumbValue
from nightschool.trainer_files import refused, row_of


class Encoder(Protocol):
    """Text as the model of this installation reads it."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation up to the reply. May raise `BadInput`."""
        ...

    def reply_ids(self, text: str) -> list[int]:
        """Token ids of a reply that a person gave, end of turn included."""
        ...


@dataclass(frozen=True)
class Imports:
    """What a file brings."""

    preferences: tuple[Preference, ...]
    opinions: tuple[Opinion, ...]

    def __len__(self) -> int:
        return len(self.preferences) + len(self.opinions)


def imports_of(examples: Numbered, name: str, encoder: Encoder) -> Imports:
    """Encode a file's examples. Raises `BadInput`, naming the line that the model cannot read."""
    preferences: list[Preference] = []
    opinions: list[Opinion] = []
    seen: Counter[str] = Counter()
    for number, example in examples:
        try:
            if isinstance(example, Pair):
                preferences.append(_preference(example, _key(example, seen), encoder))
            else:
                value = ThumbValue.DOWN if isinstance(example, Labelled) and not example.label else ThumbValue.UP
                opinions.append(_opinion(example, value, _key(example, seen), encoder))
        except BadInput as error:
            raise refused(number, name, error) from error
    return Imports(tuple(preferences), tuple(opinions))


def _key(example: Example, seen: Counter[str]) -> str:
    canonical = json.dumps(_canonical(example))
    seen[canonical] += 1  # the same line twice in one file is two people's opinion
    return hashlib.sha256(f"{canonical}#{seen[canonical]}".encode()).hexdigest()


def _canonical(example: Example) -> object:
    if isinstance(example, Pair):  # as it was before there were other formats, so that old imports are known again
        return [[message.role, message.content] for message in example.prompt] + [example.chosen, example.rejected]
    return row_of(example)


def _preference(pair: Pair, key: str, encoder: Encoder) -> Preference:
    sides = [(text, tuple(encoder.reply_ids(text))) for text in (pair.chosen, pair.rejected)]
    chosen_is_left = int(key[:2], 16) % 2 == 0  # sides must not tell the outcome
    left, right = sides if chosen_is_left else sides[::-1]
    return Preference(
        key=key,
        prompt=pair.prompt,
        prompt_ids=tuple(encoder.prompt_ids(pair.prompt)),
        left=left,
        right=right,
        outcome=DuelOutcome.LEFT if chosen_is_left else DuelOutcome.RIGHT,
    )


def _opinion(example: Labelled | Shown, value: ThumbValue, key: str, encoder: Encoder) -> Opinion:
    return Opinion(
        key=key,
        prompt=example.prompt,
        prompt_ids=tuple(encoder.prompt_ids(example.prompt)),
        reply=(example.completion, tuple(encoder.reply_ids(example.completion))),
        value=value,
    )
