"""Exported files are loaded by `datasets` and trained on by TRL, for one step on the tiny model."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.trainer_files import file_of
from tests.judged import judge_everything
from tests.tiny import make_tiny_model

ENDINGS = ("jsonl", "parquet")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(make_tiny_model(tmp_path / "model", layers=1))


def loaded(store: FeedbackStore, tmp_path: Path, shape: TrainerFormat, ending: str) -> Dataset:
    for person in ("ann", "bob"):
        judge_everything(store, person)
    path = tmp_path / f"file.{ending}"
    path.write_bytes(file_of(store.examples(shape), shape, f".{ending}"))
    kind = {"jsonl": "json"}.get(ending, ending)
    return load_dataset(kind, data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train")


def one_step(tmp_path: Path) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_preference_file_trains_a_step_in_trls_reward_trainer(
    store: FeedbackStore, tmp_path: Path, folder: str, ending: str
) -> None:
    dataset = loaded(store, tmp_path, TrainerFormat.PREFERENCE, ending)
    assert len(dataset) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL's own imports
        from trl import RewardConfig, RewardTrainer

        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(**one_step(tmp_path)),
            train_dataset=dataset,
            processing_class=AutoTokenizer.from_pretrained(folder),
        )
        before = model.score.weight.detach().clone()
        result = trainer.train()
    assert math.isfinite(result.training_loss)
    assert not torch.equal(before, model.score.weight)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_kto_file_trains_a_step_in_trls_kto_trainer(
    store: FeedbackStore, tmp_path: Path, folder: str, ending: str
) -> None:
    dataset = loaded(store, tmp_path, TrainerFormat.KTO, ending)
    assert sorted(dataset["label"]) == [False] * 6 + [True] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl import KTOConfig, KTOTrainer

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        trainer = KTOTrainer(
            model=model,
            args=KTOConfig(**one_step(tmp_path)),
            train_dataset=dataset,
            processing_class=AutoTokenizer.from_pretrained(folder),
        )
        before = model.lm_head.weight.detach().clone()
        result = trainer.train()
    assert math.isfinite(result.training_loss)
    assert not torch.equal(before, model.lm_head.weight)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_sft_file_trains_a_step_in_trls_sft_trainer(
    store: FeedbackStore, tmp_path: Path, folder: str, ending: str
) -> None:
    dataset = loaded(store, tmp_path, TrainerFormat.SFT, ending)
    assert [row[-1]["content"] for row in dataset["messages"]] == ["rich", "rich", "liked", "liked"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl import SFTConfig, SFTTrainer

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**one_step(tmp_path)),
            train_dataset=dataset,
            processing_class=AutoTokenizer.from_pretrained(folder),
        )
        before = model.lm_head.weight.detach().clone()
        result = trainer.train()
    assert math.isfinite(result.training_loss)
    assert not torch.equal(before, model.lm_head.weight)
