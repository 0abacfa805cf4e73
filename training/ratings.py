"""Which version people prefer: Bradley-Terry with ties (Davidson 1970) over human duels, with intervals and ranks.

P(i beats j) : P(j beats i) : P(tie) = exp(d/2) : exp(-d/2) : nu, where d is the difference of their strengths. A weak
prior (`RIDGE`) keeps strengths finite where one version won every duel. Ratings are told on Elo's scale, the initial
model at 1000.

Intervals come from drawing whole people with replacement (from conversations where there are too few people): votes of
one person are not independent. Few votes that all agree would make such an interval too narrow, so each is at least as
wide as the curvature of the likelihood says. Departures from Chatbot Arena (arXiv 2403.04132): clusters are drawn, not
votes; a version that nothing connects with the others is not rated; and where the data cannot tell a version from any
other it gets no rank. Beside each rating stands the one with style controlled (`style_control`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nightschool.records import INITIAL
from nightschool.standings import Leaderboard, Rating
from training.contests import Contest
from training.judgements import Preferred
from training.style_control import TWO_SIDED, Controlled, bounds_of, control_style

RIDGE = 0.1
"""Precision of the prior on each strength: a standard deviation of 3.2 (550 points of Elo)."""
DRAWS = 1000
DRAWS_AT_ONCE = 100
CONFIDENCE = 0.95
LEAST_PEOPLE = 5
"""With fewer, conversations are drawn in place of people."""
POINTS = 400 / math.log(10)
STEPS = 30


def rate(versions: Sequence[str], contests: Sequence[Contest], *, seed: int = 0, draws: int = DRAWS) -> Leaderboard:
    """Rate `versions` (every one a contest names among them) by what people decided."""
    place = {version: index for index, version in enumerate(versions)}
    beats, ties = tallies(contests, place)
    rated = comparable(versions, beats + ties)
    chosen = torch.tensor([place[version] for version in rated], dtype=torch.long)
    strength, low, high, log_nu, drawn = torch.zeros(0), torch.zeros(0), torch.zeros(0), None, "people"
    controlled: Controlled | None = None
    among = [contest for contest in contests if contest.left in rated and contest.right in rated]
    if among:
        own = {version: index for index, version in enumerate(rated)}
        strength, log_nu, spread = fit(beats[chosen][:, chosen], ties[chosen][:, chosen])
        drawn, clusters = clusters_of(among)
        low, high = intervals(among, clusters, own, strength, spread, seed=seed, draws=draws)
        controlled = control_style(rated, among, clusters, ridge=RIDGE)
    points = _points(rated, strength, low, high) if among else {}
    others = _points(rated, *bounds_of(controlled)) if controlled is not None else {}
    ranks = ranks_of({version: (values[1], values[2]) for version, values in points.items()})
    order = sorted(versions, key=lambda version: -points[version][0] if version in points else math.inf)
    sort = torch.tensor([place[version] for version in order], dtype=torch.long)
    beats, ties = beats[sort][:, sort], ties[sort][:, sort]
    return Leaderboard(
        ratings=tuple(_rating(version, row, beats, ties, points, others, ranks) for row, version in enumerate(order)),
        duels=len(contests),
        people=len({contest.person for contest in contests}),
        drawn=drawn,
        tie_strength=None if log_nu is None else math.exp(log_nu),
        versions=tuple(order),
        win_shares=_win_shares(beats, ties),
        meetings=tuple(tuple(int(count) for count in row) for row in (beats + beats.T + ties).tolist()),
        styles=() if controlled is None else controlled.effects,
    )


def _points(versions: Sequence[str], *strengths: Tensor) -> dict[str, tuple[float, ...]]:
    """Of each version its strengths [versions] on Elo's scale, the first of the initial model at 1000."""
    anchor = _anchor(strengths[0], versions)
    return {
        version: tuple(1000.0 + POINTS * float(row[index] - anchor) for row in strengths)
        for index, version in enumerate(versions)
    }


def tallies(contests: Sequence[Contest], place: dict[str, int]) -> tuple[Tensor, Tensor]:
    """beats[i, j]: duels that i won against j; ties[i, j] = ties[j, i]. Both [versions, versions], float64."""
    beats = torch.zeros(len(place), len(place), dtype=torch.float64)
    ties = torch.zeros_like(beats)
    for contest in contests:
        left, right = place[contest.left], place[contest.right]
        if contest.outcome is Preferred.TIE:
            ties[left, right] += 1
            ties[right, left] += 1
        elif contest.outcome is Preferred.LEFT:
            beats[left, right] += 1
        else:
            beats[right, left] += 1
    return beats, ties


def comparable(versions: Sequence[str], met: Tensor) -> list[str]:
    """The versions that duels connect: of several such groups the one with most duels, then the one listed first."""
    linked = (met + met.T) > 0
    waiting, groups = list(range(len(versions))), list[list[int]]()
    while waiting:
        group, edge = [], [waiting.pop(0)]
        while edge:
            row = edge.pop()
            group.append(row)
            found = [other for other in waiting if bool(linked[row, other])]
            waiting = [other for other in waiting if other not in found]
            edge += found
        groups.append(sorted(group))
    best = max(groups, key=lambda group: float(met[group].sum()), default=[])
    return [versions[row] for row in best]


def fit(beats: Tensor, ties: Tensor) -> tuple[Tensor, float, Tensor]:
    """(strengths, log nu, standard errors of the strengths) by Newton's method; the strengths' mean is 0.

    beats, ties [versions, versions].
    """
    strength, log_nu = fit_all(beats[None], ties[None])
    errors = torch.linalg.inv(_curvature(strength, log_nu, beats[None], ties[None]))[0]
    size = len(beats)
    centre = torch.eye(size, dtype=torch.float64) - 1 / size  # of what is centred: C S C
    return strength[0], float(log_nu[0]), (centre @ errors[:size, :size] @ centre).diagonal().clamp(min=0).sqrt()


def fit_all(beats: Tensor, ties: Tensor) -> tuple[Tensor, Tensor]:
    """Strengths [draws, versions] and log nu [draws] of many tallies [draws, versions, versions] at once."""
    draws, size = beats.shape[:2]
    theta = torch.zeros(draws, size + 1, dtype=torch.float64)
    for _ in range(STEPS):
        strength, log_nu = theta[:, :-1], theta[:, -1]
        step = torch.linalg.solve(
            _curvature(strength, log_nu, beats, ties), _slope(strength, log_nu, beats, ties)[..., None]
        )[..., 0]
        theta = theta + step.clamp(-1.0, 1.0)
        if float(step.abs().max()) < 1e-8:
            break
    strength = theta[:, :-1]
    return strength - strength.mean(1, keepdim=True), theta[:, -1]


def _chances(strength: Tensor, log_nu: Tensor) -> tuple[Tensor, Tensor]:
    """P(row beats column) and P(tie), both [draws, versions, versions]."""
    d = strength[:, :, None] - strength[:, None, :]
    log_p = torch.log_softmax(torch.stack([d / 2, -d / 2, log_nu[:, None, None].expand_as(d)], -1), -1)
    return log_p[..., 0].exp(), log_p[..., 2].exp()


def _met(beats: Tensor, ties: Tensor) -> Tensor:
    return beats + beats.transpose(1, 2) + ties


def _slope(strength: Tensor, log_nu: Tensor, beats: Tensor, ties: Tensor) -> Tensor:
    """Gradient of the log-likelihood and prior in (strengths, log nu). [draws, versions + 1].

    With s the score of a duel (1, 1/2, 0) for a version, d log P / d strength = s - E[s]; in log nu: tie - P(tie).
    """
    win, tie = _chances(strength, log_nu)
    met = _met(beats, ties)
    by_strength = (beats + ties / 2 - met * (win + tie / 2)).sum(2) - RIDGE * strength
    by_log_nu = (ties - met * tie).sum((1, 2)) / 2 - RIDGE * log_nu
    return torch.cat([by_strength, by_log_nu[:, None]], 1)


def _curvature(strength: Tensor, log_nu: Tensor, beats: Tensor, ties: Tensor) -> Tensor:
    """Minus the Hessian: duels times the variance of score and tie. [draws, versions + 1, versions + 1]."""
    win, tie = _chances(strength, log_nu)
    lose, met = win.transpose(1, 2), _met(beats, ties)
    score = win + tie / 2
    variance = met * (win + tie / 4 - score.square())
    size = strength.shape[1]
    curve = torch.zeros(len(strength), size + 1, size + 1, dtype=torch.float64)
    curve[:, :size, :size] = torch.diag_embed(variance.sum(2)) - variance
    across = (met * tie * (lose - win) / 2).sum(2)  # Cov(score, tie) = P(tie) (1/2 - E[score])
    curve[:, :size, size] = curve[:, size, :size] = across
    curve[:, size, size] = (met * tie * (1 - tie)).sum((1, 2)) / 2
    return curve + RIDGE * torch.eye(size + 1, dtype=torch.float64)


def clusters_of(contests: Sequence[Contest]) -> tuple[str, list[str]]:
    """What belongs together, contest by contest: what it is called, and its name for each."""
    people = [contest.person for contest in contests]
    if len(set(people)) >= LEAST_PEOPLE:
        return "people", people
    return "conversations", [contest.conversation for contest in contests]


def intervals(
    contests: Sequence[Contest],
    clusters: Sequence[str],
    place: dict[str, int],
    strength: Tensor,
    errors: Tensor,
    *,
    seed: int,
    draws: int,
) -> tuple[Tensor, Tensor]:
    """95 % bounds of the strengths [versions] each: by drawing clusters, and at least what the curvature says."""
    table, columns = _outcomes(contests, clusters, place)
    generator = torch.Generator().manual_seed(seed)
    every = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        picks = torch.randint(len(table), (min(DRAWS_AT_ONCE, draws - start), len(table)), generator=generator)
        times = torch.zeros(picks.shape, dtype=torch.float64)
        times.scatter_add_(1, picks, torch.ones_like(times))
        counts = times @ table
        beats, ties = (torch.zeros(len(picks), len(place), len(place), dtype=torch.float64) for _ in range(2))
        for column, (winner, other, is_tie) in enumerate(columns):
            if is_tie:
                ties[:, winner, other] = ties[:, other, winner] = counts[:, column]
            else:
                beats[:, winner, other] = counts[:, column]
        every.append(fit_all(beats, ties)[0])
    drawn = torch.cat(every)
    tail, half = (1 - CONFIDENCE) / 2, TWO_SIDED * errors
    return (
        torch.minimum(drawn.quantile(tail, 0), strength - half),
        torch.maximum(drawn.quantile(1 - tail, 0), strength + half),
    )


def _outcomes(
    contests: Sequence[Contest], clusters: Sequence[str], place: dict[str, int]
) -> tuple[Tensor, list[tuple[int, int, bool]]]:
    """How often each outcome that occurred did so in each cluster. [clusters, outcomes], and the outcomes' meaning:

    (winner, loser, False), or of a tie (one, other, True) with the lower number first.
    """
    rows: dict[str, int] = {}
    columns: dict[tuple[int, int, bool], int] = {}
    found = []
    for contest, cluster in zip(contests, clusters, strict=True):
        left, right = place[contest.left], place[contest.right]
        outcome = {
            Preferred.LEFT: (left, right, False),
            Preferred.RIGHT: (right, left, False),
            Preferred.TIE: (min(left, right), max(left, right), True),
        }[contest.outcome]
        found.append((rows.setdefault(cluster, len(rows)), columns.setdefault(outcome, len(columns))))
    table = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for row, column in found:
        table[row, column] += 1
    return table, list(columns)


def ranks_of(bounds: dict[str, tuple[float, float]]) -> dict[str, int | None]:
    """1 + the number of versions whose lower bound is above one's upper; None for one that overlaps with all others."""
    ranks: dict[str, int | None] = {}
    for version, (low, high) in bounds.items():
        better = sum(other_low > high for other_low, _ in bounds.values())
        worse = sum(other_high < low for _, other_high in bounds.values())
        ranks[version] = 1 + better if better or worse else None
    return ranks


def _anchor(strength: Tensor, rated: Sequence[str]) -> float:
    """What stands at 1000: the initial model, or the mean where it is not among them."""
    return float(strength[rated.index(INITIAL)]) if INITIAL in rated else 0.0


def _rating(
    version: str,
    row: int,
    beats: Tensor,
    ties: Tensor,
    points: dict[str, tuple[float, ...]],
    others: dict[str, tuple[float, ...]],
    ranks: dict[str, int | None],
) -> Rating:
    wins, losses, drawn = int(beats[row].sum()), int(beats[:, row].sum()), int(ties[row].sum())
    rating, low, high = points.get(version, (None, None, None))
    controlled = others.get(version, (None, None, None))
    return Rating(
        version, wins + losses + drawn, wins, drawn, losses, rating, low, high, ranks.get(version), *controlled
    )


def _win_shares(beats: Tensor, ties: Tensor) -> tuple[tuple[float | None, ...], ...]:
    met = beats + beats.T + ties
    shares = (beats + ties / 2) / met
    return tuple(
        tuple(float(shares[i, j]) if met[i, j] > 0 else None for j in range(len(beats))) for i in range(len(beats))
    )
