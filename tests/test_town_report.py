"""What a report is made of: plots, tables, hashes, and pairs whose right answer is known."""

import re

import pytest

from benchmarks.town.days import Act
from benchmarks.town.measure import Spoken, before_and_after
from benchmarks.town.page import page, table
from benchmarks.town.plots import Series, plot, ticks
from benchmarks.town.record import acts_sha256, flat, without_clock
from benchmarks.town.reward_study import best_of, clear_pairs, with_errors
from training.judgements import Answer, Preferred

EVIL = '<script>alert(1)</script>&"'


def spoken(golds: list[float], per_prompt: int = 2) -> Spoken:
    """Replies numbered by their place."""
    prompts = tuple(f"prompt {place // per_prompt}" for place in range(len(golds)))
    answers = tuple(Answer((1,), (10 + place, 2)) for place in range(len(golds)))
    texts = tuple(f"{EVIL} {place}" for place in range(len(golds)))
    return Spoken(prompts, answers, texts, tuple(place % 2 == 0 for place in range(len(golds))), tuple(golds))


def test_ticks_are_round_and_span_what_is_shown() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 2, whole=True) == [0, 1, 2]
    assert ticks(-1.76, -0.46)[0] <= -1.76
    assert ticks(-1.76, -0.46)[-1] >= -0.46
    assert len(ticks(5.0, 5.0)) > 1


def test_a_point_higher_up_is_drawn_higher_up_and_later_ones_further_right() -> None:
    drawn = plot("t", "x", "y", [Series("s", [(0, 1.0), (1, 3.0)], [(0.5, 1.5), (2.5, 3.5)])])
    [(x0, y0), (x1, y1)] = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert float(x0) < float(x1)
    assert float(y0) > float(y1)
    assert "polygon" in drawn


def test_a_plot_of_nothing_says_so_and_names_are_escaped() -> None:
    assert "nothing to show" in plot("t", "x", "y", [Series("s", [])])
    for drawn in (plot(EVIL, EVIL, EVIL, [Series(EVIL, [(0, 1)])], level=(1.0, EVIL)), table([EVIL], [[EVIL]])):
        assert "<script" not in drawn
        assert "&lt;script" in drawn


def test_a_page_shows_replies_as_text() -> None:
    initial, after = spoken([0.0, 1.0, 2.0, 3.0]), spoken([4.0, 5.0, 6.0, 7.0])
    samples = before_and_after(initial, after, 2)
    assert [sample["prompt"] for sample in samples] == ["prompt 0", "prompt 1"]
    assert [(sample["gold_before"], sample["gold_after"]) for sample in samples] == [(0.0, 4.0), (2.0, 6.0)]
    town = {"people": 1, "taste": "t", "noise": 0.1, "judgements": 5, "trolls": []}
    report = {"name": EVIL, "seed": 0, "control": "", "town": town, "exam_prompts": 2, "nights": [], "settings": {}}
    shown = page(report | {"samples": samples})
    assert "<script" not in shown
    assert shown.count("&lt;script") == 2 + 4  # title and heading, then two sides of two samples


def test_only_replies_that_differ_clearly_make_pairs_and_the_better_one_is_preferred() -> None:
    pairs = clear_pairs(spoken([0.0, 10.0, 5.0, 5.1])).pairs  # the second prompt's replies are nearly equal
    assert [(pair.left.token_ids[0], pair.right.token_ids[0]) for pair in pairs] == [(10, 11)]
    assert pairs[0].preferred is Preferred.RIGHT
    assert with_errors(clear_pairs(spoken([0.0, 10.0])), 0.0, 0).pairs[0].preferred is Preferred.RIGHT
    assert with_errors(clear_pairs(spoken([0.0, 10.0])), 1.0, 0).pairs[0].preferred is Preferred.LEFT


def test_the_best_of_each_prompt_is_taken() -> None:
    assert best_of([1.0, 2.0, 9.0, 3.0], spoken([0.0] * 4)) == [1, 2]


def test_what_two_runs_have_in_common_is_all_but_the_clock() -> None:
    report = {"a": 1, "seconds_x": 2.0, "nights": [{"seconds": {"ppo": 3.0}, "kl": 4.0}]}
    assert without_clock(report) == {"a": 1, "nights": [{"kl": 4.0}]}
    assert flat(report) == {"a": 1, "seconds_x": 2.0}


@pytest.mark.parametrize("change", [{"told": "right"}, {"texts": ("a", "c")}, {"person": "ben"}])
def test_the_hash_of_a_day_tells_any_other_act(change: dict[str, object]) -> None:
    told: dict[str, object] = {
        "day": 1, "person": "ann", "troll": "", "kind": "duel", "prompt": "?", "texts": ("a", "b"),
        "worths": (1.0, float("inf")), "told": "left", "erred": False,
    }  # fmt: skip
    one, other = Act(**told), Act(**(told | change))  # type: ignore[arg-type]
    assert acts_sha256([one]) != acts_sha256([other])
    assert acts_sha256([one]) == acts_sha256([Act(**told)])  # type: ignore[arg-type]
