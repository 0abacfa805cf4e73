"""The base model cut in two: a frozen trunk whose states are computed once, and a top that carries adapters.

Policy, reference and reward model share the trunk. Each role's top is a set of modules of its own over the base's own
weights (`twin(..., share_weights=True)`), so putting an adapter into one cannot touch another, and the reference is
the base itself rather than a policy with something switched off.
"""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from nightschool.errors import ModelUnavailable
from nightschool.model import BaseModel, decoder_layers, twin

LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LOGIT_ROWS = 512
"""Rows of logits held as float32 at a time: 512 x 49,152 words are 100 MB."""


class SplitModel:
    """A frozen base cut below its `top_layers` upper layers.

    Raises `ModelUnavailable` when trunk and top together do not give what the whole model gives.
    """

    def __init__(self, base: BaseModel, top_layers: int) -> None:
        total = len(decoder_layers(base.model))
        self.base = base
        self.top_layers = min(top_layers, total)
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
    parts = []
    with torch.no_grad():
        for rows in states.to(head.weight.dtype).split(LOGIT_ROWS):
            log_p = torch.log_softmax(head(rows).float() / temperature, -1)
            parts.append(-(log_p.exp() * log_p).sum(-1))
    return torch.cat(parts)


class _SelectedLogProbs(torch.autograd.Function):
    """`log_softmax(head(states) / T).gather(ids)` that keeps no float32 logits for the backward pass.

    The head is frozen, so only the gradient in `states` exists: (onehot - softmax) W / T, row chunk by row chunk.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, temperature: float
    ) -> Tensor:
        logps = torch.empty(len(ids), dtype=torch.float32)
        logits_kept, normalisers = [], []
        for start in range(0, len(ids), LOGIT_ROWS):
            rows = slice(start, start + LOGIT_ROWS)
            logits = nn.functional.linear(states[rows], weight, bias)
            scaled = logits.float() / temperature
            normaliser = torch.logsumexp(scaled, -1)
            logps[rows] = scaled.gather(-1, ids[rows, None])[:, 0] - normaliser
            logits_kept.append(logits)
            normalisers.append(normaliser)
        ctx.save_for_backward(weight, ids, *logits_kept, *normalisers)
        ctx.chunks, ctx.temperature = len(logits_kept), temperature
        return logps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, ids, *kept = ctx.saved_tensors
        logits_kept, normalisers = kept[: ctx.chunks], kept[ctx.chunks :]
        parts = []
        for chunk, (logits, normaliser) in enumerate(zip(logits_kept, normalisers, strict=True)):
            rows = slice(chunk * LOGIT_ROWS, chunk * LOGIT_ROWS + len(normaliser))
            slope = grad[rows, None] / ctx.temperature
            d_logits = (logits.float() / ctx.temperature).sub_(normaliser[:, None]).exp_().mul_(-slope)
            d_logits.scatter_add_(-1, ids[rows, None], slope)
            parts.append(d_logits.to(weight.dtype) @ weight)
        return torch.cat(parts), None, None, None, None
