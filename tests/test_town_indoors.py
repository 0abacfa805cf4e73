"""The chat of a town without its server: what is drawn, for whom, and in which order."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from benchmarks.town.indoors import Guest, StockedEngine, indoors
from benchmarks.town.machinery import Place
from benchmarks.town.visiting import Answer, Duel
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel, load_base
from nightschool.prompt_bank import bank_half
from nightschool.records import INITIAL, Message, Sampling, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings, load_settings
from nightschool.version_folder import load_policy
from tests.tiny import make_tiny_model
from tests.tiny_version import add_tiny_version
from training.trunk import SplitModel

SAMPLING = Sampling(1.0, 6)
QUESTIONS = [prompt.text for prompt in bank_half("train")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny", layers=2)


@pytest.fixture(scope="module")
def base(model: Path) -> BaseModel:
    return load_base(str(model), model)


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Place:
    settings: Settings = load_settings(model=str(model), max_new_tokens=6)
    return Place(tmp_path, settings, seed=5)


@pytest.fixture
def database(place: Place) -> Iterator[FeedbackDatabase]:
    with closing(FeedbackDatabase(place.database)) as database:
        yield database


def asked(engine: StockedEngine, version: Version, question: str) -> tuple[int, ...]:
    prompt_ids = engine.prompt_ids([Message("user", question)])
    [piece] = engine.stream(version, prompt_ids, SAMPLING, seed=0)
    assert piece.ended
    return piece.token_ids


def test_the_order_of_the_questions_and_the_seed_decide_what_is_said(
    base: BaseModel, place: Place, database: FeedbackDatabase
) -> None:
    initial = VersionRegistry(database).champion()
    questions = random.Random(1).choices(QUESTIONS, k=90)

    def said(seed: int) -> list[tuple[int, ...]]:
        engine = StockedEngine(SplitModel(base, 1), place.versions, seed)
        return [asked(engine, initial, question) for question in questions]

    assert said(1) == said(1)
    assert said(1) != said(2)


def test_a_reply_is_taken_when_it_is_asked_for_whoever_reads_first(
    base: BaseModel, place: Place, database: FeedbackDatabase
) -> None:
    initial = VersionRegistry(database).champion()

    def said(reading: list[int]) -> dict[int, tuple[int, ...]]:
        engine = StockedEngine(SplitModel(base, 1), place.versions, 1)
        prompt_ids = engine.prompt_ids([Message("user", QUESTIONS[0])])
        streams = [engine.stream(initial, prompt_ids, SAMPLING, seed=0) for _ in range(4)]
        return {number: next(streams[number]).token_ids for number in reading}

    assert said([0, 1, 2, 3]) == said([3, 1, 0, 2])
    assert len(set(said([0, 1, 2, 3]).values())) > 1


def test_replies_are_drawn_from_the_version_that_is_asked(
    base: BaseModel, model: Path, place: Place, database: FeedbackDatabase
) -> None:
    """First words of eight replies to each of 64 questions, against the version's own probabilities."""
    add_tiny_version(database, place.versions, model, "v1")
    engine = StockedEngine(SplitModel(base, 1), place.versions, 1)
    expected = {}
    for name in (INITIAL, "v1"):
        version = VersionRegistry(database).get(name)
        policy = load_policy(place.versions, version, base)
        encoded = [engine.prompt_ids([Message("user", question)]) for question in QUESTIONS[:64]]
        with torch.no_grad():
            chances = torch.stack([policy(torch.tensor([ids])).logits[0, -1].double().softmax(-1) for ids in encoded])
        drawn = [asked(engine, version, question)[0] for _ in range(8) for question in QUESTIONS[:64]]
        expected[name] = 8 * chances.sum(0)
        for token in expected[name].topk(8).indices.tolist():
            error = float((8 * chances[:, token] * (1 - chances[:, token])).sum() ** 0.5)
            assert drawn.count(token) == pytest.approx(float(expected[name][token]), abs=4 * error)
    assert float((expected[INITIAL] - expected["v1"]).abs().sum()) > 50  # the two can be told apart


def test_what_a_guest_does_is_in_the_store_under_their_name(
    base: BaseModel, place: Place, database: FeedbackDatabase
) -> None:
    with indoors(place, SplitModel(base, 1)) as come_in:
        guest = come_in()
        answer, duel = guest.ask(QUESTIONS[0]), guest.ask(QUESTIONS[1], compare=True)
        assert isinstance(answer, Answer)
        assert isinstance(duel, Duel)
        guest.thumb(answer.reply, "down")
        guest.correct(answer.reply, "Better words.")
        guest.vote(duel.duel, "left")
        one = guest.next_round()
        guest.rank(one.ranking, [[name] for name in reversed(one.answers)])
        two = guest.next_round()
        guest.skip(two.ranking)
        guest.close()
        other = come_in()
        assert other.person_id != guest.person_id
        assert isinstance(other, Guest)
    store = FeedbackStore(database)
    snapshot = store.snapshot()
    assert [(str(thumb.value), thumb.person_id) for thumb in snapshot.thumbs] == [("down", guest.person_id)]
    assert [correction.text for correction in snapshot.corrections] == ["Better words."]
    assert [str(duel.outcome) for duel in snapshot.duels] == ["left"]
    [ranking] = snapshot.rankings
    assert ranking.person_id == guest.person_id
    texts = [str(base.tokenizer.decode(list(reply.token_ids), skip_special_tokens=True)) for reply in ranking.replies]
    assert sorted(texts) == sorted(one.answers.values())
    assert texts[list(ranking.ranks).index(1)] == one.answers[list(one.answers)[-1]]
