"""How much each judgement counts: its kind (set where it is made), its age, and its person.

- Age: half as much after 30 days, never less than 0.3, because replies of old versions teach less about new ones.
- Copies: n judgements of one person on the same prompt count as sqrt(n) of them.
- Cap: no person carries more than a fifth of a side (with few people: 1.5 times an equal share), so one busy account
  cannot buy the reward model. A person alone is not capped: theirs is the taste to learn.
- Agreement: a person is compared with a reward model that was not trained on them; those whose votes speak more for
  the opposite taste count nothing and are counted in the report, never turned round: theirs may be a real taste of few.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from training.features import Features
from training.judgements import NOBODY, Answer, Judgements, PairJudgement, Preferred, facts_of_ranking
from training.reward_fit import HeldOut, fit_head, make_batch, predict
from training.reward_model import RewardHead
from training.split import Side

HALF_LIFE_DAYS = 30.0
LEAST_AGE_WEIGHT = 0.3
SHARE_OF_ONE = 0.2
SHARES_OF_FEW = 1.5
PEOPLE_FOLDS = 10
LEAST_PEOPLE = 3
LEAST_OF_PERSON = 5
"""Judgements of a person below which their agreement is not looked at."""
ROUNDS = 6
"""Each with less of those who misled the round before; it settles in three or four."""
HONEST = (0.7, 0.8, 0.9, 0.97)
"""Shares of people who may turn out to vote by the common taste. Where all did, and were 12, a fixed 0.8 let twice as
many of them count nothing (docs/log.md, 2026-11-30)."""
SCALES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Factors on the margins of a regularised head fitted to a crowd that is not of one mind: both make them too small."""
OF_STRANGERS = 0.6
"""Trust in somebody of whom too little is known; fixed, so that many new accounts do not count in full at once."""


def settled(judgements: Judgements, now: str) -> Judgements:
    """Weights by kind, age, copies and the cap per person: all that is known before anything is fitted."""
    return capped(_without_copies(_aged(judgements, now)))


def age_weight(created_at: str, now: str) -> float:
    """0.5 ^ (age / 30 days), at least 0.3; 1 for what has no date or comes from the future.

    By whole days, so that the same judgements make the same night an hour later.
    """
    if not created_at:
        return 1.0
    days = (datetime.fromisoformat(now) - datetime.fromisoformat(created_at)).days
    return max(0.5 ** (max(days, 0) / HALF_LIFE_DAYS), LEAST_AGE_WEIGHT)


def _aged(judgements: Judgements, now: str) -> Judgements:
    return judgements.reweighted(lambda judgement: age_weight(judgement.created_at, now))


def _without_copies(judgements: Judgements) -> Judgements:
    """n acts of one person on one prompt weigh sqrt(n) together; the rows of one act are not copies of each other."""
    acts: defaultdict[tuple[str, tuple[int, ...]], set[tuple[str, str]]] = defaultdict(set)
    for judgement in judgements.all:
        acts[judgement.person, judgement.prompt].add(judgement.source)
    return judgements.reweighted(lambda j: len(acts[j.person, j.prompt]) ** -0.5 if j.person != NOBODY else 1.0)


def capped(judgements: Judgements) -> Judgements:
    """On each side, no person's weights sum to more than their allowed share: the examiner cannot be bought either."""
    return sum((_capped(judgements.on(side)) for side in Side), Judgements((), ()))


def _capped(judgements: Judgements) -> Judgements:
    mass = masses(judgements)
    unknown = sum(judgement.weight for judgement in judgements.all if judgement.person == NOBODY)
    most = cap(mass.values(), unknown)
    return judgements.reweighted(lambda j: min(1.0, most / mass[j.person]) if mass.get(j.person) else 1.0)


def masses(judgements: Judgements) -> dict[str, float]:
    """Sum of the weights of each known person's judgements."""
    mass: defaultdict[str, float] = defaultdict(float)
    for judgement in judgements.all:
        if judgement.person != NOBODY:
            mass[judgement.person] += judgement.weight
    return dict(mass)


def cap(mass: Iterable[float], unknown: float = 0.0) -> float:
    """The largest c for which min(n_u, c) <= share * (sum of min(n_v, c) + unknown) holds for everybody."""
    held = sorted(amount for amount in mass if amount > 0)
    if len(held) < 2:
        return float("inf")
    share = max(SHARE_OF_ONE, SHARES_OF_FEW / len(held))
    if held[-1] <= share * (sum(held) + unknown):
        return held[-1]
    below = unknown
    for place, amount in enumerate(held):  # c lies between two amounts: c = share * (below + people above * c)
        above = len(held) - place
        if share * above < 1 and share * below / (1 - share * above) <= amount:
            return share * below / (1 - share * above)
        below += amount
    return held[-1]


def agreement_weights(
    features: Features, judgements: Judgements, row_of: dict[Answer, int], ridge: float
) -> dict[str, float]:
    """Weight of each person from 0 to 1, by how far a reward model fitted without them foretells them.

    Everybody votes either by the common taste or by its opposite; which of the two is found in rounds. In each, heads
    are fitted without the person, to the others' pairs as given or turned round, as surely as the others are known to
    be on either side. The evidence for a person is then the sum of the margins they agree with less those they go
    against, added to the odds before; the scale of the margins and the share of people who vote by the taste are those
    that explain everybody best.

    Turning pairs round serves to find people only: what is learned from is never turned. Thumbs tell a person's
    leniency as well as their taste, so they are no evidence; a ranking of K counts as K - 1 facts. 1 for all where
    there are fewer than three people.
    """
    people = sorted(masses(judgements))
    everybody = dict.fromkeys(people, 1.0)
    if len(people) < LEAST_PEOPLE:
        return everybody
    pairs = Judgements(judgements.pairs, ())
    folds = min(PEOPLE_FOLDS, len(people))
    heads: list[RewardHead | None] = [None] * folds
    leanings = everybody
    for _ in range(ROUNDS):
        turned = Judgements(tuple(_turned(pair, leanings.get(pair.person, 1.0)) for pair in pairs.pairs), ())
        margins: dict[str, Margins] = {}
        for fold in range(folds):
            left_out = set(people[fold::folds])
            rest = turned.where(lambda j: j.person not in left_out and j.weight > 0)  # noqa: B023 (used at once)
            theirs = pairs.where(lambda j: j.person in left_out)  # noqa: B023 (used at once)
            heads[fold] = fit_head(features, make_batch(rest, row_of), ridge, start=heads[fold])
            margins |= _margins_of_people(predict(features, heads[fold], theirs, row_of))  # type: ignore[arg-type]
        honest, scale = _crowd(list(margins.values()))
        leanings = {person: _leaning(margins.get(person), honest, scale) for person in people}
    weights = {person: max(leaning, 0.0) for person, leaning in leanings.items()}
    usual = sorted(weights.values())[len(weights) // 2]
    if usual == 0.0:  # most seem to be against the rest: there is no common taste to compare with
        return everybody
    return {person: min(1.0, weight / usual) for person, weight in weights.items()}


@dataclass(frozen=True)
class Margins:
    """Margins by which a person's pairs were foretold (negative: the opposite was), and how much each counts."""

    values: Tensor
    facts: Tensor
    acts: int


def _margins_of_people(held_out: Sequence[HeldOut]) -> dict[str, Margins]:
    found: defaultdict[str, defaultdict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in held_out:
        judgement = entry.judgement
        if isinstance(judgement, PairJudgement) and judgement.preferred is not Preferred.TIE:
            margin = entry.margin if judgement.preferred is Preferred.LEFT else -entry.margin
            found[judgement.person][judgement.source].append(margin)
    return {person: _margins(list(acts.values())) for person, acts in found.items()}


def _margins(acts: list[list[float]]) -> Margins:
    facts = [facts_of_ranking(len(act)) / len(act) for act in acts for _ in act]
    values = [margin for act in acts for margin in act]
    return Margins(torch.tensor(values).double(), torch.tensor(facts).double(), len(acts))


def _turned(pair: PairJudgement, leaning: float) -> PairJudgement:
    """The pair as seen by the common taste: the other way round where its person votes by the opposite."""
    if leaning < 0:
        pair = replace(pair, left=pair.right, right=pair.left)
    return replace(pair, weight=pair.weight * abs(leaning))


def _crowd(people: Sequence[Margins]) -> tuple[float, float]:
    """The share of people who vote by the common taste, and the scale of their margins, that explain them best."""
    return max(product(HONEST, SCALES), key=lambda crowd: sum(_likelihood(margins, *crowd) for margins in people))


def _likelihood(margins: Margins, honest: float, scale: float) -> float:
    """Log-likelihood of a person's pairs, who votes by the common taste with probability `honest`."""
    by_taste, against = (
        float((margins.facts * functional.logsigmoid(sign * scale * margins.values)).sum()) for sign in (1.0, -1.0)
    )
    return float(torch.tensor([math.log(honest) + by_taste, math.log(1 - honest) + against]).logsumexp(0))


def _leaning(margins: Margins | None, honest: float, scale: float) -> float:
    """2 P - 1, P being the chance that somebody with these margins votes by the common taste and not its opposite."""
    if margins is None or margins.acts < LEAST_OF_PERSON:
        return OF_STRANGERS
    odds = math.log(honest / (1 - honest)) + scale * float((margins.facts * margins.values).sum())
    return math.tanh(odds / 2)
