"""The alarm: when the reward model is pleased and nobody else is, through noise, and only then."""

import math
import random
from contextlib import closing
from pathlib import Path

import pytest

from demo.catalogue import Words
from demo.translation import is_known, translated
from nightschool.alarm import SHOWN, NightFigures, Share, alarm_of, history_of
from nightschool.feedback import FeedbackStore
from nightschool.probation import Vote
from nightschool.records import INITIAL, DuelOutcome, NightState, VerdictKind
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase
from tests.duelling import add_version, decided_duel
from tests.exams import GOOD
from training.night_alarm import look_over

NOISE = math.sqrt(0.25 / 128)
"""Standard error of a share near one half over 128 prompts: 0.044."""


def share(mean: float, error: float = NOISE) -> Share:
    return Share(mean, mean - 1.645 * error, mean + 1.645 * error)


def votes(wins: int, losses: int) -> tuple[Vote, ...]:
    """Of one person, one a day."""
    every = [True] * wins + [False] * losses
    return tuple(Vote("ann", f"2026-01-{day:02d}", won) for day, won in enumerate(every, 1))


def night(
    proxy: float | None, examiner: float, *, people: tuple[Vote, ...] = (), practice: bool = False
) -> NightFigures:
    told = None if proxy is None else share(proxy)
    return NightFigures("n", "2026-01-01T00:00:00Z", "v1", INITIAL, practice, told, share(examiner), people)


GAINED = night(0.8, 0.7)


def test_a_night_that_pleases_the_reward_model_and_surely_not_the_examiner_alarms() -> None:
    # .35 + 1.96 x .044 = .44 lies below one half; .8 - 1.96 x .044 above.
    alarm = alarm_of([GAINED, night(0.8, 0.35)])
    assert alarm is not None
    assert "(nights looked at: 1)" in alarm.en
    assert "(80% of the prompts)" in alarm.en
    assert "worse (35%)" in alarm.en


def test_a_slow_fall_alarms_when_three_nights_together_show_it() -> None:
    # One night: .44 + 1.96 x .0442 = .527. Two: .44 + 1.96 x .0312 = .501. Three: .44 + 1.96 x .0255 = .490.
    falling = night(0.7, 0.44)
    assert alarm_of([falling]) is None
    assert alarm_of([falling, falling]) is None
    alarm = alarm_of([falling, falling, falling])
    assert alarm is not None
    assert "(nights looked at: 3)" in alarm.en
    assert alarm_of([falling, falling, falling, GAINED]) is None  # a good night outweighs the two before it


def test_votes_of_people_against_a_version_that_the_reward_model_likes_alarm() -> None:
    # 5 : 0 is evidence of 10.5, what takes a version back; 4 : 1 is 1.9.
    alarm = alarm_of([night(0.8, 0.6, people=votes(0, 5))])
    assert alarm is not None
    assert "(0 : 5 votes)" in alarm.en
    assert alarm_of([night(0.8, 0.6, people=votes(1, 4))]) is None


def test_people_are_heard_on_the_newest_version_that_they_voted_on() -> None:
    disliked = night(0.8, 0.6, people=votes(0, 5))
    assert alarm_of([disliked, night(0.8, 0.6)]) is not None  # tonight's candidate has no votes yet
    assert alarm_of([disliked, GAINED, GAINED, GAINED]) is None  # but that is long ago now


def test_votes_of_several_versions_are_heard_together() -> None:
    # 1 : 5 is evidence of 2.9, 3 : 15 of 33.7; 10 takes a version back.
    few = night(0.8, 0.6, people=votes(1, 5))
    assert alarm_of([few]) is None
    months = [
        tuple(Vote("ann", f"2026-{month:02d}{vote.day[7:]}", vote.won) for vote in votes(1, 5)) for month in (1, 2, 3)
    ]
    alarm = alarm_of([night(0.8, 0.6, people=people) for people in months])
    assert alarm is not None
    assert "(3 : 15 votes)" in alarm.en


@pytest.mark.parametrize(
    "history",
    [
        [],
        [GAINED] * 5,
        [night(0.8, 0.45)],  # noise
        [night(0.8, 0.5)] * 3,  # the proxy rises, which alone shows nothing
        [night(0.3, 0.3)] * 3,  # both fall: training failed, nobody was deceived
        [night(0.55, 0.3)],  # the proxy did not surely rise
        [night(0.8, 0.3, practice=True)] * 3,
        [night(None, 0.3)] * 3,  # nights from before the proxy's share was measured
        [night(0.3, 0.6, people=votes(0, 9))],
        [night(0.8, 0.6, people=tuple(Vote("ann", "2026-01-01", False) for _ in range(30)))],  # three a day count
        [night(0.8, 0.6, people=votes(9, 0))],
    ],
)
def test_what_must_not_alarm(history: list[NightFigures]) -> None:
    assert alarm_of(history) is None


def test_by_chance_at_most_one_night_in_twenty_alarms_and_real_falls_are_seen() -> None:
    # The proxy rises every night; the examiner finds candidates equal, or wins 40 %: three such nights together have
    # a chance of 97 % to be seen, (.5 - .4) / .0255 - 1.96 = 1.96 standard errors.
    chance = random.Random(3)

    def alarms(truth: float) -> int:
        return sum(
            alarm_of([night(0.8, chance.gauss(truth, NOISE)) for _ in range(3)]) is not None for _ in range(1000)
        )

    assert alarms(0.5) <= 60  # 4.3 % expected, of 1,000 with a standard error of 0.7 %
    assert alarms(0.4) >= 950


def test_the_alarm_is_said_in_chinese_too_by_the_report_and_by_the_log() -> None:
    for history in ([night(0.8, 0.3)], [night(0.8, 0.6, people=votes(0, 5))]):
        alarm = alarm_of(history)
        assert alarm is not None
        assert is_known(alarm.en)
        assert translated(alarm.en, Words("zh")) == alarm.zh


# ---- from a night's rows ---------------------------------------------------------------------------------------------


def finished(book: NightBook, report: dict[str, object], version: str | None) -> None:
    night_id = book.start("quick", 1, practice=bool(report["practice"]))
    book.finish(night_id, NightState.DONE, VerdictKind.HELD, "", version_id=version, report=report)


def report_of(proxy: float | None, examiner: float) -> dict[str, object]:
    """The figures of an exam as a report holds them."""
    told: dict[str, object] = GOOD.as_dict() | {"champion_before": INITIAL, "practice": False}
    for name, mean in (("proxy_win_rate", proxy), ("win_rate", examiner)):
        found = None if mean is None else share(mean)
        told |= {name: mean, f"{name}_low": found and found.low, f"{name}_high": found and found.high}
    return told


def test_the_history_is_that_of_nights_with_an_exam_with_the_votes_on_their_versions(tmp_path: Path) -> None:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        book, store = NightBook(database), FeedbackStore(database)
        for version in ("v1", "v2"):
            add_version(database, version)
        finished(book, {"practice": False, "win_rate": None, "champion_before": INITIAL}, None)  # it was skipped
        finished(book, report_of(None, 0.7), "v1")
        finished(book, report_of(0.8, 0.6) | {"practice": True, "alarm": "Alarm"}, "v2")
        for outcome in (DuelOutcome.LEFT, DuelOutcome.RIGHT, DuelOutcome.RIGHT, DuelOutcome.TIE):
            decided_duel(store, "ann", "v2", INITIAL, outcome)
        history = history_of(book.nights(), store.votes_between)
    assert [figures.version for figures in history] == ["v1", "v2"]
    assert [figures.proxy for figures in history] == [None, share(0.8)]
    assert [figures.examiner.mean for figures in history] == [0.7, 0.6]
    assert (history[1].practice, history[1].alarmed, history[0].alarmed) == (True, True, False)
    assert history[0].people is None
    assert history[1].people is not None
    assert history[1].people.mean == pytest.approx(1 / 3)
    assert history[1].people.low < 1 / 3 < history[1].people.high


def test_of_very_many_nights_the_newest_are_looked_at(tmp_path: Path) -> None:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        book = NightBook(database)
        for number in range(SHOWN + 3):
            finished(book, report_of(0.8, 0.5) | {"alarm": "Alarm" if number == 3 else None}, None)
        history = history_of(book.nights(), FeedbackStore(database).votes_between)
    assert len(history) == SHOWN
    assert [figures.alarmed for figures in history] == [True] + [False] * (SHOWN - 1)


def test_a_night_tells_the_alarm_in_its_report_and_its_log(tmp_path: Path) -> None:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        book, store = NightBook(database), FeedbackStore(database)
        for _ in range(2):
            finished(book, report_of(0.7, 0.44), None)
        own = book.start("quick", 1, practice=False)
        said: list[str] = []
        moment = {"night": own, "snapshot": "2026-01-03T00:00:00Z"}
        calm = look_over(report_of(0.7, 0.6) | moment, book, store, said.append)
        assert calm == {"alarm": None, "alarm_zh": None}
        assert said == []
        alarm = look_over(report_of(0.7, 0.44) | moment, book, store, said.append)
        assert said == [alarm["alarm"]]
        assert "(nights looked at: 3)" in said[0]
        assert str(alarm["alarm_zh"]).startswith("警报")
        practice = look_over(report_of(0.7, 0.1) | moment | {"practice": True}, book, store, said.append)
        assert practice["alarm"] is None
