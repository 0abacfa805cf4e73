"""Writing a night's product: one immutable, content-hashed folder, complete before anybody hears of it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError
from safetensors.torch import save

from nightschool.errors import StoreError
from nightschool.files import MANIFEST, sha256_of, whole_folder, write_json
from nightschool.model import BaseModel
from nightschool.records import Version
from nightschool.version_folder import POLICY
from training.judgements import Judgements
from training.policy import Policy
from training.receipt_check import Receipt, receipts_to_json
from training.report_text import markdown_of
from training.reward_folder import save_reward_model
from training.reward_ladder import FittedReward
from training.reward_model import save_head
from training.rollout_record import write_rollouts

REWARD = "reward"
"""Folder of the reward model inside a version's."""


@dataclass(frozen=True)
class Made:
    """What a night made, to be kept as a version."""

    policy: Policy
    fitted: FittedReward
    base: BaseModel
    judgements: Judgements
    rollouts: pa.Table


def save_candidate(
    versions: Path,
    number: int,
    version: Version,
    made: Made,
    report: dict[str, Any],
    receipts: Sequence[Receipt],
    workshop: Path,
) -> Version:
    """Write `versions/v<number>-<hash of the policy>/` and return the version with its id and manifest hash.

    What is half written lies in `workshop`, the night's own folder.
    """
    version_id = f"v{number}-{_hash(made.policy)[:8]}"
    folder = versions / version_id
    with told_when_unwritable(versions), whole_folder(folder, workshop=workshop) as temporary:
        made.policy.save(temporary / POLICY)
        save_reward_model(made.fitted.model, temporary / REWARD)
        save_head(made.fitted.examiner.head, temporary / REWARD / "examiner.safetensors")
        write_rollouts(temporary, made.rollouts, version_id)
        told = report | {"version": version_id}
        write_json(temporary / "report.json", told)
        (temporary / "report.md").write_text(markdown_of(told), encoding="utf-8")
        write_json(temporary / "receipts.json", receipts_to_json(receipts))
        write_json(
            temporary / "config.json",
            {
                "version": version_id,
                "parent": version.parent_id,
                "night": version.night_id,
                "base_fingerprint": version.base_fingerprint,
                "created_at": version.created_at,
                "training_set": report["training_set"],
            },
        )
    return replace(version, id=version_id, manifest_sha256=sha256_of(folder / MANIFEST))


@contextmanager
def told_when_unwritable(versions: Path) -> Iterator[None]:
    """A folder that cannot be written, in one sentence (`StoreError`)."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps what the disk says
        raise StoreError(
            f"The folder of versions {versions} cannot be written ({error}); free some disk space there, or name "
            "another one with --versions."
        ) from error


def _hash(policy: Policy) -> str:
    return hashlib.sha256(save(policy.tensors())).hexdigest()
