"""What a town's judgements teach a reward model: accuracy and calibration by their number and kind, guards on or off.

The town's own rows are read from its database and fitted as a night fits its first rung, with all sides trained on: the
replies it is asked about are the initial model's to prompts that nobody in town was asked. Accuracy is on pairs that
differ clearly; calibration on what an honest person of this town, with their errors, would vote on such pairs.
"""

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import pstdev

from benchmarks.reward_model import guarded, share_right, unguarded
from benchmarks.town.measure import Spoken
from nightschool.feedback import FeedbackStore
from nightschool.schema import FeedbackDatabase
from training.axes import axes_of
from training.calibration import calibration_error
from training.judgements import Answer, Judgement, Judgements, PairJudgement, Preferred
from training.reading import read_texts
from training.receipts import judgements_of
from training.reward_fit import predict
from training.reward_model import RewardHead
from training.split import Side
from training.trunk import SplitModel

CLEARLY = 0.5
"""Standard deviations of the taste between two replies that differ clearly."""
STEPS = (25, 100, 400, 1600)


def judgements_in(database: Path) -> Judgements:
    """Everything people of a town judged, oldest first."""
    with closing(FeedbackDatabase(database)) as opened:
        found = judgements_of(FeedbackStore(opened).snapshot())

    def moment(judgement: Judgement) -> tuple[str, tuple[str, str]]:
        return judgement.created_at, judgement.source

    return Judgements(tuple(sorted(found.pairs, key=moment)), tuple(sorted(found.thumbs, key=moment)))


class RewardStudy:
    """Judgements and unseen replies, read once; heads fitted to parts of the judgements and asked about the replies."""

    def __init__(self, split: SplitModel, judgements: Judgements, unseen: Spoken, noise: float, seed: int) -> None:
        self.judgements, self.unseen, self._split = judgements, unseen, split
        answers = list(dict.fromkeys([*judgements.answers(), *unseen.answers]))
        self._row_of = {answer: row for row, answer in enumerate(answers)}
        self._features = read_texts(split, answers).along(axes_of(split))
        self._clear = clear_pairs(unseen)
        self._votes = with_errors(self._clear, noise, seed)

    def head(self, judgements: Judgements, *, guards: bool = True) -> RewardHead:
        """Fitted as a night's first rung, or with neither cap nor agreement."""
        return (guarded if guards else unguarded)(self._features, judgements, self._row_of)

    def asked(self, head: RewardHead) -> dict[str, float | None]:
        """Accuracy on clear pairs, and how far its probabilities are from what people would vote."""
        predict_all = predict(self._features, head, self._clear, self._row_of)
        votes = predict(self._features, head, self._votes, self._row_of)
        forecasts = [(held.margin, _is_left(held.judgement)) for held in votes]
        return {"accuracy": share_right(predict_all), "calibration_error": calibration_error(forecasts)}

    def by_number(self) -> list[dict[str, float | None]]:
        """A row for each number of judgements, the oldest first, up to all of them."""
        order = list(dict.fromkeys(judgement.source for judgement in _by_time(self.judgements)))
        rows: list[dict[str, float | None]] = []
        for count in [*(step for step in STEPS if step < len(order)), len(order)]:
            known = set(order[:count])
            part = self.judgements.where(lambda judgement: judgement.source in known)  # noqa: B023 (used at once)
            if part.pairs:
                rows.append({"judgements": count} | self.asked(self.head(part)))
        return rows

    def by_kind(self) -> dict[str, float | None]:
        """Accuracy from judgements of one kind alone, where there are pairs or thumbs of it."""
        kinds = sorted({judgement.source[0] for judgement in self.judgements.all})
        found: dict[str, float | None] = {}
        for kind in kinds:
            part = self.judgements.where(lambda judgement: judgement.source[0] == kind)  # noqa: B023 (used at once)
            found[kind] = self.asked(self.head(part))["accuracy"]
        return found

    def scores(self, head: RewardHead) -> list[float]:
        """Of the unseen replies, in standard deviations of them."""
        rows = self._features.rows([self._row_of[answer] for answer in self.unseen.answers])
        return head.normalised(rows).scores(rows).tolist()

    def shift(self, head: RewardHead, changed: Sequence[Answer]) -> float:
        """By how much the score of the unseen replies rises on average when they are changed so, in the same unit."""
        rows = self._features.rows([self._row_of[answer] for answer in self.unseen.answers])
        scale = head.normalised(rows)
        return float((scale.scores(read_texts(self._split, changed).matrix()) - scale.scores(rows)).mean())


def clear_pairs(spoken: Spoken, clearly: float = CLEARLY) -> Judgements:
    """All pairs of replies to one prompt that differ clearly by the taste, the better one preferred, sides in turn."""
    gap = clearly * pstdev(spoken.golds)
    pairs: list[PairJudgement] = []
    for prompt, places in places_by_prompt(spoken).items():
        for one, other in combinations(places, 2):
            if abs(spoken.golds[one] - spoken.golds[other]) <= gap or spoken.answers[one] == spoken.answers[other]:
                continue
            preferred = Preferred.LEFT if spoken.golds[one] > spoken.golds[other] else Preferred.RIGHT
            source = ("duel", str(len(pairs)))
            pairs.append(
                PairJudgement(spoken.answers[one], spoken.answers[other], preferred, 1.0, prompt, Side.EXAM, source)
            )
    return Judgements(tuple(pairs), ())


def with_errors(pairs: Judgements, noise: float, seed: int) -> Judgements:
    """The same pairs as people with this share of errors would vote."""
    chance = random.Random(f"{seed}/votes on clear pairs")
    turned = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}
    voted = [
        replace(pair, preferred=turned[pair.preferred]) if chance.random() < noise else pair for pair in pairs.pairs
    ]
    return Judgements(tuple(voted), ())


def best_of(scores: Sequence[float], spoken: Spoken) -> list[int]:
    """For each prompt the place of its reply with the highest score."""
    return [max(places, key=lambda place: scores[place]) for places in places_by_prompt(spoken).values()]


def places_by_prompt(spoken: Spoken) -> dict[str, list[int]]:
    """Prompt -> places of its replies."""
    groups: dict[str, list[int]] = {}
    for place, prompt in enumerate(spoken.prompts):
        groups.setdefault(prompt, []).append(place)
    return groups


def _by_time(judgements: Judgements) -> list[Judgement]:
    return sorted(judgements.all, key=lambda judgement: (judgement.created_at, judgement.source))


def _is_left(judgement: Judgement) -> bool:
    assert isinstance(judgement, PairJudgement)
    return judgement.preferred is Preferred.LEFT
