"""A reward model as a folder of safetensors and JSON, and back."""

from pathlib import Path
from typing import Any

from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from nightschool.errors import BadInput
from training.reward_model import RewardModel, load_head, save_head
from training.trunk import SplitModel, save_adapter

HEAD, ADAPTER = "head.safetensors", "adapter"


def save_reward_model(model: RewardModel, folder: Path) -> None:
    """Write the head, the members of an ensemble, and the LoRA, as far as there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    save_head(model.head, folder / HEAD)
    for place, member in enumerate(model.members, 1):
        save_head(member, folder / f"member-{place}.safetensors")
    if model.adapter is not None:
        save_adapter(model.adapter, folder / ADAPTER)


def load_reward_model(folder: Path, split: SplitModel) -> RewardModel:
    """Read what `save_reward_model` wrote. Raises `BadInput` when it belongs to a model of another size."""
    head = load_head(folder / HEAD)
    if len(head.weight) not in {split.size, 2 * split.size}:  # older ones read the last states alone
        raise BadInput(
            f"The reward model in {folder} reads {len(head.weight)} numbers of a token, and {split.base.name} has "
            f"{2 * split.size}; give the model it was fitted on with --model."
        )
    adapter: Any = None
    top: Any = None
    if (folder / ADAPTER).is_dir():
        adapter, top = split.adapter()
        set_peft_model_state_dict(adapter, load_file(folder / ADAPTER / "adapter_model.safetensors"))
    members = tuple(load_head(path) for path in sorted(folder.glob("member-*.safetensors")))
    return RewardModel(split, head, adapter, top, members)
