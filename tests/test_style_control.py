"""Ratings with style controlled: the derivatives, known strengths and effects, and how style is counted."""

import math
import random

import pytest
import torch

from nightschool.records import Reply, ReplyStatus
from nightschool.standings import STYLES
from training.contests import Contest
from training.judgements import Preferred
from training.ratings import POINTS, RIDGE, clusters_of, fit, rate, tallies
from training.style import PLAIN, lead, style_of
from training.style_control import _SCORES, Controlled, _derivatives, bounds_of, control_style

NAMES = ("initial", "v1", "v2")
MIRROR = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT, Preferred.TIE: Preferred.TIE}


def reply(text: str, tokens: int = 10) -> Reply:
    return Reply("r", "v1", text, ReplyStatus.DONE, (1,), tuple(range(tokens)), "")


def simulated(
    strength: dict[str, float],
    weight: float,
    votes: int,
    chance: random.Random,
    *,
    longer: str = "",
    people: int = 40,
) -> list[Contest]:
    """Votes by Davidson's model plus a weight on the lead in length; one version always writes longer replies."""
    names, found = list(strength), []
    for number in range(votes):
        left, right = chance.sample(names, 2)
        more = chance.uniform(-0.3, 0.3) + 0.5 * ((left == longer) - (right == longer))
        d = strength[left] - strength[right] + weight * more
        [outcome] = chance.choices(
            [Preferred.LEFT, Preferred.RIGHT, Preferred.TIE], [math.exp(d / 2), math.exp(-d / 2), 0.6]
        )
        person = f"person {chance.randrange(people)}"
        found.append(Contest(left, right, outcome, person, str(number), (more, 0.0, 0.0, 0.0)))
    return found


def controlled(contests: list[Contest], versions: tuple[str, ...] = NAMES) -> Controlled:
    return control_style(versions, contests, clusters_of(contests)[1], ridge=RIDGE)


def test_where_all_replies_are_dressed_alike_it_is_the_plain_fit() -> None:
    votes = [
        Contest(vote.left, vote.right, vote.outcome, vote.person, vote.conversation)
        for vote in simulated({"initial": 0.0, "v1": 0.8, "v2": -0.4}, 0.0, 200, random.Random(0))
    ]
    strength, _, errors = fit(*tallies(votes, {name: place for place, name in enumerate(NAMES)}))
    found = controlled(votes)
    torch.testing.assert_close(found.strength, strength)
    assert found.effects == ()
    assert bool((found.errors >= errors - 1e-9).all())


def test_slope_and_curvature_are_the_derivatives_of_the_likelihood() -> None:
    generator = torch.Generator().manual_seed(0)
    design = torch.randn(30, 4, generator=generator).double()
    score = torch.tensor([0.0, 0.5, 1.0] * 10).double()
    is_tie = (score == 0.5).double()
    prior = torch.tensor([0.1, 0.1, 1.0, 1.0, 0.1]).double()

    def likelihood(theta: torch.Tensor) -> torch.Tensor:
        d = design @ theta[:-1]
        log_p = torch.log_softmax(torch.stack([d / 2, -d / 2, theta[-1].expand_as(d)], -1), -1)
        place = torch.where(score == 1.0, 0, torch.where(score == 0.0, 1, 2))
        return log_p[torch.arange(30), place].sum() - 0.5 * (prior * theta.square()).sum()

    theta = torch.tensor([0.3, -0.2, 0.5, 0.1, -0.4]).double()
    pulls, curve = _derivatives(theta, design, score, is_tie, prior)
    slope = torch.autograd.functional.jacobian(likelihood, theta)
    torch.testing.assert_close(pulls.sum(0) - prior * theta, slope)
    torch.testing.assert_close(curve, -torch.autograd.functional.hessian(likelihood, theta))


def test_a_version_that_is_only_longer_is_no_better_with_style_aside() -> None:
    votes = simulated({"initial": 0.0, "v1": 0.0, "v2": 0.0}, 3.0, 1500, random.Random(1), longer="v1")
    board = {rating.version: rating for rating in rate(NAMES, votes).ratings}
    plain, aside = board["v1"].rating, board["v1"].controlled
    assert plain is not None
    assert aside is not None
    assert plain > 1150  # people like length, and v1 has more of it
    assert abs(aside - 1000) < 60
    [effect] = rate(NAMES, votes).styles
    assert effect.name == "length"
    assert effect.low < 1 / (1 + math.exp(-0.2 * 3.0)) < effect.high  # half as long again: a lead of a fifth
    assert effect.low > 0.5


def test_known_strengths_and_effects_lie_in_their_intervals_in_at_least_90_of_100_repeats() -> None:
    strength, weight, chance = {"initial": 0.0, "v1": 0.6, "v2": -0.5}, 1.5, random.Random(2)
    mean = sum(strength.values()) / 3
    inside = dict.fromkeys([*NAMES, "length"], 0)
    for _ in range(200):
        found = controlled(simulated(strength, weight, 300, chance, longer="v2"))
        _, low, high = bounds_of(found)
        for place, name in enumerate(NAMES):
            inside[name] += float(low[place]) <= strength[name] - mean <= float(high[place])
        [effect] = found.effects
        inside["length"] += effect.low <= 1 / (1 + math.exp(-0.2 * weight)) <= effect.high
    assert min(inside.values()) >= 180


def test_votes_of_few_people_who_agree_with_themselves_say_less_than_those_of_many() -> None:
    votes = simulated({"initial": 0.0, "v1": 0.5}, 0.0, 24, random.Random(3), people=24)
    ten_times = [vote for vote in votes for _ in range(10)]  # each cast ten times by one person
    few = control_style(("initial", "v1"), ten_times, [vote.conversation for vote in ten_times], ridge=RIDGE)
    many = control_style(("initial", "v1"), ten_times, [str(row) for row in range(240)], ridge=RIDGE)
    assert torch.equal(few.strength, many.strength)
    assert float(few.errors[1]) > 2 * float(many.errors[1])  # ten times the votes: about sqrt(10)


def test_which_side_a_version_stood_on_does_not_matter() -> None:
    votes = simulated({"initial": 0.0, "v1": 0.6, "v2": -0.5}, 1.0, 120, random.Random(4), longer="v1")
    turned = [
        Contest(v.right, v.left, MIRROR[v.outcome], v.person, v.conversation, tuple(-x for x in v.style)) for v in votes
    ]
    torch.testing.assert_close(controlled(turned).strength, controlled(votes).strength)
    assert controlled(turned).effects[0].share == pytest.approx(controlled(votes).effects[0].share)


def test_one_vote_is_taken_and_proves_nothing() -> None:
    vote = Contest("v1", "initial", Preferred.LEFT, "ann", "1", (1.0, 0.0, -1.0, 0.0))
    board = rate(("initial", "v1"), [vote])
    assert [effect.name for effect in board.styles] == ["length", "lists"]
    for effect in board.styles:
        assert effect.low < 0.5 < effect.high
    assert all(math.isfinite(rating.controlled or math.nan) for rating in board.ratings)
    top = board.ratings[0]
    assert top.controlled is not None
    assert top.rating is not None
    assert top.controlled < top.rating  # part of the win may be the length's


@pytest.mark.parametrize(
    ("style", "name"),
    [
        ((1.0, 0.0, 0.0, 0.0), "length"),
        ((1 / 511, 0.0, 0.0, 0.0), "length"),
        ((0.0, 0.0, 1 / 39, 0.0), "lists"),
        ((0.0, 0.0, 0.0, 1.0), "bold"),
    ],
)
def test_a_style_in_one_duel_of_many_moves_no_rating_and_is_told_as_unknown(
    style: tuple[float, ...], name: str
) -> None:
    plain = [
        Contest(vote.left, vote.right, vote.outcome, vote.person, vote.conversation)
        for vote in simulated({"initial": 0.0, "v1": 0.4, "v2": -0.4}, 0.0, 400, random.Random(6))
    ]
    board = rate(NAMES, [*plain, Contest("v1", "initial", Preferred.LEFT, "ann", "one more", style)])
    [effect] = board.styles
    assert effect.name == name
    assert 0.45 < effect.share < 0.75
    assert effect.low < 0.4
    assert effect.high > 0.7
    for rating in board.ratings:
        assert rating.rating is not None
        assert rating.controlled == pytest.approx(rating.rating, abs=5)


def test_the_fit_ends_at_the_top_also_where_one_style_goes_with_every_win() -> None:
    votes = [
        Contest("v1", "initial", outcome, "ann", str(number), (lead, 0.0, 0.0, 0.0))
        for outcome, lead, count in ((Preferred.RIGHT, 0.8, 3000), (Preferred.TIE, 1.0, 300))
        for number in range(count)
    ]
    found = controlled(votes, ("initial", "v1"))
    weight = math.log(found.effects[0].share / (1 - found.effects[0].share))
    design = torch.tensor([[-1.0, 1.0, vote.style[0] / 0.2] for vote in votes], dtype=torch.float64)
    told = torch.tensor([*found.strength.tolist(), weight], dtype=torch.float64)
    log_nu = torch.zeros(1, dtype=torch.float64)  # the last one is not told: at the top it is where its slope is 0
    score = torch.tensor([_SCORES[vote.outcome] for vote in votes], dtype=torch.float64)
    is_tie = (score == 0.5).double()
    prior = torch.tensor([RIDGE, RIDGE, 1.0, RIDGE], dtype=torch.float64)
    for _ in range(200):
        pulls, curve = _derivatives(torch.cat([told, log_nu]), design, score, is_tie, prior)
        log_nu = log_nu + ((pulls.sum(0)[-1] - RIDGE * log_nu) / curve[-1, -1]).clamp(-0.5, 0.5)
    pulls, _ = _derivatives(torch.cat([told, log_nu]), design, score, is_tie, prior)
    assert float((pulls.sum(0) - prior * torch.cat([told, log_nu])).abs().max()) < 1e-2


def test_the_initial_model_stands_at_1000_with_style_aside_too() -> None:
    votes = simulated({"initial": 0.0, "v1": 0.9, "v2": -0.5}, 2.0, 900, random.Random(5), longer="v2")
    board = {rating.version: rating for rating in rate(NAMES, votes).ratings}
    assert board["initial"].controlled == pytest.approx(1000.0)
    assert board["v1"].controlled == pytest.approx(1000 + 0.9 * POINTS, abs=60)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Plain words, 2 - 1 = 1, a*b*c.", (0, 0, 0)),
        ("# One\n\ntext\n### Two\n#hashtag", (2, 0, 0)),
        ("- a\n- b\n  * c\n1. d\n2) e\n-no", (0, 5, 0)),
        ("**bold** and __strong__, **two words**, not ** this **\n**", (0, 0, 3)),
        ("```\n# no\n- no\n**no**\n```\n- yes", (0, 1, 0)),
        ("```python\n# never closed\n- no", (0, 0, 0)),
        ("- see:\n  ```\n  # no\n  - no\n  ```\n- b", (0, 2, 0)),
        ("```inline``` then\n# yes\n- a `**no**` and `__init__`", (1, 1, 0)),
        ("- `a`\n- `b`\n## `c`\n**`d`**", (1, 2, 1)),
        ("````markdown\n# no\n```\n- no\n````\n- yes", (0, 1, 0)),
        ("- - -\n* * *\n---\n- -5 degrees", (0, 1, 0)),
        ("# 标题\n\n- **重点**：水\n- 火", (1, 2, 1)),
        ("", (0, 0, 0)),
    ],
)
def test_style_is_counted_outside_of_code(text: str, counts: tuple[int, ...]) -> None:
    assert style_of(reply(text, tokens=7)) == (7, *counts)


def test_a_lead_is_a_share_of_what_both_have() -> None:
    assert lead((30, 0, 2, 0), (10, 0, 0, 1)) == (0.5, 0.0, 1.0, -1.0)
    assert lead((0, 0, 0, 0), (0, 0, 0, 0)) == PLAIN
    assert len(PLAIN) == len(STYLES) == 4
