"""How replies behave: every figure counted by hand."""

import pytest

from training.conduct import Spoken, conduct, copies, deflates, loops, variety
from training.judgements import Answer
from training.writing_system import answers_in_script, script_of

STOP = frozenset({2})


def spoken(tokens: tuple[int, ...], prompt: int = 0, question: str = "Why?", text: str = "Because.") -> Spoken:
    return Spoken(Answer((1,), tokens), question, text, prompt, len(tokens))


def test_conduct_counts_ends_empties_and_loops() -> None:
    found = conduct(
        [
            spoken((5, 6, 7, 2), 0),  # ended
            spoken((2,), 1),  # empty
            spoken((5, 6, 7, 8) * 4, 2),  # the same four tokens four times, not ended
            spoken((5, 6, 7, 8) * 3, 3, "Warum?", "我不知道"),
        ],
        STOP,
    )
    assert (found.length, found.finished, found.empty, found.looping) == ((4 + 1 + 16 + 12) / 4, 0.5, 0.25, 0.25)
    assert found.in_script == 0.75
    assert found.copies == 0.0  # 5 6 7, 5 6 7 8 and so on: none is 20 tokens long, and none is the same as a whole


def test_a_long_phrase_said_again_and_again_deflates_and_plain_speech_does_not() -> None:
    phrase = "The weather was fine on that day and everybody went to the lake with a basket. "
    assert not loops(list(range(30)) * 3)  # no four tokens occur four times
    assert deflates(phrase * 6)
    assert not deflates(phrase)
    assert not deflates("")


def test_variety_counts_different_neighbours_over_as_many_tokens_on_both_sides() -> None:
    assert variety([[1, 2, 3], [1, 2, 4]]) == 3 / 4  # 12 23 12 24
    assert variety([[1], []]) == 1.0
    replies = [Spoken(Answer((1,), (5, 6, 7, 8)), "", "", 0, 2), Spoken(Answer((1,), (5, 6, 9, 9)), "", "", 1, 2)]
    assert conduct(replies, STOP).variety == 0.5  # only 5 6 counts, twice


def test_copies_are_replies_that_open_like_one_to_another_prompt() -> None:
    opening = list(range(100, 120))
    bodies = [[*opening, 1], [*opening, 2, 3], [*opening[:19], 7], [7], [7], []]
    assert copies(bodies, ["a", "b", "c", "d", "d", "e"]) == pytest.approx(2 / 6)  # two samples of d may be alike
    assert copies([[], []], ["a", "b"]) == 0.0


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What is rain?", "LATIN"),
        ("雨是什么？", "CJK"),
        ("雨はなんですか", "CJK"),
        ("Что такое дождь?", "CYRILLIC"),
        ("What does 你好 mean in English?", "LATIN"),
        ("请解释 Python 的 list comprehension", "CJK"),
        ("12 + 30 = 42", None),
        ("", None),
    ],
)
def test_the_script_of_a_text(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_an_answer_without_letters_is_in_no_wrong_script() -> None:
    assert answers_in_script("多少？", "42")
    assert answers_in_script("?", "anything")
    assert not answers_in_script("雨是什么？", "Rain is water.")
