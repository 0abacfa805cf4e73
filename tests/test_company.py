"""Replies in one another's company: both sides of a duel, whoever breaks, ends or leaves."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from nightschool.embedded_engine import EmbeddedEngine
from nightschool.engine import Piece
from nightschool.errors import DamagedVersion
from nightschool.llama_in_step import LlamaInStep
from nightschool.model import BaseModel
from nightschool.records import Sampling, Version
from tests.test_embedded_engine import INITIAL_VERSION, PROMPT, SAMPLING, endless, engine_of, versions_of


@pytest.fixture
def versions(tiny_base: BaseModel, tmp_path: Path) -> list[Version]:
    return [INITIAL_VERSION, *versions_of(tiny_base, tmp_path, "v1", "v2")]


@pytest.fixture
def engine(tiny_base: BaseModel, tmp_path: Path) -> Iterator[EmbeddedEngine]:
    with closing(engine_of(endless(tiny_base), tmp_path)) as opened:
        yield opened


def last(engine: EmbeddedEngine, version: Version, seed: int) -> Piece:
    return list(engine.stream(version, PROMPT, SAMPLING, seed))[-1]


def test_replies_in_step_are_those_that_each_version_gives_alone(
    engine: EmbeddedEngine, versions: list[Version]
) -> None:
    company = [versions[1], versions[0], versions[2], versions[1]]
    expected = [last(engine, version, seed) for seed, version in enumerate(company)]
    streams = engine.stream_in_step(company, PROMPT, SAMPLING, range(4))
    in_turns = list(zip_longest(*streams))
    assert list(in_turns[-1]) == expected
    assert len({piece.text for piece in expected}) == 4
    one_after_the_other = [list(stream) for stream in engine.stream_in_step(company, PROMPT, SAMPLING, range(4))]
    assert [pieces[-1] for pieces in one_after_the_other] == expected


def test_a_step_of_all_is_one_step_of_the_model(
    engine: EmbeddedEngine, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    step = LlamaInStep.step
    monkeypatch.setattr(LlamaInStep, "step", lambda self, tokens: (rows.append(len(tokens)), step(self, tokens))[1])
    streams = engine.stream_in_step([versions[0]] * 3, PROMPT, SAMPLING, range(3))
    for _ in range(4):
        for stream in streams:
            next(stream)
    assert rows == [3] * 3  # the first tokens come from reading the prompt


def test_a_version_that_cannot_be_loaded_fails_alone(
    engine: EmbeddedEngine, versions: list[Version], tmp_path: Path
) -> None:
    (tmp_path / "v1" / "policy" / "adapter_model.safetensors").write_bytes(b"?")
    broken, sound = engine.stream_in_step([versions[1], versions[0]], PROMPT, SAMPLING, [0, 1])
    with pytest.raises(DamagedVersion, match="v1"):
        next(broken)
    assert list(sound)[-1] == last(engine, INITIAL_VERSION, 1)
    alone = engine.stream_in_step([versions[1], versions[1]], PROMPT, SAMPLING, [0, 1])
    for stream in alone:
        with pytest.raises(DamagedVersion, match="v1"):
            next(stream)


def test_a_step_that_breaks_is_told_to_everybody_after_what_was_drawn(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = engine.stream_in_step([INITIAL_VERSION] * 2, PROMPT, SAMPLING, [0, 1])
    next(left)
    next(left)

    def broken(*given: object) -> object:
        raise RuntimeError("no more numbers")

    monkeypatch.setattr("nightschool.sampling._draw", broken)
    assert [len(next(right).token_ids) for _ in range(2)] == [1, 2]  # these were drawn with the left ones
    for stream in (right, left):
        with pytest.raises(RuntimeError, match="no more numbers"):
            next(stream)


def test_one_that_is_closed_is_not_drawn_any_more_and_the_other_goes_on(
    engine: EmbeddedEngine, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightschool import sampling

    expected = last(engine, versions[0], 1)
    rows: list[int] = []
    draw = sampling._draw
    monkeypatch.setattr(sampling, "_draw", lambda *given: (rows.append(1), draw(*given))[1])
    left, right = engine.stream_in_step([versions[1], versions[0]], PROMPT, SAMPLING, [0, 1])
    for _ in range(3):
        left_piece, _ = next(left), next(right)
    left.close()
    assert list(right)[-1] == expected
    assert len(rows) == SAMPLING.max_new_tokens + len(left_piece.token_ids)


def test_one_that_is_closed_before_it_was_read_is_not_drawn(
    engine: EmbeddedEngine, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    left, right = engine.stream_in_step([versions[1], versions[0]], PROMPT, SAMPLING, [0, 1])
    left.close()  # type: ignore[attr-defined]
    rows = LlamaInStep.step
    monkeypatch.setattr(LlamaInStep, "step", lambda self, tokens: (read.append(len(tokens)), rows(self, tokens))[1])
    assert list(right)[-1] == last(engine, versions[0], 1)
    assert read == []
    assert list(left) == []


def test_where_nothing_could_be_shared_each_reply_has_turns_of_its_own(
    engine: EmbeddedEngine, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [last(engine, version, seed) for seed, version in enumerate(versions[:2])]
    for module in ("sampling", "embedded_engine"):
        monkeypatch.setattr(f"nightschool.{module}.supports", lambda model: False)
    left, right = engine.stream_in_step(versions[:2], PROMPT, SAMPLING, [0, 1])
    assert list(left)[-1] == expected[0]  # to its end, while the other has not begun
    assert list(right)[-1] == expected[1]


def test_what_is_drawn_when_the_engine_closes_ends_with_an_error_for_everybody(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    engine = engine_of(endless(tiny_base), tmp_path)
    streams = engine.stream_in_step([INITIAL_VERSION] * 2, PROMPT, SAMPLING, [0, 1])
    for stream in streams:
        next(stream)
    engine.close()
    for stream in streams:
        with pytest.raises(RuntimeError, match="shutdown"):
            next(stream)
        assert list(stream) == []


def test_one_ends_its_turn_and_the_other_goes_on(tiny_base: BaseModel, tmp_path: Path) -> None:
    with closing(engine_of(endless(tiny_base), tmp_path)) as engine:
        whole = [last(engine, INITIAL_VERSION, seed).token_ids for seed in range(2)]
    stop = next(token for token in whole[0][3:10] if token not in whole[1])
    with closing(engine_of(replace(tiny_base, stop_ids=frozenset({stop})), tmp_path)) as engine:
        streams = engine.stream_in_step([INITIAL_VERSION] * 2, PROMPT, Sampling(1.0, 40), [0, 1])
        pieces = [list(stream)[-1] for stream in streams]
    assert [piece.ended for piece in pieces] == [True, True]
    assert pieces[0].token_ids == whole[0][: whole[0].index(stop) + 1]
    assert pieces[1].token_ids == whole[1]
