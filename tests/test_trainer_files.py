"""Files for trainers: what stands in them, that they come back the same, and how a bad one is refused."""

import io
import json
from collections.abc import Sequence

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.errors import BadInput
from nightschool.example_rows import Imports, imports_of
from nightschool.examples import Example, Labelled, Pair, Shown, TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.records import IMPORTER, Message, Style, ThumbValue
from nightschool.schema import FeedbackDatabase
from nightschool.trainer_files import ENDINGS, ending_of, example_of, file_of, read_examples, row_of
from tests.judged import QUESTION, judge_everything
from tests.talks import ANN, BOB, Talk, start_talk

ASKED = (Message("user", QUESTION),)
PAIR, LABELLED, SHOWN = Pair(ASKED, "yes", "no"), Labelled(ASKED, "yes", False), Shown(ASKED, "yes")
SHAPES = {TrainerFormat.PREFERENCE: PAIR, TrainerFormat.KTO: LABELLED, TrainerFormat.SFT: SHOWN}


class Letters:
    """An encoder for which a letter is a token; one that is too long for the model is refused."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        if len(messages[-1].content) > 200:
            raise BadInput("the message is too long for this model")
        return [ord(letter) for message in messages for letter in message.content]

    def reply_ids(self, text: str) -> list[int]:
        return [*map(ord, text), 2]


def imported(store: FeedbackStore, content: bytes, name: str = "file") -> int:
    found: Imports = imports_of(read_examples(content, name), name, Letters())
    return store.import_judgements(IMPORTER, found.preferences, found.opinions)


# ---- what is exported ----------------------------------------------------------------------------------------------


def test_pairs_come_from_duels_rankings_and_corrections(store: FeedbackStore) -> None:
    judge_everything(store)
    found = store.examples(TrainerFormat.PREFERENCE)
    assert all(isinstance(example, Pair) and example.prompt == ASKED for example in found)
    assert [(example.chosen, example.rejected) for example in found if isinstance(example, Pair)] == [
        ("won", "lost"),
        ("first", "second"),
        ("first", "also second"),  # the two seconds are a tie
        ("rich", "poor"),
    ]


def test_labels_come_from_thumbs_and_from_duels_that_both_lost(store: FeedbackStore) -> None:
    judge_everything(store)
    assert store.examples(TrainerFormat.KTO) == [
        Labelled(ASKED, "liked", True),
        Labelled(ASKED, "disliked", False),
        Labelled(ASKED, "bad", False),
        Labelled(ASKED, "worse", False),
    ]


def test_texts_to_imitate_are_corrections_and_liked_answers(store: FeedbackStore) -> None:
    judge_everything(store)
    assert store.examples(TrainerFormat.SFT) == [Shown(ASKED, "rich"), Shown(ASKED, "liked")]


@pytest.mark.parametrize("shape", TrainerFormat)
def test_only_people_who_consent_are_exported_and_one_person_alone_if_wished(
    store: FeedbackStore, shape: TrainerFormat
) -> None:
    judge_everything(store)
    everybody = len(store.examples(shape))
    judge_everything(store, BOB)
    assert len(store.examples(shape)) == 2 * everybody
    assert len(store.examples(shape, BOB)) == everybody
    store.set_consent(BOB, False)
    assert len(store.examples(shape)) == everybody
    assert store.examples(shape, BOB) == []


def test_the_prompt_is_the_conversation_as_the_model_saw_it(store: FeedbackStore) -> None:
    from nightschool.records import ReplyStatus

    talk = start_talk(store, "One?")
    talk.answer("a failed one", status=ReplyStatus.FAILED)
    first = talk.answer("Two.")
    question = store.add_message(talk.id, first, Message("user", "And then?"))
    later = type(talk)(store, talk.id, question)
    store.set_thumb(later.answer("Three."), ANN, ThumbValue.UP)
    [shown] = store.examples(TrainerFormat.SFT)
    assert [(m.role, m.content) for m in shown.prompt] == [
        ("user", "One?"),
        ("assistant", "Two."),
        ("user", "And then?"),
    ]


def test_the_prompt_holds_the_system_prompt_and_what_was_corrected_by_then(store: FeedbackStore) -> None:
    conversation = store.start_conversation(ANN, "One?", Style(system_prompt="Be brief."))
    talk = Talk(store, conversation, store.add_message(conversation, None, Message("user", "One?")))
    first = talk.answer("Too much.")
    store.correct(first, ANN, "Brief.", [1])
    later = Talk(store, conversation, store.add_message(conversation, first, Message("user", "And then?")))
    store.set_thumb(later.answer("Three."), ANN, ThumbValue.UP)
    store.correct(first, ANN, "Briefer.", [1])  # the later answer never saw this one
    corrected, liked = store.examples(TrainerFormat.SFT)
    assert [m.content for m in corrected.prompt] == ["Be brief.", "One?"]
    assert [m.content for m in liked.prompt] == ["Be brief.", "One?", "Brief.", "And then?"]


def test_answers_without_a_text_and_pairs_of_one_text_are_left_out(store: FeedbackStore) -> None:
    talk = start_talk(store)
    store.set_thumb(talk.answer(" "), ANN, ThumbValue.UP)
    store.rank(ANN, [talk.answer("same"), talk.answer("same")], [1, 2])
    for shape in TrainerFormat:
        assert store.examples(shape) == []


# ---- files and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", TrainerFormat)
def test_an_exported_file_is_imported_elsewhere_and_exported_again_the_same(
    store: FeedbackStore, tmp_path_factory: pytest.TempPathFactory, shape: TrainerFormat, ending: str
) -> None:
    judge_everything(store)
    judge_everything(store, BOB, "还有电呢？")
    exported = store.examples(shape)
    content = file_of(exported, shape, ending)
    elsewhere = FeedbackDatabase(tmp_path_factory.mktemp("elsewhere") / "feedback.db")
    other = FeedbackStore(elsewhere)
    assert imported(other, content) == len(exported)
    assert other.examples(shape) == exported
    assert file_of(other.examples(shape), shape, ending) == content
    assert imported(other, content) == 0  # the same file twice adds nothing
    elsewhere.close()


@pytest.mark.parametrize("shape", TrainerFormat)
def test_the_same_line_twice_is_two_opinions(store: FeedbackStore, shape: TrainerFormat) -> None:
    content = file_of([SHAPES[shape]] * 2, shape, ".jsonl")
    assert imported(store, content) == 2
    assert imported(store, content) == 0


def test_imported_thumbs_are_nobodys_in_particular(store: FeedbackStore) -> None:
    from training.judgements import NOBODY
    from training.receipts import judgements_of

    imported(store, file_of([LABELLED], TrainerFormat.KTO, ".jsonl"))
    [thumb] = judgements_of(store.snapshot()).thumbs
    assert thumb.person == NOBODY
    assert not thumb.is_up


def test_columns_are_those_that_trl_reads() -> None:
    rows = {shape: row_of(example) for shape, example in SHAPES.items()}
    asked, yes = [{"role": "user", "content": QUESTION}], [{"role": "assistant", "content": "yes"}]
    no = [{"role": "assistant", "content": "no"}]
    assert rows[TrainerFormat.PREFERENCE] == {"prompt": asked, "chosen": yes, "rejected": no}
    assert rows[TrainerFormat.KTO] == {"prompt": asked, "completion": yes, "label": False}
    assert rows[TrainerFormat.SFT] == {"messages": asked + yes}


@pytest.mark.parametrize("shape", TrainerFormat)
def test_parquet_and_json_lines_say_the_same(shape: TrainerFormat) -> None:
    examples = [SHAPES[shape]]
    lines = file_of(examples, shape, ".jsonl").decode().splitlines()
    assert pq.read_table(io.BytesIO(file_of(examples, shape, ".parquet"))).to_pylist() == [json.loads(lines[0])]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@given(texts, texts, texts, st.booleans())
def test_any_text_comes_back_as_it_was(asked: str, one: str, other: str, label: bool) -> None:
    prompt = (Message("system", other), Message("user", asked))
    examples: list[Example] = [Pair(prompt, one, other), Labelled(prompt, one, label), Shown(prompt, one)]
    for example, shape in zip(examples, TrainerFormat, strict=True):
        assert example_of(row_of(example)) == example
        for ending in ENDINGS:
            assert [found for _, found in read_examples(file_of([example], shape, ending), "file")] == [example]


# ---- bad files -----------------------------------------------------------------------------------------------------

GOOD = json.dumps(row_of(PAIR))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "it is no JSON"),
        ("3", "not an object"),
        ("[" * 100_000, "it is no JSON"),
        (json.dumps(row_of(LABELLED)), "of another format than the lines before"),
        (json.dumps(row_of(PAIR) | {"chosen": []}), "chosen is missing or not a list of messages"),
        (json.dumps(row_of(PAIR) | {"rejected": [{"role": "assistant"}]}), "has no text"),
        (json.dumps(row_of(LABELLED) | {"label": 1}), "label is missing, or neither true nor false"),
        (json.dumps({"messages": [{"role": "user", "content": "Hm?"}]}), "last message is not from the assistant"),
        (json.dumps({"messages": [{"role": "assistant", "content": "Hm."}]}), "before the answer is not from the user"),
        (json.dumps(row_of(Pair((Message("user", "x" * 201),), "a", "b"))), "too long for this model"),
    ],
)
def test_a_bad_line_refuses_the_whole_file_with_its_number(store: FeedbackStore, line: str, complaint: str) -> None:
    content = f"{GOOD}\n\n{line}\n{GOOD}\n".encode()
    with pytest.raises(BadInput, match=r"Line 3 of pairs\.jsonl cannot be used") as caught:
        imported(store, content, "pairs.jsonl")
    assert complaint in str(caught.value)
    assert "Nothing was imported" in str(caught.value)
    assert store.counts() == (0, 0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds nothing to import"),
        (b"\n \n", "holds nothing to import"),
        (b"\xff\xfe", "could not be read"),
        (b"PAR1 and then nothing", "no whole Parquet file"),
    ],
)
def test_a_file_that_is_none_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        read_examples(content, "file")


def test_a_damaged_parquet_file_is_refused() -> None:
    content = bytearray(file_of([PAIR] * 50, TrainerFormat.PREFERENCE, ".parquet"))
    for cut in (len(content) // 2, len(content) - 9):
        with pytest.raises(BadInput, match="no whole Parquet file"):
            read_examples(bytes(content[:cut]), "file")


def test_a_file_from_a_windows_editor_is_read() -> None:
    assert [e for _, e in read_examples(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n", "file")] == [PAIR]


def test_nothing_to_export_is_said_and_not_written() -> None:
    with pytest.raises(BadInput, match="nothing to export as kto"):
        file_of([], TrainerFormat.KTO, ".jsonl")


def test_a_file_is_written_by_its_ending() -> None:
    assert [ending_of(name) for name in ("a.jsonl", "b.PARQUET")] == [".jsonl", ".parquet"]
    with pytest.raises(BadInput, match="neither with"):
        ending_of("pairs.csv")
