"""Our pair loss against TRL's RewardTrainer itself: one evaluation of a tiny model on the same preferences."""

import warnings
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.tiny import make_tiny_model
from training.losses import LEFT, pair_losses


def test_without_ties_our_loss_is_the_one_trls_trainer_reports(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL's own imports
        from trl import RewardConfig, RewardTrainer

        folder = str(make_tiny_model(tmp_path / "model", layers=2))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
        model.config.pad_token_id = 0
        texts = [
            {"prompt": f"Tell me of {word}.", "chosen": f" {word} is {word}.", "rejected": f" No {number}!"}
            for number, word in enumerate(("rain", "snow", "sun", "wind"))
        ]
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                output_dir=str(tmp_path / "out"),
                per_device_eval_batch_size=4,
                report_to="none",
                use_cpu=True,
                bf16=False,
                center_rewards_coefficient=None,
                disable_dropout=True,
            ),
            train_dataset=Dataset.from_list(texts),
            eval_dataset=Dataset.from_list(texts),
            processing_class=tokenizer,
        )
        [batch] = list(trainer.get_eval_dataloader())
        theirs = trainer.evaluate()["eval_loss"]
    with torch.no_grad():
        rewards = model(**{name: batch[name] for name in ("input_ids", "attention_mask")}).logits[:, 0]
    chosen, rejected = rewards.chunk(2)
    never_ties = torch.tensor(-60.0, dtype=torch.float64)
    ours = pair_losses((chosen - rejected).double(), torch.tensor([LEFT] * 4), never_ties, 0.0).mean()
    assert float(chosen.std()) > 0  # not all alike
    assert ours.item() == pytest.approx(theirs, abs=1e-6)
