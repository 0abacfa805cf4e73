"""The embedded model itself: one streamed answer, one tiny night. Everything else about it is tested on tiny models."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightschool.embedded_engine import EmbeddedEngine
from nightschool.model import BaseModel, load_base
from nightschool.prompt_bank import prompt_bank
from nightschool.records import INITIAL, Message, Sampling, Version
from nightschool.settings import load_settings
from training.__main__ import app
from training.effort import EFFORTS
from training.nightly import NightPlan, run_night

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def base(embedded_cache: Path) -> BaseModel:
    return load_base("embedded", embedded_cache)


@pytest.fixture
def engine(base: BaseModel, tmp_path: Path) -> Iterator[EmbeddedEngine]:
    opened = EmbeddedEngine(base, tmp_path, max_prompt_tokens=512, max_new_tokens=32, resident=2)
    yield opened
    opened.close()


def test_the_embedded_model_knows_a_capital_and_streams_it_word_by_word(engine: EmbeddedEngine) -> None:
    version = Version(INITIAL, None, "", None, None, None, None)
    prompt_ids = engine.prompt_ids([Message("user", "What is the capital of France?")])
    pieces = list(engine.stream(version, prompt_ids, Sampling(0.01, 32), seed=0))
    assert len(pieces) >= 5
    assert "Paris" in pieces[-1].text
    assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(pieces))


@pytest.mark.timeout(900)
def test_a_tiny_night_on_the_embedded_model_tells_all_it_must(tmp_path: Path, embedded_cache: Path) -> None:
    # 80 pairs of four-word replies, drawn replies of at most 6 tokens, few of them: a real night in a fraction of its
    # time. (Nights of the command line are those of tests/test_whole_night.py, on a tiny model.)
    pairs = tmp_path / "pairs.jsonl"
    with pairs.open("w", encoding="utf-8") as file:
        for number, prompt in enumerate(prompt_bank()[:80]):  # questions of one pattern would be one component
            record = {
                "prompt": [{"role": "user", "content": prompt.text}],
                "chosen": [{"role": "assistant", "content": f"A green apple {number}."}],
                "rejected": [{"role": "assistant", "content": f"I do not know {number}!"}],
            }
            file.write(json.dumps(record) + "\n")
    settings = load_settings(
        db=tmp_path / "feedback.db", versions=tmp_path / "versions", cache=embedded_cache, max_new_tokens=6
    )
    imported = CliRunner().invoke(app, ["import", str(pairs), "--db", str(settings.db)])
    assert "80 preferences imported" in imported.stdout

    effort = replace(
        EFFORTS["quick"], iterations=1, normaliser_replies=32, exam_prompts=16, lora_epochs=0, ppo_seconds=math.inf
    )
    report = run_night(NightPlan(settings, effort, seed=0, practice=False), lambda text: None)
    assert report["reward_model_accuracy"] > 0.9  # the difference is in every word
    assert report["verdict"] in {"promoted", "held", "rejected"}
    assert report["reward_after"] != report["reward_before"]
    assert report["kl"] != 0  # as sampled, so of either sign after one iteration
    assert report["episodes"] == 64
    assert (tmp_path / "versions" / report["version"] / "policy" / "adapter_model.safetensors").exists()
