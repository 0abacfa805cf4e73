"""The base model cut in two: a frozen trunk whose states are computed once, and a top that carries adapters.

Policy, reference and reward model share the trunk. Each role's top is a set of modules of its own over the base's own
weights (`twin(..., share_weights=True)`), so putting an adapter into one cannot touch another, and the reference is
the base itself rather than a policy with something switched off.
"""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from nightschool.errors import ModelUnavailable
from nightschool.model import BaseModel, decoder_layers, twin

TOP_LAYERS = 8
"""Upper layers with adapters of their own, where a version or report does not say how many (older ones)."""
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LOGIT_ROWS = 128
"""Rows of logits held as float32 at a time: 128 x 49,152 words are 25 MB, which stay in the processor's cache."""


class SplitModel:
    """A frozen base cut below its `top_layers` upper layers ("all": nothing but the embeddings is below).

    Raises `ModelUnavailable` when trunk and top together do not give what the whole model gives.
    """

    def __init__(self, base: BaseModel, top_layers: int | Literal["all"]) -> None:
        total = len(decoder_layers(base.model))
        self.base = base
        self.top_layers = total if top_layers == "all" else min(top_layers, total)
        self._trunk = _slice(base.model.model, 0, total - self.top_layers, keep_norm=False)
        self.reference = _slice(base.model.model, total - self.top_layers, total, keep_norm=True)
        self._check()

    def trunk(self, ids: Tensor) -> Tensor:
        """Frozen states below the cut. ids [batch, width], padded on the right -> [batch, width, size]."""
        with torch.no_grad():
            return self._trunk(input_ids=ids, use_cache=False).last_hidden_state

    def top(self, module: Any, states: Tensor) -> Tensor:
        """Final-normed states of one role's top. [batch, width, size] -> [batch, width, size]."""
        half = self.base.model.dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return module(inputs_embeds=states, use_cache=False).last_hidden_state

    def adapter(self, rank: int = 16, alpha: int = 32) -> tuple[PeftModel, Any]:
        """A fresh LoRA (B = 0) in a top of its own: (the PEFT model, to save; its sliced top, to run)."""
        total = len(decoder_layers(self.base.model))
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules=LORA_TARGETS,
            layers_to_transform=list(range(total - self.top_layers, total)),
            layers_pattern="layers",
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():  # peft 0.21 asks transformers 5 for a property under its former name
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            model = get_peft_model(twin(self.base.model, self.top_layers, share_weights=True), config)
        model.peft_config["default"].base_model_name_or_path = self.base.name  # a name, not a path of this machine
        model.eval()
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False  # autocast would cast the states straight back
        top = _slice(model.get_base_model().model, total - self.top_layers, total, keep_norm=True)
        return model, top

    def _check(self) -> None:
        probe = torch.arange(3, 3 + 16)[None]
        with torch.no_grad():
            whole = self.base.model.model(input_ids=probe, use_cache=False).last_hidden_state
            split = self.reference(inputs_embeds=self.trunk(probe), use_cache=False).last_hidden_state
        if not torch.equal(whole, split):
            raise ModelUnavailable(
                f"The model {self.base.name} cannot be cut into trunk and top layers (its layers depend on their "
                "place in the stack); the chat can serve it, but a night needs a Llama-like model."
            )


def save_adapter(adapter: PeftModel, folder: Path) -> None:
    """Write a LoRA as safetensors and JSON."""
    adapter.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a model card template that says nothing


def _slice(decoder: Any, start: int, stop: int, *, keep_norm: bool) -> Any:
    part = copy.copy(decoder)
    part._modules = dict(decoder._modules)
    part.layers = nn.ModuleList(decoder.layers[start:stop])
    if not keep_norm:
        part.norm = nn.Identity()
    return part


def token_logps(states: Tensor, head: nn.Linear, ids: Tensor, temperature: float) -> Tensor:
    """Log-probability of each drawn token under softmax(logits / temperature), in float32.

    states [tokens, size] at the positions that predict, ids [tokens] -> [tokens]. Differentiable in `states`.
    """
    return _SelectedLogProbs.apply(states.to(head.weight.dtype), head.weight, head.bias, ids, temperature)


def token_entropies(states: Tensor, head: nn.Linear, temperature: float) -> Tensor:
    """Entropy in nats of each next-token distribution. [tokens, size] -> [tokens]; for logs, no gradient."""
    entropies = torch.empty(len(states), dtype=torch.float32)
    with torch.no_grad():
        for start, scaled in _scaled_logits(states.to(head.weight.dtype), head.weight, head.bias, temperature):
            centred = scaled.sub_(scaled.amax(-1, keepdim=True))
            weights = centred.exp()
            total = weights.sum(-1)
            entropies[start : start + len(scaled)] = total.log() - weights.mul_(centred).sum(-1) / total
    return entropies


class _SelectedLogProbs(torch.autograd.Function):
    """`log_softmax(head(states) / T).gather(ids)` that keeps no logits for the backward pass.

    The head is frozen, so only the gradient in `states` exists: (onehot - softmax) W / T. It is made in the forward
    pass, while a chunk's softmax is at hand, and only scaled in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, temperature: float
    ) -> Tensor:
        logps = torch.empty(len(ids), dtype=torch.float32)
        slopes = torch.empty(*states.shape, dtype=weight.dtype) if ctx.needs_input_grad[0] else None
        for start, scaled in _scaled_logits(states, weight, bias, temperature):
            rows = slice(start, start + len(scaled))
            chosen = ids[rows, None]
            of_chosen = scaled.gather(-1, chosen)
            most = scaled.amax(-1, keepdim=True)
            total = scaled.sub_(most).exp_().sum(-1, keepdim=True)
            logps[rows] = (of_chosen - most - total.log())[:, 0]
            if slopes is not None:
                softmax = scaled.div_(total)
                softmax.scatter_add_(-1, chosen, torch.full_like(total, -1.0))
                slopes[rows] = softmax.to(weight.dtype) @ weight
        if slopes is not None:
            ctx.save_for_backward(slopes)
        ctx.temperature = temperature
        return logps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return (slopes.float() * (-grad / ctx.temperature)[:, None]).to(slopes.dtype), None, None, None, None


def _scaled_logits(
    states: Tensor, weight: Tensor, bias: Tensor | None, temperature: float
) -> Iterator[tuple[int, Tensor]]:
    """Logits / temperature in float32, chunk by chunk: (first row, [rows, words]), all in one buffer to be changed."""
    buffer = torch.empty(min(LOGIT_ROWS, len(states)), len(weight), dtype=torch.float32)
    for start in range(0, len(states), LOGIT_ROWS):
        logits = nn.functional.linear(states[start : start + LOGIT_ROWS], weight, bias)
        yield start, buffer[: len(logits)].copy_(logits).div_(temperature)
