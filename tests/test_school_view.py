"""What the School page says of nights, of the next one, and of reports: in words, in figures, and nothing as HTML."""

import html
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.catalogue import Words
from demo.nights import NightStatus, Phase
from demo.outlook import Counted
from demo.pages import outlook_view, school_view
from demo.pages.curves_view import curves_grid, drawn
from demo.pages.spoken import about
from nightschool.records import Night, NightState, Stage, VerdictKind
from tests.exams import GOOD
from training.guards import guards_of
from training.verdict import decide

ENGLISH, CHINESE = Words("en"), Words("zh")
EVIL = "<img src=x onerror=alert(1)> ${1} {{2}}"
STAGE = Stage("<ppo>", NightState.RUNNING, "2026-01-01T00:00:00.000000+00:00", None, 0.25, "step <1>")
GUARDS = {"drift": {"value": 3.4, "limit": 12.0, "holds": True}, "empty": {"value": 0.2, "limit": 0.01, "holds": False}}
SAMPLE = {"prompt": f"asked {EVIL}", "before": f"before {EVIL}", "after": ""}
REPORT: dict[str, Any] = {
    "win_rate": 0.6, "win_rate_low": 0.52, "win_rate_high": 0.68, "kl": 0.1234, "notes": "<b>", "guards": GUARDS,
    "samples": [SAMPLE], "worst": [{**SAMPLE, "prompt": "the worst", "margin": -1.234}],
}  # fmt: skip
NIGHT = Night(
    "n1", NightState.DONE, "quick", 0, False, "2026-01-01T00:00:00+00:00", "2026-01-01T00:02:05+00:00",
    VerdictKind.PROMOTED, "It won <60 %> of the exam.", "v1", REPORT, (STAGE,),
)  # fmt: skip
CURVES = {"ppo": {"reward": [(1, -0.5), (2, 0.25)], "seconds": [(1, 10.0), (2, 12.0)]}}
NOW = datetime(2026, 1, 1, 0, 1, 0, tzinfo=UTC)


def card(night: Night, words: Words = ENGLISH) -> str:
    return school_view.night_card(NightStatus(Phase.ENDED, night), {}, {}, words)


def report(night: Night, *, is_owner: bool = True, is_newest: bool = True, words: Words = ENGLISH) -> str:
    return school_view.report(night, CURVES, words, is_owner=is_owner, is_newest=is_newest)


def test_the_verdict_comes_with_its_reason_and_main_numbers() -> None:
    for part in ("Promoted", "It won &lt;60 %&gt; of the exam.", "60%", "95 % sure: 52% to 68%", "0.12", "Version v1."):
        assert part in card(NIGHT)


@pytest.mark.parametrize(
    ("words", "head", "badge"),
    [
        (ENGLISH, "Rolled back: it answers no more", "rolled back"),
        (CHINESE, "已回退：不再由它回答", "已回退"),
    ],
)
def test_a_version_that_people_took_back_is_not_told_as_promoted(words: Words, head: str, badge: str) -> None:
    taken_back = replace(NIGHT, rolled_back={"en": "People prefer <v0>.", "zh": "大家更喜欢 <v0>。"})
    told = card(taken_back, words)
    assert head in told
    assert html.escape(taken_back.rolled_back[words.language]) in told
    assert "It won" in told  # what the exam had said stays
    assert words("school.promoted") not in told
    assert f'<span class="badge rejected">{badge}</span>' in school_view.history_table([taken_back], words)


@pytest.mark.parametrize(("words", "said"), [(ENGLISH, "Only the <i>proxy</i> rose."), (CHINESE, "只有代理分数上升。")])
def test_an_alarm_is_told_beside_the_verdict(words: Words, said: str) -> None:
    alarmed = {**REPORT, "alarm": "Only the <i>proxy</i> rose.", "alarm_zh": "只有代理分数上升。"}
    assert f'role="alert">{html.escape(said)}' in card(replace(NIGHT, report=alarmed), words)
    assert "alert" not in card(NIGHT, words)


def test_nothing_that_was_written_elsewhere_becomes_html() -> None:
    log = school_view.log_lines([("2026-01-01T00:00:00", "<script>alert(1)</script>")], ENGLISH)
    sentence = school_view.night_card(NightStatus(Phase.NOT_STARTED, None, "<i>no</i>"), {}, {}, ENGLISH)
    running = replace(NIGHT, state=NightState.RUNNING, verdict=None, effort="<i>", id="<i>")
    shown = [
        card(NIGHT), log, sentence, report(NIGHT), report(NIGHT, is_newest=False),
        school_view.night_card(NightStatus(Phase.RUNNING, running), {}, CURVES, ENGLISH),
        school_view.history_table([replace(NIGHT, id="\"><i>", version_id="<i>")], ENGLISH),
        outlook_view.counts_line(None, "<i>", ENGLISH), outlook_view.outlook("<i>", "quick", {}, ENGLISH),
    ]  # fmt: skip
    for text in shown:
        assert "<script" not in text
        assert "<ppo" not in text
        assert "<img" not in text
        assert "<i>" not in text


def test_the_history_lists_the_newest_night_first_with_its_time_and_the_way_to_its_report() -> None:
    later = replace(NIGHT, id="n2", verdict=VerdictKind.HELD)
    table = school_view.history_table([NIGHT, later], ENGLISH, "n1")
    assert "2 min 05 s" in table
    assert table.index("<thead>") < table.index("?night=n2") < table.index("?night=n1")
    assert table.count('class="shown"') == 1


def test_a_running_night_shows_its_stage_its_bar_and_the_time_left_where_it_is_known() -> None:
    stages = (
        Stage("judgements", NightState.DONE, "2026-01-01T00:00:00+00:00", 10.0, 1.0, ""),
        Stage("ppo", NightState.RUNNING, "2026-01-01T00:00:10+00:00", None, 0.5, "iteration 3 of at most 4"),
    )
    night = replace(NIGHT, state=NightState.RUNNING, verdict=None, ended_at=None, stages=stages, report=None)
    status = NightStatus(Phase.RUNNING, night)
    measured = {"judgements": 10.0, "ppo": 300.0, "exam": 90.0}
    shown = school_view.night_card(status, measured, {}, ENGLISH, NOW)
    assert "about 4 min left" in shown  # 150 + 90 = 240 s
    assert 'aria-valuenow="20"' in shown  # 10 + 50 seconds are gone, of 300
    assert "大约 4 分钟" in school_view.night_card(status, measured, {}, CHINESE, NOW)
    assert "left" not in school_view.night_card(status, {}, {}, ENGLISH, NOW)  # nothing tells


def test_a_report_shows_guards_with_figure_limit_and_result_and_opens_where_one_is_broken() -> None:
    shown = report(NIGHT)
    assert "Guards: 1 of 2 hold" in shown
    assert '<details class="fold guards" open>' in shown
    for part in ("3.4", "at most 12.0", "20%", "at most 1%", "holds", "broken"):
        assert part in shown
    fine = replace(NIGHT, report={**REPORT, "guards": {"drift": GUARDS["drift"]}})
    assert '<details class="fold guards">' in report(fine)


@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_every_guard_that_a_night_looks_at_has_a_name_and_a_way_to_be_told(words: Words) -> None:
    decision = decide(GOOD, None, practice=False, promotion="exam")
    night = replace(NIGHT, report={**GOOD.as_dict(), **decision.as_dict()})
    shown = report(night, words=words)
    for guard in guards_of(GOOD):
        assert words(f"school.guard_{guard.name}") in shown.replace("&#x27;", "'")


def test_the_worst_prompts_may_be_peoples_and_are_shown_to_the_owner_only() -> None:
    assert "the worst" in report(NIGHT)
    assert "-1.23" in report(NIGHT)
    others = report(NIGHT, is_owner=False)
    assert "the worst" not in others
    assert "before &lt;img" in others  # the fixed ones are the bank's


def test_a_reply_without_words_is_told() -> None:
    assert "(no words)" in report(NIGHT)


def test_an_earlier_nights_report_has_a_head_of_its_own_and_the_way_back() -> None:
    shown = report(NIGHT, is_newest=False)
    assert "Report of the night of 2026-01-01 00:00 UTC" in shown
    assert "Promoted" in shown
    assert 'href="/school"' in shown
    assert 'href="/zh/school"' in report(NIGHT, is_newest=False, words=CHINESE)
    assert "Promoted" not in report(NIGHT)  # its card stands above


def test_a_night_that_did_nothing_has_no_report_below_its_card() -> None:
    assert school_view.report(replace(NIGHT, report={}, stages=()), {}, ENGLISH, is_owner=True, is_newest=True) == ""


# ---- the next night ------------------------------------------------------------------------------------------------

KINDS = {"duel": (30, 12), "ranking": (4, 0), "thumb": (9, 9), "correction": (1, 0), "regeneration": (2, 2)}


def test_the_next_night_is_told_by_kind_with_what_is_new() -> None:
    shown = outlook_view.counts_line(Counted(KINDS, 23, 41.4, 0, False), "v7", ENGLISH)
    for part in ("<b>30</b>", "12 new", "<b>2</b>", "<b>v7</b>", "rankings", "correction<", "better second answers"):
        assert part in shown
    assert "corrections" not in shown  # there is one
    assert "0 new" not in shown


@pytest.mark.parametrize(
    ("counted", "part"),
    [
        (None, "being counted"),
        ("There is no night to resume", "could not be counted"),
        (Counted(KINDS, 23, 41.4, 0, False), "Worth running"),
        (Counted(KINDS, 3, 10.0, 50, False), "about 50 more judgements"),
        (Counted(KINDS, 19, 41.4, 1, False), "about one more judgement is"),
        (Counted(KINDS, 0, 41.4, 0, True), "made anew"),
    ],
)
def test_whether_a_night_is_worth_running_is_said_in_a_sentence(counted: Counted | str | None, part: str) -> None:
    assert part in outlook_view.outlook(counted, "quick", {}, ENGLISH)


def test_how_long_a_night_takes_is_told_from_the_last_one_here_or_as_usual() -> None:
    counted = Counted(KINDS, 23, 41.4, 0, False)
    assert "takes about 3 min: the last one here did" in outlook_view.outlook(
        counted, "quick", {"ppo": 100, "exam": 80}, ENGLISH
    )
    assert "usually takes about 7 min" in outlook_view.outlook(counted, "quick", {}, ENGLISH)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (5, "less than a minute"),
        (61, "about 1 min"),
        (7100, "about 118 min"),
        (7200, "about 2 h 00 min"),
        (8200, "about 2 h 15 min"),
    ],
)
def test_rough_durations(seconds: float, told: str) -> None:
    assert about(seconds, ENGLISH) == told


# ---- curves --------------------------------------------------------------------------------------------------------


def test_a_curve_runs_from_left_to_right_and_its_highest_point_lies_highest() -> None:
    assert drawn([(1, 0.0), (2, 1.0), (3, 0.5)]) == [(5.0, 67.0), (120.0, 5.0), (235.0, 36.0)]
    assert drawn([(1, 4.0)]) == [(120.0, 36.0)]
    # A tenth of the least span is a tenth of the height between the edges, about the middle.
    assert [y for _, y in drawn([(1, 0.0), (2, 0.1)], span=1.0)] == pytest.approx([36.0 + 3.1, 36.0 - 3.1])
    assert drawn([(1, 0.0), (2, 2.0)], span=1.0) == [(5.0, 67.0), (235.0, 5.0)]


def test_a_curve_names_its_first_and_last_value_and_what_is_no_curve_is_left_out() -> None:
    shown = curves_grid(CURVES, ENGLISH)
    assert "2 iterations, from -0.50 to +0.25" in shown
    assert shown.count("<figure") == 1  # seconds are no curve
    assert "the first iteration" in curves_grid({"ppo": {"kl": [(1, 0.0)]}}, ENGLISH)
    assert curves_grid({}, ENGLISH) == ""
    assert "the verdict's figures are of the exam" in html.unescape(shown)
    assert "verdict" not in curves_grid({"reward model": {"accuracy": [(0, 0.5)]}}, ENGLISH)
