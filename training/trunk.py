"""The base model cut in two: a frozen trunk whose states are computed once, and a top that carries adapters.

Policy, reference and a reward model without a LoRA share the trunk, which goes on to the middle of the base where the
cut lies below that. Each role's top is a set of modules of its own over the base's own
weights (`twin(..., share_weights=True)`), so putting an adapter into one cannot touch another, and the reference is
the base itself rather than a policy with something switched off; a policy is compared with a copy of the reference that
attends as it does.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from nightschool.errors import ModelUnavailable
from nightschool.model import BaseModel, decoder_layers, twin
from training.sequences import Sequences, shared_prompts

TOP_LAYERS = 8
"""Upper layers with adapters of their own, where a version or report does not say how many (older ones)."""
PROBE = "Rain falls when warm air rises, cools, and lets go of the water it holds."
"""Words as people write them: the states of rare tokens side by side are far noisier in bfloat16."""
PROBED_AS_PROMPT = 5
"""Tokens of the probe that are read as its prompt."""
OF_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.07}
"""By how much of its length a token's state may differ when a text is read in two parts: SmolLM2's by 0.02 in bfloat16,
and by 0.15 to 0.33 where replies stand one place too late."""
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class ReadPrompts:
    """Prompts as trunk or top have read them, to go on from with any number of replies.

    states [prompts, width, trunk_size or size], lengths [prompts]; `caches` hold the keys and values of those layers.
    """

    states: Tensor
    lengths: Tensor
    caches: tuple[DynamicCache, ...] = ()


class SplitModel:
    """A frozen base cut below its `top_layers` upper layers ("all": nothing but the embeddings is below).

    The trunk's states of a token are two side by side: those halfway up the base, wherever the cut is, which a reward
    model reads beside a top's; and those at the cut, from which tops go on. Where both are one, it is told once.

    Raises `ModelUnavailable` when trunk and top together do not give what the whole model gives.
    """

    def __init__(self, base: BaseModel, top_layers: int | Literal["all"]) -> None:
        total = len(decoder_layers(base.model))
        self.base = base
        self.top_layers = total if top_layers == "all" else min(top_layers, total)
        self.size: int = base.model.config.hidden_size
        cut = total - self.top_layers
        stops = sorted({total // 2, cut})
        self._trunk = [_slice(base.model.model, *each, keep_norm=False) for each in pairwise((0, *stops))]
        self._halfway_is_first = total // 2 <= cut
        self.reference = _slice(base.model.model, cut, total, keep_norm=True)
        self.eager_reference = self._top_of(self._twin(eager=True))
        """The reference as a policy reads: what is compared must attend in one way."""
        self._check()

    @property
    def trunk_size(self) -> int:
        """Numbers that the trunk tells of a token."""
        return len(self._trunk) * self.size

    def trunk(self, ids: Tensor) -> Tensor:
        """Frozen states below the cut. ids [batch, width], padded on the right -> [batch, width, trunk_size]."""
        with torch.no_grad():
            return self._up(ids, lambda part, given: part(**given, use_cache=False).last_hidden_state)

    def read_prompts(self, ids: Tensor, lengths: Tensor) -> ReadPrompts:
        """The trunk's states of prompts. ids [prompts, width], padded on the right; lengths [prompts]."""
        caches: list[DynamicCache] = []

        def read(part: Any, given: dict[str, Tensor]) -> Tensor:
            caches.append(DynamicCache())
            return part(**given, past_key_values=caches[-1], use_cache=True).last_hidden_state

        with torch.no_grad():
            return ReadPrompts(self._up(ids, read), lengths, tuple(caches))

    def read_replies(self, prompts: ReadPrompts, of: Tensor, ids: Tensor) -> Tensor:
        """The trunk's states of replies, each after one of the prompts. of [batch] numbers the prompts.

        ids [batch, steps], padded on the right -> [batch, steps, trunk_size]; equal to `trunk`'s but for rounding.
        """
        caches, lengths = iter(prompts.caches), prompts.lengths[of]
        with torch.no_grad():
            return self._up(ids, lambda part, given: _after(part, next(caches), lengths, of, given))

    def top(self, module: Any, states: Tensor) -> Tensor:
        """Final-normed states of one role's top from the trunk's. -> [batch, width, size]."""
        with self._autocast():
            return module(inputs_embeds=self._at_cut(states), use_cache=False).last_hidden_state

    def top_at_replies(self, module: Any, states: Tensor, sequences: Sequences) -> Tensor:
        """`top`'s states where replies are predicted and where they stand; where a prompt is shared, 0 elsewhere.

        states [batch, width, trunk_size] -> [batch, width, size]. Differentiable. A prompt that several rows share goes
        up once. Equal to `top` but for rounding, so what is compared must be read in one way.
        """
        rows, of = shared_prompts(sequences)
        if len(rows) == len(of):
            return self.top(module, states)
        below, lengths = self._at_cut(states), sequences.prompt_lengths
        prompts = below[rows, : int(lengths.max())]
        batch, steps = sequences.is_response.nonzero(as_tuple=True)
        places = lengths[batch] + steps
        replies = below.new_zeros(len(of), int(sequences.response_lengths.max()), self.size)
        replies[batch, steps] = below[batch, places]
        cache = DynamicCache()
        with self._autocast():
            read = module(inputs_embeds=prompts, past_key_values=cache, use_cache=True).last_hidden_state
            ends = _after(module, cache, lengths, of, {"inputs_embeds": replies})
        found = ends.new_zeros(*below.shape)
        found = found.index_put((torch.arange(len(of)), lengths - 1), read[of, lengths - 1])
        return found.index_put((batch, places), ends[batch, steps])

    def beside(self, states: Tensor, ends: Tensor) -> Tensor:
        """What a reward model reads: the trunk's states halfway, and beside them a top's. -> [..., 2 size], float32."""
        return torch.cat([states[..., : self.size].float(), ends.float()], -1)

    def top_of_prompts(self, module: Any, prompts: ReadPrompts) -> ReadPrompts:
        """The same prompts as one role's top reads the trunk's states of them."""
        cache, below = DynamicCache(), self._at_cut(prompts.states)
        with torch.no_grad(), self._autocast():
            read = module(inputs_embeds=below, past_key_values=cache, use_cache=True).last_hidden_state
        return ReadPrompts(read, prompts.lengths, (cache,))

    def top_of_replies(self, module: Any, prompts: ReadPrompts, of: Tensor, states: Tensor) -> Tensor:
        """Final-normed states of replies from the trunk's, each after one of the prompts that `top_of_prompts` read.

        of [batch] numbers the prompts. -> [batch, steps, size]; `top`'s but for rounding.
        """
        with torch.no_grad(), self._autocast():
            given = {"inputs_embeds": self._at_cut(states)}
            return _after(module, prompts.caches[0], prompts.lengths[of], of, given)

    def _twin(self, *, eager: bool) -> Any:
        """The base with top layers of its own, over the base's weights.

        `eager`: they attend by plain matrix products, whose gradients are cheaper on a processor than those of
        PyTorch's fused attention (`benchmarks.ppo_update`), but keep every weight of the attention: for short texts.
        """
        found = twin(self.base.model, self.top_layers, share_weights=True)
        if eager:
            found.set_attn_implementation("eager")
        return found

    def _top_of(self, model: Any) -> Any:
        total = len(decoder_layers(model))
        return _slice(model.model, total - self.top_layers, total, keep_norm=True)

    def adapter(self, rank: int = 16, alpha: int = 32, *, eager: bool = False) -> tuple[PeftModel, Any]:
        """A fresh LoRA (B = 0) in a top of its own: (the PEFT model, to save; its sliced top, to run).

        `eager`: it attends as `eager_reference` does.
        """
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
            model = get_peft_model(self._twin(eager=eager), config)
        model.peft_config["default"].base_model_name_or_path = self.base.name  # a name, not a path of this machine
        model.eval()
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False  # autocast would cast the states straight back
        return model, self._top_of(model.get_base_model())

    def _up(self, ids: Tensor, read: Callable[[Any, dict[str, Tensor]], Tensor]) -> Tensor:
        """States halfway and at the cut, side by side, by parts of the base that `read` runs from the lowest on."""
        given, found = {"input_ids": ids}, []
        for part in self._trunk:
            found.append(read(part, given))
            given = {"inputs_embeds": found[-1]}
        return torch.cat(found if self._halfway_is_first else found[::-1], -1)

    def _at_cut(self, states: Tensor) -> Tensor:
        return states[..., -self.size :]

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.base.model.dtype == torch.bfloat16)

    def _check(self) -> None:
        refusal = ModelUnavailable(
            f"The model {self.base.name} cannot be cut into trunk and top layers (its layers depend on their place in "
            "the stack, or keep something else than keys and values); the chat can serve it, but a night needs a "
            "Llama-like model."
        )
        probe = torch.tensor([self.base.tokenizer(PROBE, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            whole = self.base.model.model(input_ids=probe, use_cache=False).last_hidden_state
            split = self.reference(inputs_embeds=self._at_cut(self.trunk(probe)), use_cache=False).last_hidden_state
        if not torch.equal(whole, split):
            raise refusal
        try:
            parts = self._in_two_parts(probe, PROBED_AS_PROMPT)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise refusal from error
        states = self.trunk(probe)
        for part, one in zip(parts, (states, self.top(self.reference, states)), strict=True):
            if _differ(part[:, PROBED_AS_PROMPT:], one[:, PROBED_AS_PROMPT:]) > OF_ROUNDING[states.dtype]:
                raise refusal
        if _differ(self.top(self.eager_reference, states), whole) > OF_ROUNDING[states.dtype]:
            raise refusal

    def _in_two_parts(self, ids: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Trunk's and reference's states of one text, its first tokens read as a prompt.

        ids [1, width] -> [1, width, trunk_size], [1, width, size].
        """
        padding = ids[:, :1].expand(1, ids.shape[1] - length)
        prompts = self.read_prompts(torch.cat([ids[:, :length], padding], 1), torch.tensor([length]))
        above, of = self.top_of_prompts(self.reference, prompts), torch.tensor([0])
        replies = self.read_replies(prompts, of, ids[:, length:])
        ends = self.top_of_replies(self.reference, above, of, replies)
        return (
            torch.cat([prompts.states[:, :length], replies], 1),
            torch.cat([above.states[:, :length], ends], 1),
        )


def save_adapter(adapter: PeftModel, folder: Path) -> None:
    """Write a LoRA as safetensors and JSON."""
    adapter.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a model card template that says nothing


def _after(part: Any, known: DynamicCache, lengths: Tensor, of: Tensor, given: dict[str, Tensor]) -> Tensor:
    """States of replies by some layers, each after the one of the prompts these layers know that `of` numbers.

    lengths [batch]: tokens of each reply's prompt.
    """
    read: list[Any] = list(known.layers)  # keys and values: [prompts, kv_heads, width, head_dim]
    own = [index for index, layer in enumerate(read) if layer.is_initialized]
    if not own:  # no layers: the embeddings alone
        return part(**given, use_cache=False).last_hidden_state
    cache = DynamicCache()
    for index in own:
        cache.update(read[index].keys[of], read[index].values[of], index)
    cache.layers[0] = cache.layers[own[0]]  # layers keep their numbers in the base, and number 0 is asked how many came
    (states,) = given.values()
    width, steps = read[own[0]].keys.shape[2], states.shape[1]
    is_read = torch.arange(width)[None] < lengths[:, None]
    found: Tensor = part(
        attention_mask=torch.cat([is_read, torch.ones(len(of), steps, dtype=torch.bool)], 1).long(),
        position_ids=lengths[:, None] + torch.arange(steps),
        past_key_values=cache,
        use_cache=True,
        **given,
    ).last_hidden_state
    return found


def _differ(part: Tensor, one: Tensor) -> float:
    """Length of the difference by the length of the state, mean over tokens. [batch, width, size] each."""
    apart = (part.float() - one.float()).norm(dim=-1) / one.float().norm(dim=-1).clamp(min=1e-9)
    return float(apart.mean())


def _slice(decoder: Any, start: int, stop: int, *, keep_norm: bool) -> Any:
    part = copy.copy(decoder)
    part._modules = dict(decoder._modules)
    part.layers = nn.ModuleList(decoder.layers[start:stop])
    if not keep_norm:
        part.norm = nn.Identity()
    return part
