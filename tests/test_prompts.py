"""What is practised is never examined, whatever people asked."""

from dataclasses import replace
from pathlib import Path

import pytest

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import prompt_bank
from nightschool.records import Message
from tests.training_fixtures import tiny_base
from training.judgements import Answer, Judgements, ThumbJudgement
from training.prompts import components_of, exam_prompts, practice_prompts
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


def test_without_judgements_the_banks_halves_are_practised_and_examined(base: BaseModel) -> None:
    nothing = Judgements((), ())
    assert len(practice_prompts(base, nothing)) == 128
    assert len(exam_prompts(base, nothing, 64)) == 64
    assert len(exam_prompts(base, nothing, 128)) == 128


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
