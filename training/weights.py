"""How much each judgement counts: its kind (set where it is made), its age, and its person.

- Age: half as much after 30 days, never less than 0.3, because replies of old versions teach less about new ones.
- Copies: n judgements of one person on the same prompt count as sqrt(n) of them.
- Cap: no person carries more than a fifth of all (with few people: 1.5 times an equal share), so one busy account
  cannot buy the reward model. A person alone is not capped: theirs is the taste to learn.
- Agreement: a person is compared with a reward model that was not trained on them; those who disagree as often as
  chance count nothing and are named in the report, never turned round: theirs may be a real taste of few.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from training.features import Features
from training.judgements import NOBODY, Answer, Judgements, PairJudgement, Preferred
from training.reward_fit import HeldOut, fit_head, make_batch, predict

HALF_LIFE_DAYS = 30.0
LEAST_AGE_WEIGHT = 0.3
SHARE_OF_ONE = 0.2
SHARES_OF_FEW = 1.5
PEOPLE_FOLDS = 10
LEAST_PEOPLE = 3
LEAST_OF_PERSON = 5
"""Judgements of a person below which their agreement is not looked at."""
ROUNDS = 3
"""Each time without those who misled the round before."""
SURELY_DIFFERENT = 3.0
"""Standard deviations by which people's agreements must scatter more than chance would scatter equal ones."""
PRIOR_WRONG, PRIOR_RIGHT = 2.0, 8.0
"""Beta prior of disagreement: one fifth, worth ten judgements."""


def settled(judgements: Judgements, now: str) -> Judgements:
    """Weights by kind, age, copies and the cap per person: all that is known before anything is fitted."""
    return capped(_without_copies(_aged(judgements, now)))


def age_weight(created_at: str, now: str) -> float:
    """0.5 ^ (age / 30 days), at least 0.3; 1 for what has no date or comes from the future."""
    if not created_at:
        return 1.0
    days = (datetime.fromisoformat(now) - datetime.fromisoformat(created_at)).total_seconds() / 86_400
    return max(0.5 ** (max(days, 0.0) / HALF_LIFE_DAYS), LEAST_AGE_WEIGHT)


def _aged(judgements: Judgements, now: str) -> Judgements:
    return judgements.reweighted(lambda judgement: age_weight(judgement.created_at, now))


def _without_copies(judgements: Judgements) -> Judgements:
    """n acts of one person on one prompt weigh sqrt(n) together; the rows of one act are not copies of each other."""
    acts: defaultdict[tuple[str, tuple[int, ...]], set[tuple[str, str]]] = defaultdict(set)
    for judgement in judgements.all:
        acts[judgement.person, judgement.prompt].add(judgement.source)
    return judgements.reweighted(lambda j: len(acts[j.person, j.prompt]) ** -0.5 if j.person != NOBODY else 1.0)


def capped(judgements: Judgements) -> Judgements:
    """No person's weights sum to more than their allowed share of all."""
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

    1 for all where there are fewer than three people, or where they differ no more than by chance.
    """
    people = sorted(masses(judgements))
    if len(people) < LEAST_PEOPLE:
        return dict.fromkeys(people, 1.0)
    counted: dict[str, tuple[int, int]] = {}
    folds = min(PEOPLE_FOLDS, len(people))
    weights = dict.fromkeys(people, 1.0)
    for _ in range(ROUNDS):
        current = judgements.reweighted(lambda j: weights[j.person])  # noqa: B023 (used at once)
        for fold in range(folds):
            left_out = set(people[fold::folds])
            rest = current.where(lambda j: j.person not in left_out)  # noqa: B023 (used at once)
            theirs = judgements.where(lambda j: j.person in left_out)  # noqa: B023 (used at once)
            head = fit_head(features, make_batch(rest, row_of), ridge)
            counted |= _right_and_wrong(predict(features, head, theirs, row_of))
        weights = _from_counts(people, counted)
    return weights


def _right_and_wrong(predicted: Iterable[HeldOut]) -> dict[str, tuple[int, int]]:
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for entry in predicted:
        judgement = entry.judgement
        if isinstance(judgement, PairJudgement):
            if judgement.preferred is Preferred.TIE:
                continue
            agrees = (entry.margin > 0) == (judgement.preferred is Preferred.LEFT)
        else:
            agrees = (entry.margin > 0) == judgement.is_up
        (right if agrees else wrong)[judgement.person] += 1
    return {person: (right[person], wrong[person]) for person in right | wrong}


def _from_counts(people: Iterable[str], counted: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    looked_at = {person: both for person, both in counted.items() if sum(both) >= LEAST_OF_PERSON}
    if len(looked_at) < LEAST_PEOPLE or _scatter(looked_at.values()) < SURELY_DIFFERENT:
        return dict.fromkeys(people, 1.0)
    trust = {
        person: max(0.0, 1 - 2 * (PRIOR_WRONG + wrong) / (PRIOR_WRONG + PRIOR_RIGHT + right + wrong))
        for person, (right, wrong) in looked_at.items()
    }
    usual = sorted(trust.values())[len(trust) // 2]
    return {person: min(1.0, trust[person] / usual) if person in trust and usual else 1.0 for person in people}


def _scatter(counted: Collection[tuple[int, int]]) -> float:
    """How far the people's shares scatter beyond chance: a chi-square of equal shares, in its standard deviations."""
    right, total = sum(right for right, _ in counted), sum(right + wrong for right, wrong in counted)
    share = right / total
    if share in {0.0, 1.0}:
        return 0.0
    squares = sum((r - share * (r + w)) ** 2 / ((r + w) * share * (1 - share)) for r, w in counted)
    freedom = len(counted) - 1
    return float((squares - freedom) / (2 * freedom) ** 0.5)
