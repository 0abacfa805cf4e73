"""What is practised is never examined, whatever people asked."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half, prompt_bank
from nightschool.records import Message
from tests.test_prompt_bank import LIKENESS, likeness
from tests.training_fixtures import tiny_base
from training.judgements import Answer, Judgements, ThumbJudgement
from training.prompts import (
    FIXED,
    Prompt,
    components_of,
    exam_prompts,
    exam_reserve,
    practice_prompts,
    spread,
    stretch,
)
from training.split import Side, split_of


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    return tiny_base(tmp_path, layers=2)


def _judged(base: BaseModel, texts: list[str]) -> Judgements:
    split = split_of({text: text for text in texts}, {})
    return Judgements(
        (),
        tuple(
            ThumbJudgement(
                Answer(tuple(encode_prompt(base.tokenizer, [Message("user", text)])), (5, 2)),
                True,
                0.5,
                split.component_of_conversation[text],
                split.side_of_conversation[text],
                ("thumb", text),
            )
            for text in texts
        ),
    )


def test_no_prompt_is_practised_and_examined_even_when_people_ask_the_banks_own(base: BaseModel) -> None:
    # Each prompt of the bank judged: its half in the file and its side by hash often differ.
    judgements = _judged(base, [prompt.text for prompt in prompt_bank()])
    practice, exam = set(practice_prompts(base, judgements)), set(exam_prompts(base, judgements, 128))
    assert practice
    assert len(exam) >= 50
    assert not practice & exam
    trained_on = {answer.prompt_ids for answer in judgements.on(Side.TRAIN, Side.VALIDATION).answers()}
    assert not trained_on & exam
    examiners = {answer.prompt_ids for answer in judgements.on(Side.VALIDATION, Side.EXAM).answers()}
    assert examiners & {tuple(prompt) for prompt in practice_prompts(base, Judgements((), ()))}
    assert not examiners & practice


def test_without_judgements_the_banks_halves_are_practised_and_examined(base: BaseModel) -> None:
    nothing = Judgements((), ())
    assert len(practice_prompts(base, nothing)) == 128
    assert len(exam_prompts(base, nothing, 64)) == 64
    for turn in range(3):
        assert len(set(exam_prompts(base, nothing, 128, turn))) == 128


def test_a_conversation_of_a_persons_own_is_practised_or_examined_by_its_side(base: BaseModel) -> None:
    things = "apple river engine violin castle mirror thunder pepper blanket compass lantern orchard button glacier"
    texts = [f"my own question about a {thing}" for thing in things.split()]
    judgements = _judged(base, texts)
    assert {thumb.side for thumb in judgements.thumbs} == set(Side)
    practice, exam = practice_prompts(base, judgements), exam_prompts(base, judgements, 128)
    for text in texts:
        prompt = tuple(encode_prompt(base.tokenizer, [Message("user", text)]))
        [side] = [thumb.side for thumb in judgements.thumbs if thumb.source == ("thumb", text)]
        assert (prompt in practice) == (side is Side.TRAIN)
        assert (prompt in exam) == (side is Side.EXAM)


def test_an_exam_asks_as_many_prompts_when_people_asked_some_of_the_banks_exam_half(base: BaseModel) -> None:
    asked = [prompt.text for prompt in prompt_bank() if prompt.half == "exam"][:40]
    judgements = _judged(base, asked)
    exam = exam_prompts(base, judgements, 64)
    assert len(exam) == len(set(exam)) == 64


def test_judged_prompts_belong_to_their_conversations_component_and_others_to_their_own(base: BaseModel) -> None:
    twins = [f"Please tell me how a very large old steam engine works{end}" for end in ("", "!", "?!")]
    judgements = _judged(base, twins)
    side = judgements.thumbs[0].side
    assert {thumb.side for thumb in judgements.thumbs} == {side}
    moved = Judgements((), tuple(replace(thumb, side=Side.EXAM) for thumb in judgements.thumbs))
    exam = exam_prompts(base, moved, 20)
    components = components_of(exam, moved)
    assert components[:3] == [judgements.thumbs[0].component] * 3
    assert len(set(components)) == 18


def _encoded(base: BaseModel, texts: Iterable[str]) -> set[Prompt]:
    return {tuple(encode_prompt(base.tokenizer, [Message("user", text)])) for text in texts}


def test_exams_rotate_so_that_every_prompt_rests_as_often_and_ten_are_always_asked(base: BaseModel) -> None:
    nothing = Judgements((), ())
    exams = [exam_prompts(base, nothing, 128, turn) for turn in range(4)]
    fixed = exams[0][-FIXED:]
    assert all(exam[-FIXED:] == fixed for exam in exams)
    # 128 + 64 prompts less the 10 stand in the ring, 118 are asked: in 4 exams each one 4 x 118 / 182 = 2.6 times.
    asked = Counter(prompt for exam in exams for prompt in exam[:-FIXED])
    assert len(asked) == 128 + 64 - FIXED
    assert set(asked.values()) == {2, 3}
    texts = _encoded(base, [*exam_reserve(), *(prompt.text for prompt in bank_half("exam"))])
    assert set(asked) | set(fixed) == texts
    assert exams[2] == exam_prompts(base, nothing, 128, 2)  # the same night asks the same
    assert set(exams[2]) != set(exams[3])


def test_the_ten_that_are_always_asked_are_of_every_slice(base: BaseModel) -> None:
    slices = {tuple(_encoded(base, [prompt.text])): prompt.slice for prompt in bank_half("exam")}
    fixed = exam_prompts(base, Judgements((), ()), 64)[-FIXED:]
    found = Counter(slices[(prompt,)] for prompt in fixed)
    assert set(found) == {"everyday", "story", "information", "code"}
    assert max(found.values()) <= 3


def test_a_fixed_prompt_that_was_trained_on_goes_and_the_nine_others_stay(base: BaseModel) -> None:
    fixed = exam_prompts(base, Judgements((), ()), 64)[-FIXED:]
    judgements = _judged(base, ["one question"])
    [thumb] = judgements.thumbs
    learned = replace(thumb, answer=Answer(fixed[4], (5, 2)), side=Side.TRAIN)
    for turn in range(3):
        exam = exam_prompts(base, Judgements((), (learned,)), 64, turn)
        assert fixed[4] not in exam
        assert set(fixed) - {fixed[4]} < set(exam[-FIXED:])
        assert len(set(exam)) == 64


def test_whatever_rotates_nothing_that_was_trained_on_is_asked_and_128_are(base: BaseModel) -> None:
    people = [f"{prompt.text} And why is that so for {place} people?" for place, prompt in enumerate(prompt_bank())]
    judgements = _judged(base, [prompt.text for prompt in prompt_bank()][::3] + people[:60] + list(exam_reserve()[:10]))
    trained_on = {answer.prompt_ids for answer in judgements.on(Side.TRAIN, Side.VALIDATION).answers()}
    practised = set(practice_prompts(base, judgements))
    assert not practised & _encoded(base, exam_reserve())
    of_people = {answer.prompt_ids for answer in judgements.on(Side.EXAM).answers()}
    asked = Counter[Prompt]()
    for turn in range(6):
        exam = exam_prompts(base, judgements, 128, turn)
        assert len(set(exam)) == 128
        assert not set(exam) & (trained_on | practised)
        asked.update(exam)
    assert of_people <= set(asked)  # sooner or later everything that people asked on the exam side


def test_where_the_bank_is_short_more_judged_prompts_are_asked(base: BaseModel) -> None:
    # The whole bank and the reserve were asked: what lies on the training side is gone, the rest counts as judged.
    judgements = _judged(base, [*(prompt.text for prompt in prompt_bank()), *exam_reserve()])
    exam = exam_prompts(base, judgements, 128)
    assert len(set(exam)) == len(judgements.on(Side.EXAM).answers()) > 64


def test_a_ring_turns_by_as_many_as_are_asked() -> None:
    ring = [(number,) for number in range(7)]
    turns = [stretch(ring, 3, turn) for turn in range(7)]
    assert Counter(prompt for turn in turns for prompt in turn) == dict.fromkeys(ring, 3)
    assert all(len(set(turn)) == 3 for turn in turns)
    assert not set(turns[0]) & set(turns[1])
    assert set(stretch(ring, 9, 4)) == set(ring)
    assert stretch([], 3, 1) == stretch(ring, 0, 1) == []


def test_an_order_that_spreads_has_its_first_ten_evenly_over_all() -> None:
    # 40 prompts: a step of 4, so 0, 4, 8, ... 36 come first, then 1, 5, ...
    ordered = spread([(number,) for number in range(40)])
    assert [number for (number,) in ordered[:12]] == [*range(0, 40, 4), 1, 5]
    assert sorted(ordered) == [(number,) for number in range(40)]


def test_no_prompt_of_the_reserve_is_nearly_one_of_the_bank() -> None:
    assert len(set(exam_reserve())) == len(exam_reserve()) == 64
    for text in exam_reserve():
        closest = max(prompt_bank(), key=lambda prompt: likeness(text, prompt.text))
        assert likeness(text, closest.text) < LIKENESS, (text, closest.text)
