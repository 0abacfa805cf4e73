"""The engine inside the chat's own process: transformers on this machine's processor.

One thread owns all tensor work. Requests take turns on it step by step in order of arrival, so several people are
served at one pace, and the processor is never oversubscribed. A step is a token of one reply, or of both sides of a
duel, or of all replies of a ranking: shared layers are read once for all of them. A version is loaded on its first use
and kept with the `resident` most recently used ones; a reply in flight keeps the version it began with.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from nightschool.chat_format import encode_text, fit_prompt
from nightschool.company import Company, End, Pieces
from nightschool.engine import Piece
from nightschool.llama_decoder import supports
from nightschool.model import BaseModel
from nightschool.records import Message, Sampling, Version
from nightschool.sampling import stream_in_step
from nightschool.version_folder import load_policy


class EmbeddedEngine:
    """Serves versions that lie in one folder, all on one base model."""

    def __init__(self, base: BaseModel, versions: Path, *, max_prompt_tokens: int, max_new_tokens: int, resident: int):
        self.model_name = base.name
        self._base = base
        self._versions = versions
        self._prompt_limit = max(16, min(max_prompt_tokens, base.context - max_new_tokens))
        self._resident = resident
        self._models: OrderedDict[str, Any] = OrderedDict()
        self._tokenizing = Lock()  # a fast tokenizer switches special tokens off for all its callers
        self._turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """See `Engine.prompt_ids`."""
        with self._tokenizing:
            return fit_prompt(self._base.tokenizer, messages, self._prompt_limit)

    def reply_ids(self, text: str) -> list[int]:
        """See `Engine.reply_ids`."""
        with self._tokenizing:
            return [*encode_text(self._base.tokenizer, text), self._base.tokenizer.eos_token_id]

    def prepare(self, version: Version) -> None:
        """See `Engine.prepare`."""
        self._turns.submit(self._policy, version).result()

    def stream(self, version: Version, prompt_ids: Sequence[int], sampling: Sampling, seed: int) -> Iterator[Piece]:
        """See `Engine.stream`."""
        return self.stream_in_step([version], prompt_ids, sampling, [seed])[0]

    def stream_in_step(
        self, versions: Sequence[Version], prompt_ids: Sequence[int], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Iterator[Piece]]:
        """See `Engine.stream_in_step`."""
        if len(versions) > 1 and not supports(self._base.model):  # nothing would be shared: a turn for each
            pairs = zip(versions, seeds, strict=True)
            return [self.stream(version, prompt_ids, sampling, seed) for version, seed in pairs]
        draw = partial(
            stream_in_step,
            prompt_ids=prompt_ids,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            stop_ids=self._base.stop_ids,
            generators={place: torch.Generator().manual_seed(seed) for place, seed in enumerate(seeds)},
        )
        company = Company(dict(enumerate(versions)), self._policy, draw, self._turns)
        end = End(self._base.stop_ids, sampling.max_new_tokens)
        return [Pieces(company, place, end, self._text) for place in range(len(versions))]

    def close(self) -> None:
        """Finish the step at work and take no more."""
        self._turns.shutdown(wait=True, cancel_futures=True)

    def _text(self, token_ids: Sequence[int], whole: bool) -> str:
        text: str = self._base.tokenizer.decode(token_ids, skip_special_tokens=True)
        return text if whole else text.rstrip("\ufffd")  # the first bytes of a character that is not written yet

    def _policy(self, version: Version) -> Any:
        if version.id not in self._models:
            self._models[version.id] = load_policy(self._versions, version, self._base)
            while len(self._models) > self._resident:
                self._models.popitem(last=False)
        self._models.move_to_end(version.id)
        return self._models[version.id]
