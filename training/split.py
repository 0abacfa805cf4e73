"""Which judgements train, which choose, which examine: decided for whole components of conversations, for good.

A component is every conversation whose first question lies in one cluster of near-duplicates, so that a conversation,
and every other one that begins nearly alike, lies on one side. Guarantees, given that each night keeps the sides it
used: no component lies on two sides, and what was once on the training side never returns to an exam. A component of
which no side was kept goes where the hash of its key says, the same in every process.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nightschool.needs import TRAIN_SHARE
from training.near_duplicates import clusters, normalised

VALIDATION_SHARE = 10
MOST_VARIANTS = 8
"""Different texts in one cluster from which on it is taken for a template ("Name an animal with C"), not for one
question: as one component, a file of such questions would lie on one side as a whole and nothing could be learned."""


class Side(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    EXAM = "exam"


STRONGEST_FIRST = (Side.TRAIN, Side.EXAM, Side.VALIDATION)
"""When components that lay on several sides grow together: what was trained on stays trained on."""


@dataclass(frozen=True)
class Split:
    """Where every conversation lies, and with which others it belongs together."""

    side_of_conversation: dict[str, Side]
    component_of_conversation: dict[str, str]
    """Conversation -> its component's key: the smallest normalised first question in it."""

    def changes(self, kept: Mapping[str, str], conversations: Collection[str]) -> dict[str, Side]:
        """The sides to keep: those of these conversations that `kept` lacks or has otherwise."""
        return {
            conversation: self.side_of_conversation[conversation]
            for conversation in conversations
            if kept.get(conversation) != self.side_of_conversation[conversation]
        }


def split_of(openings: Mapping[str, str], kept: Mapping[str, str]) -> Split:
    """Conversation -> first question, conversation -> side kept from an earlier night: the split of this night.

    What was kept of a conversation that is not among the openings is passed over.
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for conversation, cluster in zip(openings, _clusters(openings), strict=True):
        members[cluster].append(conversation)
    sides: dict[str, Side] = {}
    components: dict[str, str] = {}
    for conversations in members.values():
        key = min(normalised(openings[conversation]) for conversation in conversations)
        before = {Side(kept[conversation]) for conversation in conversations if conversation in kept}
        side = next((side for side in STRONGEST_FIRST if side in before), None) or hashed_side(key)
        sides |= dict.fromkeys(conversations, side)
        components |= dict.fromkeys(conversations, key)
    return Split(sides, components)


def _clusters(openings: Mapping[str, str]) -> list[str]:
    """A name for each conversation's cluster; one with too many different texts falls apart."""
    texts = [normalised(opening) for opening in openings.values()]
    numbers = clusters(texts)
    variants: defaultdict[int, set[str]] = defaultdict(set)
    for number, text in zip(numbers, texts, strict=True):
        variants[number].add(text)
    return [
        str(number) if len(variants[number]) <= MOST_VARIANTS else f"{number}: {text}"
        for number, text in zip(numbers, texts, strict=True)
    ]


def hashed_side(component: str) -> Side:
    """60 % train, 10 % validation, 30 % exam."""
    digest = hashlib.blake2b(f"nightschool split 1:{component}".encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest) % 100
    if bucket < TRAIN_SHARE:
        return Side.TRAIN
    return Side.VALIDATION if bucket < TRAIN_SHARE + VALIDATION_SHARE else Side.EXAM
