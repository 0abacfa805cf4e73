"""Why a reply is as it is: its score by the reward model, the version that wrote it, and how far that has drifted.

Drift is the log-probability of the reply's tokens under its version less that under the initial model, in nats, at the
served temperature: what PPO's penalty counts.
"""

from pathlib import Path

import torch

from nightschool.errors import BadInput
from nightschool.model import base_of
from nightschool.records import INITIAL, Explanation, Reply, Version
from nightschool.registry import VersionRegistry
from nightschool.settings import Settings
from nightschool.version_folder import POLICY, trained_layers
from training.candidate import REWARD
from training.judgements import Answer
from training.policy import Policy, reference_logps
from training.reading import answer_sequences
from training.receipts import answer_of
from training.reward_folder import HEAD, load_reward_model
from training.reward_start import layers_of, reward_split
from training.trunk import TOP_LAYERS, SplitModel
from training.version_report import report_of


def explain(settings: Settings, registry: VersionRegistry, reply: Reply) -> Explanation:
    """Explain one stored reply. Raises `BadInput` for one without tokens, `ModelUnavailable`, `DamagedVersion`."""
    if not reply.token_ids:
        raise BadInput("This answer has no words yet; wait until it is written.")
    base = base_of(settings)
    writer = registry.get(reply.version) if reply.version else None
    kept = writer.id if writer is not None and writer.retired_at is None else None  # a retired one has no folder
    split = SplitModel(base, _layers(settings, kept))
    answer = answer_of(reply)
    scorer = _newest_with_reward_model(registry, settings.versions)
    for version in (scorer, writer):
        if version is not None and version.base_fingerprint not in {None, base.fingerprint}:
            raise BadInput(
                f"The version {version.id} was made from another model than {base.name}; start with the model it was "
                "made from to have it explained."
            )
    if max(answer.prompt_ids + answer.token_ids) >= base.model.config.vocab_size:
        raise BadInput(f"This answer was written by another model than {base.name}; it cannot be read by this one.")
    score = None
    if scorer is not None:
        folder = settings.versions / scorer.id
        report = report_of(folder)
        start = str(report.get("reward_start", "base"))
        own = reward_split(split, start, settings.cache, int(report["seed"]), layers_of(report))
        score = float(load_reward_model(folder / REWARD, own).scores([answer])[0])
    return Explanation(
        reply=reply.id,
        version=reply.version,
        score=score,
        scored_by=scorer.id if scorer else None,
        drift=_drift(split, settings, kept, answer),
        tokens=len(reply.token_ids),
    )


def _newest_with_reward_model(registry: VersionRegistry, versions: Path) -> Version | None:
    found = [version for version in registry.list() if (versions / version.id / REWARD / HEAD).is_file()]
    champion = registry.champion().id
    return next((version for version in found if version.id == champion), found[-1] if found else None)


def _layers(settings: Settings, version: str | None) -> int:
    """How many upper layers a version changes."""
    if version in {None, INITIAL}:
        return TOP_LAYERS
    return trained_layers(settings.versions / str(version) / POLICY)


@torch.no_grad()
def _drift(split: SplitModel, settings: Settings, version: str | None, answer: Answer) -> float | None:
    if version is None:
        return None
    if version == INITIAL:
        return 0.0
    policy = Policy(split, seed=0)
    policy.load_(settings.versions / version / POLICY)
    sequences = answer_sequences([answer], split.base.pad_id)
    trunk = split.trunk(sequences.ids)
    own = policy.logps(trunk, sequences, settings.temperature)
    base_states = split.top_at_replies(split.eager_reference, trunk, sequences)
    initial = reference_logps(split, base_states, sequences, settings.temperature)
    return float((own - initial).sum())
