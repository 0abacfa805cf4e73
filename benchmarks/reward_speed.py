"""Our fit against TRL's RewardTrainer: `python -m benchmarks.reward_speed [--quick] [--pairs N] [--seed N] [--json]`.

The same 1,000 pairs (--quick: 100) of the initial model's own replies, judged by a simulated person who likes replies
near 20 words (one judgement in four wrong, however clear it is), the same machine, one after the other. Ours is the
whole fit of one member: reading, cross-validation, head, the LoRA's trial and, where it is kept, its training. TRL's is
a LoRA of the same rank on all layers with a head on the last token, one epoch, numbers of the same type. Both are asked
about 500 clear pairs of other prompts.
"""

import argparse
import tempfile
import time
import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.measuring import tell
from benchmarks.raters import TASTES, Pool, Rater, draw_pool
from nightschool.model import BaseModel, base_of, embedded_folder
from nightschool.prompt_bank import bank_half
from nightschool.settings import EMBEDDED, load_settings
from training.effort import EFFORTS
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.reward_ladder import fit_reward
from training.trunk import LORA_TARGETS, TOP_LAYERS, SplitModel
from training.word_overlap import other, preferred

EPOCHS = 1
HELD_OUT = 500
NOW = "2026-01-01T00:00:00+00:00"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 pairs (under 5 minutes)")
    parser.add_argument("--pairs", type=int, help="another number of pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    count = words.pairs or (100 if words.quick else 1000)
    settings = load_settings()
    base = base_of(settings)
    train_pool = draw_pool(base, list(bank_half("train"))[: 32 if words.quick else 128], 6, words.seed)
    exam_pool = draw_pool(base, list(bank_half("exam"))[: 16 if words.quick else 64], 4, words.seed + 1)
    pairs = Rater(train_pool, TASTES["brevity"], words.seed, flips=True).pairs(count)
    clean = Rater(exam_pool, TASTES["brevity"], words.seed, noise=0.0).pairs(HELD_OUT, least_gap=0.5)
    ours = our_fit(base, pairs, clean, exam_pool, words.seed)
    folder = str(embedded_folder(settings.cache)) if settings.model == EMBEDDED else settings.model
    theirs = trl_fit(folder, base, pairs, clean, words.seed)
    ratio = {"seconds_ratio": ours["our_seconds"] / theirs["trl_seconds"]}
    tell({"pairs": count} | ours | theirs | ratio, as_json=words.json)


def our_fit(base: BaseModel, pairs: Judgements, clean: Judgements, pool: Pool, seed: int) -> dict[str, Any]:
    """Seconds and held-out accuracy of one member."""
    began = time.monotonic()
    effort = replace(EFFORTS["normal"], lora_epochs=EPOCHS, lora_seconds=3600.0, members=0)
    fitted = fit_reward(
        SplitModel(base, TOP_LAYERS), pairs, pool.answers[:64], effort,
        now=NOW, seed=seed, say=lambda text: None, progress=lambda share, what: None,
    )  # fmt: skip
    seconds = time.monotonic() - began
    answers = clean.answers()
    scores = dict(zip(answers, fitted.model.scores(answers).tolist(), strict=True))
    return {"our_seconds": seconds, "our_accuracy": _accuracy(clean, scores), "our_rung": fitted.rung}


def trl_fit(folder: str, base: BaseModel, pairs: Judgements, clean: Judgements, seed: int) -> dict[str, Any]:
    """The same of TRL's trainer, on the same token ids."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL's own imports
        from trl import RewardConfig, RewardTrainer

    dtype = base.model.dtype
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=dtype)
    model.config.pad_token_id = base.pad_id  # the tokenizer's own pad is the end-of-turn token, which ends the texts
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token_id = base.pad_id
    rows = [
        {"chosen_ids": _ids(preferred(pair)), "rejected_ids": _ids(other(pair))}
        for pair in pairs.pairs
        if isinstance(pair, PairJudgement) and pair.preferred is not Preferred.TIE
    ]
    with tempfile.TemporaryDirectory() as out:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                output_dir=out,
                per_device_train_batch_size=8,
                num_train_epochs=EPOCHS,
                learning_rate=2e-4,
                bf16=dtype == torch.bfloat16,
                use_cpu=True,
                gradient_checkpointing=False,
                report_to="none",
                save_strategy="no",
                logging_steps=1000,
                disable_tqdm=True,
                seed=seed,
                max_length=None,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules=LORA_TARGETS, task_type="SEQ_CLS"),
        )
        began = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - began
    return {"trl_seconds": seconds, "trl_accuracy": _accuracy(clean, _trl_scores(trainer.model, base, clean))}


def _trl_scores(model: Any, base: BaseModel, clean: Judgements) -> dict[Answer, float]:
    model.eval()
    scores: dict[Answer, float] = {}
    answers = sorted(clean.answers(), key=lambda answer: len(_ids(answer)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=base.model.dtype == torch.bfloat16):
        for start, stop in pairwise([*range(0, len(answers), 8), len(answers)]):
            part = [_ids(answer) for answer in answers[start:stop]]
            width = max(map(len, part))
            ids = torch.tensor([row + [base.pad_id] * (width - len(row)) for row in part])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in part])
            logits = model(input_ids=ids, attention_mask=mask).logits[:, 0].float().tolist()
            scores |= dict(zip(answers[start:stop], logits, strict=True))
    return scores


def _ids(answer: Answer) -> list[int]:
    return [*answer.prompt_ids, *answer.token_ids]


def _accuracy(clean: Judgements, scores: dict[Answer, float]) -> float:
    rights = [(scores[preferred(pair)] > scores[other(pair)]) for pair in clean.pairs]
    return sum(rights) / len(rights)


if __name__ == "__main__":
    main()
