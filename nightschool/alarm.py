"""Over the nights: what the reward model (the proxy), the examiner and people say of each candidate, and an alarm.

PPO raises the proxy's score whatever happens; that alone shows nothing. When the proxy finds candidates better while
the examiner, or people, find them worse, the nights please the reward model and not the people (Gao et al. 2023,
"Scaling laws for reward model overoptimization"). Everything is told as a share of prompts or votes won against the
version that was champion before, so that reward models of different nights, each with a scale of its own, compare.

The alarm looks at the newest night and at the newest three together, and takes noise into account:
- the proxy rises when the lower bound of its mean share lies above one half;
- the examiner falls when the upper bound of its mean share lies below one half. Bounds are at 97.5 % each, so that both
  looks together raise a false alarm in at most 5 % of nights in which the examiner finds candidates equal;
- people fall when the evidence of their votes (`probation`: it may be looked at after every vote) against the
  candidates reaches what takes a version back, 10: false for at most one in ten equal versions, however long one looks.
Practice nights, and nights from before the proxy's share was measured, are shown and do not count.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from nightschool.probation import ROLL_BACK_AT, Vote, counted, standing
from nightschool.records import Night
from nightschool.said import Said
from nightschool.shares import wilson

NEWEST = 3
"""Nights that are looked at together."""
SHOWN = 24
"""Nights of a history: more points of a plot cannot be told apart."""
ONE_SIDED = 1.645
"""Standard errors from a mean to the bounds that exams give (95 %, one-sided)."""
SURE = 1.96
"""Standard errors of the alarm's own bounds (97.5 %, one-sided)."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A share won, with bounds of which each holds one-sided with 95 % confidence."""

    mean: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Standard error, from the bounds."""
        return (self.high - self.low) / (2 * ONE_SIDED)


@dataclass(frozen=True)
class NightFigures:
    """One night's candidate against the champion before it."""

    night: str
    started_at: str
    version: str | None
    rival: str
    practice: bool
    proxy: Share | None
    """By the reward model that PPO trained against; None for nights from before this was measured."""
    examiner: Share
    votes: tuple[Vote, ...] = ()
    """Duels of people between the two; ties are left out."""
    alarmed: bool = False
    """Whether the night's own report had an alarm."""

    @property
    def people(self) -> Share | None:
        """What people's votes say; None without one. Those of one person are counted as in a probation."""
        kept = counted(self.votes)
        wins = sum(vote.won for vote in kept)
        return Share(wins / len(kept), *wilson(wins, len(kept), CONFIDENCE)) if kept else None


Votes = Callable[[str, str], Iterable[Vote]]
"""Of a version against another one."""


def history_of(nights: Sequence[Night], votes: Votes) -> list[NightFigures]:
    """The newest nights that held an exam, in their order."""
    examined = [(night, night.report or {}) for night in nights]
    examined = [(night, report) for night, report in examined if report.get("win_rate_high") is not None]
    return [
        figures_of(night.id, night.started_at, report, night.version_id, votes) for night, report in examined[-SHOWN:]
    ]


def figures_of(night: str, started_at: str, report: dict[str, Any], version: str | None, votes: Votes) -> NightFigures:
    """One night's figures from its report."""
    rival = str(report["champion_before"])
    examiner = _share(report, "win_rate")
    assert examiner is not None
    return NightFigures(
        night=night,
        started_at=started_at,
        version=version,
        rival=rival,
        practice=bool(report.get("practice")),
        proxy=_share(report, "proxy_win_rate"),
        examiner=examiner,
        votes=tuple(votes(version, rival)) if version else (),
        alarmed=bool(report.get("alarm")),
    )


def _share(report: dict[str, Any], name: str) -> Share | None:
    found = [report.get(key) for key in (name, f"{name}_low", f"{name}_high")]
    return None if None in found else Share(*map(float, found))  # type: ignore[arg-type]


def alarm_of(history: Sequence[NightFigures]) -> Said | None:
    """Whether the newest nights (the last of `history`) please the reward model and nobody else, in words; or None."""
    recent = [figures for figures in history if figures.proxy is not None and not figures.practice][-NEWEST:]
    judged = [figures for figures in recent if figures.votes]
    for looked_at in (recent[-1:], recent):
        if looked_at and _rises(looked_at) and _bound([each.examiner for each in looked_at], SURE) < 0.5:
            return _examiner_falls(looked_at)
    for looked_at in (judged[-1:], judged):
        if looked_at and _rises(looked_at) and _against(looked_at) >= ROLL_BACK_AT:
            return _people_fall(looked_at)
    return None


def _rises(nights: Sequence[NightFigures]) -> bool:
    return _bound([night.proxy for night in nights if night.proxy is not None], -SURE) > 0.5


def _bound(shares: Sequence[Share], errors: float) -> float:
    """The mean of the shares, plus so many standard errors of it."""
    spread = math.sqrt(math.fsum(share.error**2 for share in shares)) / len(shares)
    return fmean(share.mean for share in shares) + errors * spread


def _votes(nights: Sequence[NightFigures]) -> list[Vote]:
    return [vote for night in nights for vote in night.votes]


def _against(nights: Sequence[NightFigures]) -> float:
    """The evidence that people prefer what was there before."""
    return standing(_votes(nights), ((), ()), ()).against_it


def _proxy(nights: Sequence[NightFigures]) -> str:
    return f"{fmean(night.proxy.mean for night in nights if night.proxy is not None):.0%}"


def _examiner_falls(nights: Sequence[NightFigures]) -> Said:
    count, proxy, examiner = len(nights), _proxy(nights), f"{fmean(night.examiner.mean for night in nights):.0%}"
    return Said(
        f"Alarm (nights looked at: {count}): the reward model finds the candidates better ({proxy} of the prompts), "
        f"the examiner finds them worse ({examiner}). Training may be pleasing the reward model and not people; judge "
        "answers of the newest versions before you trust the next night.",
        f"警报（所看训练：{count} 次）：奖励模型认为候选版本更好（{proxy} 的题），考官模型却认为更差（{examiner}）。"
        "训练可能只是在讨好奖励模型，而不是让大家满意；请先多评判最新版本的回答，再相信下一次训练。",
    )


def _people_fall(nights: Sequence[NightFigures]) -> Said:
    kept = counted(_votes(nights))
    count, proxy, wins = len(nights), _proxy(nights), sum(vote.won for vote in kept)
    losses = len(kept) - wins
    return Said(
        f"Alarm (nights looked at: {count}): the reward model finds the candidates better ({proxy} of the prompts), "
        f"people prefer what was there before ({wins} : {losses} votes). Training may be pleasing the reward model and "
        "not people; judge answers of the newest versions before you trust the next night.",
        f"警报（所看训练：{count} 次）：奖励模型认为候选版本更好（{proxy} 的题），大家却更喜欢之前的版本"
        f"（{wins} : {losses} 票）。训练可能只是在讨好奖励模型，而不是让大家满意；请先多评判最新版本的回答，"
        "再相信下一次训练。",
    )
