"""The work behind `reward fit` and `reward score`: load the model, fit or read, tell. Imports torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.errors import BadInput
from nightschool.files import whole_folder, write_json
from nightschool.model import base_of
from nightschool.records import Message
from nightschool.said import in_english
from nightschool.settings import Settings
from training.effort import Effort
from training.judgements import PROMPT_TOKENS, Answer, Judgements
from training.prompts import practice_prompts
from training.receipts import REPLY_TOKENS
from training.reward_folder import load_reward_model, save_reward_model
from training.reward_ladder import fit_reward, refuse_other_models
from training.reward_metrics import TO_EXAMINE_WITH, gate
from training.reward_model import save_head
from training.reward_start import REWARD_LAYERS, layers_of, reward_split
from training.rollout import Drawing, draw
from training.split import Side
from training.trunk import SplitModel
from training.word_overlap import overlap_agreement


def fit_from_feedback(
    settings: Settings,
    judgements: Judgements,
    now: str,
    effort: Effort,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fit, write the folder, and return its report. Raises `BadInput` where there is nothing to fit."""
    if not judgements.on(Side.TRAIN).all:
        raise BadInput("There are no judgements to train on yet; judge some answers, or import preferences, first.")
    base = base_of(settings)
    of_base = SplitModel(base, REWARD_LAYERS)
    refuse_other_models(base, judgements)
    split = reward_split(of_base, settings.reward_start, settings.cache, seed)
    say(f"Drawing {effort.normaliser_replies} replies of {base.name}, on whose scale scores are told.")
    prompts = practice_prompts(base, judgements)
    wanted = [prompts[index % len(prompts)] for index in range(effort.normaliser_replies)]
    drawing = Drawing(settings.temperature, min(effort.reply_tokens, settings.max_new_tokens))
    initial = draw(of_base, base.model, wanted, drawing, torch.Generator().manual_seed(seed))
    told: list[str] = []

    def progress(_: float, what: str) -> None:
        if what not in told:
            told.append(what)
            say(what[0].upper() + what[1:] + ".")

    fitted = fit_reward(split, judgements, initial, effort, now=now, seed=seed, say=say, progress=progress)
    metrics = fitted.metrics.as_dict()
    report = {
        "model": base.name,
        "base_fingerprint": base.fingerprint,
        "start": settings.reward_start,
        "reward_layers": split.top_layers,
        "effort": effort.name,
        "context_tokens": effort.context_tokens,
        "seed": seed,
        "judgements": len(judgements.sources()),
        "pairs": len(judgements.pairs),
        "thumbs": len(judgements.thumbs),
        "rung": fitted.rung,
        "ridge": fitted.ridge,
        "distrusted_people": len(fitted.distrusted),
        "pairs_checked": metrics.pop("pairs"),
        "thumbs_checked": metrics.pop("thumbs"),
        **metrics,
        **overlap_agreement(
            judgements.on(Side.TRAIN),
            judgements.on(Side.VALIDATION, Side.EXAM),
            lambda answer: base.tokenizer.decode(answer.token_ids, skip_special_tokens=True),
        ),
        "fault": in_english(gate(fitted.metrics)),
        "examiner_pairs_checked": fitted.examiner_metrics.pairs,
        "examiner_accuracy": fitted.examiner_metrics.accuracy,
        "examiner_log_loss": fitted.examiner_metrics.log_loss,
        "examiner_fault": in_english(gate(fitted.examiner_metrics, TO_EXAMINE_WITH)),
    }
    with whole_folder(folder) as temporary:
        save_reward_model(fitted.model, temporary)
        save_head(fitted.examiner.head, temporary / "examiner.safetensors")
        write_json(temporary / "report.json", report)
    return report


def scores_of(
    settings: Settings, folder: Path, report: dict[str, Any], texts: Sequence[tuple[Sequence[Message], str]]
) -> list[float]:
    """Normalised scores of (prompt, response). Raises `BadInput` when the folder belongs to another model."""
    base = base_of(settings)
    if base.fingerprint != report["base_fingerprint"]:
        raise BadInput(
            f"The reward model in {folder} was fitted on {report['model']}, and {base.name} is another model; give "
            "the one it was fitted on with --model."
        )
    layers = layers_of(report)
    split = reward_split(SplitModel(base, layers), report["start"], settings.cache, report["seed"], layers)
    model = load_reward_model(folder, split)
    end = base.tokenizer.eos_token_id
    answers = [
        Answer(
            tuple(encode_prompt(base.tokenizer, list(prompt))[-PROMPT_TOKENS:]),
            (*encode_text(base.tokenizer, text), end)[:REPLY_TOKENS],
        )
        for prompt, text in texts
    ]
    # The last bits of a sum depend on a text's place among the others; a score does not.
    return [round(float(score), 6) for score in model.scores(answers)]
