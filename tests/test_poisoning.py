"""What people against the others can do to the reward model, on features of the real model (`make_real_features`)."""

from functools import cache
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.raters import Pool, Rater
from benchmarks.reward_model import CLEARLY, guarded, share_right
from tests.make_real_features import REAL_FEATURES
from training.features import Features
from training.judgements import Answer, Judgements
from training.reward_fit import predict

SEEDS = 2
VOTES = 20
"""Of each honest person."""


@cache
def _pools() -> tuple[Features, dict[Answer, int], dict[tuple[str, str], Pool]]:
    found = load_file(REAL_FEATURES)
    features = torch.cat([found["train_features"], found["exam_features"]]).float()
    row_of: dict[Answer, int] = {}
    pools = {}
    for side, offset in (("train", 0), ("exam", len(found["train_features"]))):
        prompts = found[f"{side}_prompts"].tolist()
        answers = tuple(Answer((offset + prompt,), (offset + row,)) for row, prompt in enumerate(prompts))
        row_of |= {answer: offset + row for row, answer in enumerate(answers)}
        for taste in ("brevity", "sentiment"):
            texts = tuple(map(str, found[f"{side}_{taste}"].tolist()))
            pools[side, taste] = Pool(answers, texts, tuple(prompts))
    return Features.of(features), row_of, pools


def _moved(taste: str, honest: int, against: int, votes_against: int) -> float:
    """Held-out accuracy with honest people only, less that with those against them: mean over seeds."""
    features, row_of, pools = _pools()
    lost = []
    for seed in range(SEEDS):
        clean = Rater(pools["exam", taste], float, seed + 1000, noise=0.0).pairs(1000, least_gap=CLEARLY)
        rater = Rater(pools["train", taste], float, seed + 500)
        crowd = [rater.pairs(VOTES, person=f"honest{person}") for person in range(honest)]
        others = [rater.pairs(votes_against, person=f"other{person}", invert=True) for person in range(against)]
        alone, all_ = sum(crowd, Judgements((), ())), sum([*crowd, *others], Judgements((), ()))
        heads = [guarded(features, judgements, row_of) for judgements in (alone, all_)]
        before, after = (share_right(predict(features, head, clean, row_of)) for head in heads)
        lost.append(before - after)
    return fmean(lost)


@pytest.mark.parametrize("taste", ["brevity", "sentiment"])
def test_one_who_votes_5000_times_among_twenty_moves_accuracy_by_at_most_a_point(taste: str) -> None:
    assert _moved(taste, honest=19, against=1, votes_against=5000) <= 0.01


@pytest.mark.parametrize("taste", ["brevity", "sentiment"])
def test_fifteen_of_forty_five_who_vote_the_other_way_round_move_accuracy_by_at_most_two_points(taste: str) -> None:
    assert _moved(taste, honest=30, against=15, votes_against=VOTES) <= 0.02
