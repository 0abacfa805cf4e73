"""What a night needs before it is worth running. The night decides by it; pages tell people how far it is."""

import math

from nightschool.records import Tally

LEAST_TRAINING = 40
"""Effective judgements on the training side that a night needs."""
LEAST_NEW = 20
"""Judgements that no promoted version was made from, so that a night has something new to learn."""
TRAIN_SHARE = 60
"""Percent of the conversations that lie on the training side."""


def missing_judgements(training: float, new: int) -> int:
    """About how many more judgements a night needs, given what lies on the training side; 0 when it may run."""
    for_training = math.ceil(max(LEAST_TRAINING - training, 0) * 100 / TRAIN_SHARE)
    return max(for_training, LEAST_NEW - new, 0)


def about_missing(tally: Tally) -> int:
    """The same before the sides are known: as if exactly `TRAIN_SHARE` of everything were to train on.

    The night itself looks at the real sides, and leaves out what teaches nothing (equal replies, for example); it may
    find a few too few where this says 0.
    """
    return missing_judgements(tally.facts * TRAIN_SHARE / 100, tally.new)
