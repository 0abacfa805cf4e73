"""The policy: a LoRA on the top layers of the frozen base, its log-probabilities, and its merged twin for sampling."""

from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from nightschool.errors import DamagedVersion
from nightschool.version_folder import merge_tensors
from training.sequences import Sequences
from training.trunk import SplitModel, save_adapter
from training.word_probabilities import logps_of_words, token_logps, token_logps_and_entropies

RANK, ALPHA = 16, 32


class Policy:
    """A trainable LoRA. Fresh, it is exactly the base (B = 0)."""

    def __init__(self, split: SplitModel, seed: int) -> None:
        self.split = split
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # LoRA's A is drawn from the global generator
            self.adapter, self._top = split.adapter(RANK, ALPHA, eager=True)

    def weights(self) -> list[torch.nn.Parameter]:
        """What is trained: LoRA A and B, nothing else."""
        return [weight for name, weight in self.adapter.named_parameters() if "lora_" in name]

    def is_changed(self) -> bool:
        """Whether it is anything else than the base: any B is not 0."""
        return any(bool(weight.any()) for name, weight in self.adapter.named_parameters() if "lora_B" in name)

    def load_(self, policy_folder: Path) -> None:
        """Take over the weights of an earlier version; layers it did not train stay as they are in the base.

        Raises `DamagedVersion` when they do not fit.
        """
        tensors = load_file(policy_folder / "adapter_model.safetensors")
        if beyond := set(tensors) - set(self.tensors()):
            raise DamagedVersion(
                f"The adapter in {policy_folder} has parts that this night does not train ({min(beyond)}); raise "
                "--lora-layers to what it was made with, or promote another version with `python -m training promote "
                "VERSION`."
            )
        self.take_over_(tensors)

    def take_over_(self, tensors: dict[str, Tensor]) -> None:
        """Set the LoRA's weights, by PEFT's names."""
        set_peft_model_state_dict(self.adapter, tensors)

    def copy(self) -> dict[str, Tensor]:
        """The LoRA's weights as they are now, by PEFT's names; later steps of training do not reach them."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors().items()}

    def save(self, policy_folder: Path) -> None:
        """Write a PEFT adapter: safetensors and JSON."""
        save_adapter(self.adapter, policy_folder)

    def logps(self, trunk_states: Tensor, sequences: Sequences, temperature: float) -> Tensor:
        """Log-probabilities of the response tokens. -> [batch, steps]; differentiable in the LoRA."""
        states = self.split.top_at_replies(self._top, trunk_states, sequences)
        return _packed_logps(self.split, states, sequences, temperature)

    def logps_and_ends(self, trunk_states: Tensor, sequences: Sequences, temperature: float) -> tuple[Tensor, Tensor]:
        """`logps`, and at the same places the log-probability that the reply ends. -> [batch, steps] each."""
        states = self.split.top_at_replies(self._top, trunk_states, sequences)
        return _logps_and_ends(self.split, states, sequences, temperature)

    @torch.no_grad()
    def logps_and_entropy(self, trunk_states: Tensor, sequences: Sequences, temperature: float) -> tuple[Tensor, float]:
        """`logps` without gradient, and the mean entropy in nats over the response tokens, from one pass."""
        states = self.split.top_at_replies(self._top, trunk_states, sequences)
        before, head = sequences.at_responses(states, shift=-1), self.split.base.model.lm_head
        logps, entropies = token_logps_and_entropies(before, head, sequences.response_ids(), temperature)
        return sequences.unpack(logps), float(entropies.mean())

    def twin(self) -> Any:
        """A plain model with the LoRA merged in, for sampling; later steps of training do not reach it."""
        return merge_tensors(self.split.base.model, self.tensors(), ALPHA / RANK, self.split.top_layers)

    def tensors(self) -> dict[str, Tensor]:
        """LoRA A and B under PEFT's names."""
        # Embeddings are never trained; left to decide that by itself, PEFT asks a hub for the base model's config.
        return get_peft_model_state_dict(self.adapter, save_embedding_layers=False)


def reference_logps(split: SplitModel, base_states: Tensor, sequences: Sequences, temperature: float) -> Tensor:
    """The initial model's log-probabilities, from its final states, by the same code. -> [batch, steps]."""
    return _packed_logps(split, base_states, sequences, temperature)


def reference_logps_and_ends(
    split: SplitModel, base_states: Tensor, sequences: Sequences, temperature: float
) -> tuple[Tensor, Tensor]:
    """The initial model's `Policy.logps_and_ends`, from its final states, by the same code. -> [batch, steps] each."""
    return _logps_and_ends(split, base_states, sequences, temperature)


def _logps_and_ends(
    split: SplitModel, states: Tensor, sequences: Sequences, temperature: float
) -> tuple[Tensor, Tensor]:
    before, head, ids = sequences.at_responses(states, shift=-1), split.base.model.lm_head, sequences.response_ids()
    logps = token_logps(before, head, ids, temperature)
    ends = logps_of_words(logps, before, head, ids, sorted(split.base.stop_ids), temperature)
    return sequences.unpack(logps), sequences.unpack(ends)


def _packed_logps(split: SplitModel, states: Tensor, sequences: Sequences, temperature: float) -> Tensor:
    packed = sequences.at_responses(states, shift=-1)
    return sequences.unpack(token_logps(packed, split.base.model.lm_head, sequences.response_ids(), temperature))
