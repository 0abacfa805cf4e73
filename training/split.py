"""Which judgements train, which choose, which examine: decided by the conversation, for good.

The unit is the conversation's first question, so that a conversation, and every other one that begins alike, lies on
one side. The side is a hash of that text: the same in every night, without a table that could get lost.
"""

import hashlib
import unicodedata
from enum import StrEnum

TRAIN_SHARE, VALIDATION_SHARE = 60, 10


class Side(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    EXAM = "exam"


def component_of(opening: str) -> str:
    """Key of a first question: letter case, white space and forms of the same character do not matter."""
    return " ".join(unicodedata.normalize("NFKC", opening).casefold().split())


def side_of(component: str) -> Side:
    """60 % train, 10 % validation, 30 % exam."""
    digest = hashlib.blake2b(f"nightschool split 1:{component}".encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest) % 100
    if bucket < TRAIN_SHARE:
        return Side.TRAIN
    return Side.VALIDATION if bucket < TRAIN_SHARE + VALIDATION_SHARE else Side.EXAM
