"""Preference files: taken whole or refused whole, with the line and what is wrong."""

import json
from pathlib import Path

import pytest

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel
from nightschool.records import DuelOutcome
from tests.training_fixtures import tiny_base
from training.preferences import read_preferences


def _line(chosen: str = "Yes.", rejected: str = "No.", question: str = "Is it so?", **more: object) -> str:
    def message(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    record = {
        "prompt": message("user", question),
        "chosen": message("assistant", chosen),
        "rejected": message("assistant", rejected),
    }
    return json.dumps(record | more)


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    return tiny_base(tmp_path, layers=2)


def _write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_each_line_is_a_pair_whose_replies_end_their_turn(tmp_path: Path, base: BaseModel) -> None:
    [found] = read_preferences(_write(tmp_path, _line()), base, 512)
    sides = {found.left[0]: found.left[1], found.right[0]: found.right[1]}
    assert set(sides) == {"Yes.", "No."}
    assert all(ids[-1] == base.tokenizer.eos_token_id for ids in sides.values())
    chosen = found.left if found.outcome is DuelOutcome.LEFT else found.right
    assert chosen[0] == "Yes."


def test_the_side_of_the_chosen_reply_tells_nothing(tmp_path: Path, base: BaseModel) -> None:
    found = read_preferences(_write(tmp_path, *[_line(question=f"Is it {n}?") for n in range(200)]), base, 512)
    left = sum(preference.outcome is DuelOutcome.LEFT for preference in found)
    assert 60 < left < 140  # 100 expected, standard error 7


def test_a_conversation_of_several_turns_with_a_system_message_is_kept_whole(tmp_path: Path, base: BaseModel) -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "And now?"},
    ]
    [found] = read_preferences(_write(tmp_path, _line(prompt=turns)), base, 512)
    assert [message.role for message in found.prompt] == ["system", "user", "assistant", "user"]


def test_the_same_file_twice_adds_nothing_and_the_same_line_twice_is_two_opinions(
    tmp_path: Path, base: BaseModel, store: FeedbackStore
) -> None:
    found = read_preferences(_write(tmp_path, _line(), _line(), _line("Maybe.")), base, 512)
    assert store.import_preferences("importer", found) == 3
    again = read_preferences(_write(tmp_path, _line(), _line(), _line("Maybe.")), base, 512)
    assert store.import_preferences("importer", again) == 0
    assert len(store.snapshot().duels) == 3


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "Line 2"),
        ("[1]", "not an object"),
        (_line(prompt=[]), "prompt is missing or not a list"),
        (_line(prompt="Hi"), "prompt is missing or not a list"),
        (_line(chosen="  "), "chosen has no text"),
        (_line(prompt=[{"role": "assistant", "content": "Hi"}]), "not from the user"),
        (_line(prompt=[{"role": "robot", "content": "Hi"}]), "no role"),
        (_line(rejected=None), "rejected"),  # type: ignore[arg-type]
        (json.dumps({"prompt": [{"role": "user", "content": "Hi"}]}), "chosen is missing"),
        (_line(chosen="a\0b"), "NUL"),
        (_line(chosen="a\ud800b"), "surrogate"),
    ],
)
def test_a_bad_line_refuses_the_whole_file_and_names_the_line(
    tmp_path: Path, base: BaseModel, line: str, complaint: str
) -> None:
    path = _write(tmp_path, _line(), line, _line("Maybe."))
    with pytest.raises(BadInput, match="Line 2") as caught:
        read_preferences(path, base, 512)
    assert complaint in str(caught.value)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path, base: BaseModel) -> None:
    with pytest.raises(BadInput, match="holds nothing to import"):
        read_preferences(_write(tmp_path), base, 512)
    with pytest.raises(BadInput, match="could not be read"):
        read_preferences(tmp_path / "nowhere.jsonl", base, 512)
