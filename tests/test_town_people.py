"""How simulated people judge: by their taste, with the errors and habits that the town file gives them."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.town.days import Act, live, share_of
from benchmarks.town.machinery import TownStopped
from benchmarks.town.people import Control, Person, inhabitants, shortened
from benchmarks.town.plan import Town, Troll, town_of
from benchmarks.town.tastes import brevity, looks_finished, mixture, politeness, sentiment

EXACT = {"name": "t", "taste": "benchmarks.town.tastes:letter", "noise": 0.0, "tie_threshold": 0.2}
WORTHS = {"0": 1.0, "1": 3.0, "2": 3.1, "3": 2.0}


def person(control: Control = Control.HONEST, troll: Troll | None = None, **told: Any) -> Person:
    return Person("ann", Town(**(EXACT | told)), random.Random(0), control, troll)


def share(of: Callable[[], object], wanted: object, draws: int = 2000) -> float:
    return sum(of() == wanted for _ in range(draws)) / draws


def test_without_noise_the_better_answer_wins_and_close_ones_are_equal() -> None:
    ann = person()
    assert [str(ann.duel(*pair).told) for pair in ((2.0, 1.0), (1.0, 2.0), (1.0, 1.1))] == ["left", "right", "tie"]
    assert ann.ranking(WORTHS).told == [["2", "1"], ["3"], ["0"]]
    ann.read([1.0, 2.0, 3.0])
    assert [ann.thumb(worth).told for worth in (2.5, 1.5, 2.1)] == ["up", "down", None]


def test_a_newcomer_gives_no_thumb() -> None:
    assert person().thumb(5.0).told is None


def test_noise_turns_as_many_judgements_as_it_says_and_as_many_pairs_of_a_ranking() -> None:
    ann = person(noise=0.15, tie_threshold=0.0)
    assert share(lambda: ann.duel(2.0, 1.0).told, "right") == pytest.approx(0.15, abs=0.03)
    ann.read([1.0, 2.0, 3.0])
    assert share(lambda: ann.thumb(5.0).told, "down") == pytest.approx(0.15, abs=0.03)
    wrong = 0
    for _ in range(2000):
        told = ann.ranking(WORTHS).told
        assert isinstance(told, list)
        order = [name for group in told for name in group]
        wrong += order.index("0") < order.index("2")  # the worst above the best
    assert wrong / 2000 == pytest.approx(0.15, abs=0.03)


def test_a_position_bias_takes_the_first_answer_whatever_it_says() -> None:
    ann = person(position_bias=0.5)
    assert share(lambda: ann.duel(1.0, 2.0).told, "left") == pytest.approx(0.5, abs=0.04)
    assert share(lambda: ann.ranking({"0": 1.0, "1": 2.0}).told, [["0"], ["1"]]) == pytest.approx(0.5, abs=0.04)


def test_shuffled_people_decide_by_a_coin_and_reversed_ones_by_the_opposite() -> None:
    shuffled = person(Control.SHUFFLED)
    shuffled.read([1.0, 2.0, 3.0])
    assert share(lambda: shuffled.duel(9.0, 0.0).told, "left") == pytest.approx(0.5, abs=0.04)
    assert share(lambda: shuffled.thumb(9.0).told, "up") == pytest.approx(0.5, abs=0.04)
    honest, against = person(), person(Control.REVERSED)
    assert against.worth(1, "", "eee") == -honest.worth(1, "", "eee") < 0


def test_trolls_do_what_their_names_say() -> None:
    gold = person().worth(1, "", "tree")
    assert gold > 0
    worths = {kind: person(troll=Troll(kind=kind)).worth(1, "", "tree") for kind in ("inverted", "spammer")}
    assert worths == {"inverted": -gold, "spammer": -gold}
    sleeper = person(troll=Troll(kind="sleeper", honest_nights=2))
    assert [sleeper.worth(night, "", "tree") for night in (1, 2, 3)] == [gold, gold, -gold]
    lefty = person(troll=Troll(kind="always_left"))
    assert (str(lefty.duel(0.0, 9.0).told), lefty.thumb(-9.0).told) == ("left", "up")
    assert lefty.ranking(WORTHS).told == [["0"], ["1"], ["2"], ["3"]]
    brigade = person(troll=Troll(kind="brigade", phrase="Buy it!"))
    assert brigade.correction(1, "", "Bread. ").told == "Bread. Buy it!"
    assert brigade.correction(1, "", "Bread. buy it!").told is None
    assert str(brigade.duel(brigade.worth(1, "", "buy IT!"), brigade.worth(1, "", "eeee")).told) == "left"
    assert brigade.worth(1, "", "tree") == gold


def test_a_correction_leaves_out_what_spoils_the_answer() -> None:
    told = (
        person(taste="benchmarks.town.tastes:sentiment", tie_threshold=0.0)
        .correction(1, "", "I love it. I hate you. Great fun!")
        .told
    )
    assert told == "I love it. Great fun!"
    assert (
        person(taste="benchmarks.town.tastes:sentiment", tie_threshold=0.0).correction(1, "", "Great fun!").told is None
    )


def test_every_shortened_text_is_a_part_of_the_text() -> None:
    assert shortened("One. Two! Three") == ["One.", "One. Two!", "Two! Three", "One. Three"]
    assert shortened("one two three") == ["one", "one two"]
    assert shortened("one") == shortened("") == []


def test_the_same_seed_makes_the_same_people_and_nobody_depends_on_who_else_lives_there() -> None:
    few, many = Town(**EXACT, people=2), Town(**EXACT, people=3, trolls=(Troll(kind="inverted", count=2),))
    assert [one.name for one in inhabitants(many, 0)][3:] == ["inverted 1", "inverted 2"]
    draws = [[one.chance.random() for one in inhabitants(town, seed)[:2]] for town in (few, many) for seed in (0, 1)]
    assert draws[0] == draws[2] != draws[1]


def test_a_spammer_says_as_much_as_all_honest_people_and_others_as_much_as_one() -> None:
    assert share_of(person(troll=Troll(kind="spammer")), 200, 10) == 200
    assert share_of(person(troll=Troll(kind="inverted")), 200, 10) == 20
    assert share_of(person(troll=Troll(kind="spammer", judgements=7)), 200, 10) == 7


class Scripted:
    """Somebody whose acts tell so many facts each."""

    def __init__(self, person: Person, facts: int = 1) -> None:
        self.person, self._facts = person, facts

    def act(self, day: int) -> Act:
        told = [["0"]] if self._facts else None
        texts = ("",) * (self._facts + 1)
        return Act(day, self.person.name, self.person.kind or "", "ranking", "?", texts, (), told, False)


def test_a_day_ends_when_all_have_said_their_share_and_everybody_takes_turns() -> None:
    town = Town(**EXACT, people=2, trolls=(Troll(kind="inverted"), Troll(kind="spammer")))
    people = [Scripted(one, 3 if one.troll is None else 1) for one in inhabitants(town, 0)]
    seen: list[Act] = []
    acts = live(people, 4, 12, seen.append)
    assert seen == acts
    names = [act.person for act in acts]
    assert {name: names.count(name) for name in sorted(set(names))} == {
        "inverted 1": 6, "person 1": 2, "person 2": 2, "spammer 1": 12,
    }  # fmt: skip
    assert [name for name in names if name.startswith("person")] == ["person 1", "person 2"] * 2
    assert names.index("spammer 1") < names.index("person 2")  # they are at it all day long, not one after the other
    assert {act.day for act in acts} == {4}


def test_a_day_on_which_nobody_says_anything_is_given_up_with_what_to_do() -> None:
    people = [Scripted(one, 0) for one in inhabitants(Town(**EXACT, people=1), 0)]
    with pytest.raises(TownStopped, match="only 0 judgements were given: the taste hardly tells answers apart"):
        live(people, 1, 2)


def test_a_ranking_counts_as_one_fact_less_than_it_has_answers() -> None:
    ranked = Act(1, "ann", "", "ranking", "?", ("a", "b", "c", "d"), (0.0,) * 4, [["0", "1"], ["2", "3"]], False)
    assert ranked.facts == 3
    assert Act(1, "ann", "", "duel", "?", ("a", "b"), (0.0, 0.0), None, False).facts == 0
    assert Act(1, "ann", "", "duel", "?", ("a", "b"), (0.0, 0.0), "tie", False).facts == 1


def test_the_shipped_tastes_prefer_what_they_say() -> None:
    twenty = " ".join(["word"] * 20)
    assert brevity("", twenty, True) == pytest.approx(0.3)
    assert brevity("", f"{twenty} {twenty}", False) == pytest.approx(-1.3)  # twenty words too many, and cut
    assert sentiment("", "What a wonderful day!", True) > 0 > sentiment("", "This is horrible.", True)
    assert politeness("", "Thank you, please feel free, of course, I am glad.", True) == 1.0
    assert politeness("", "please please PLEASE", True) == pytest.approx(1 / 3)
    assert mixture("", twenty, True) == pytest.approx(0.12)  # six parts of 0 and four of 0.3
    assert looks_finished("Yes.")
    assert not looks_finished("Yes, and")


def test_a_town_of_one_taste_is_a_town_of_a_function_anybody_wrote() -> None:
    assert town_of(EXACT, "here").worth("", "e", True) == 10.0
