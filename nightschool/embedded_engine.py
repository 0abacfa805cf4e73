"""The engine inside the chat's own process: transformers on this machine's processor.

One thread owns all tensor work. Requests take turns on it token by token in order of arrival, so several people are
served at one pace, and the processor is never oversubscribed; both sides of a duel, and the replies of a ranking, are
drawn in one turn. A version is loaded on its
first use and kept with the `resident` most recently used ones; a reply in flight keeps the version it began with.
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
from nightschool.company import Company
from nightschool.engine import Piece
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
        generators = {place: torch.Generator().manual_seed(seed) for place, seed in enumerate(seeds)}
        draw = partial(
            stream_in_step,
            prompt_ids=prompt_ids,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            stop_ids=self._base.stop_ids,
            generators=generators,
        )
        company = Company(dict(enumerate(versions)), self._policy, draw, self._turns)
        return [self._pieces(company, place, sampling.max_new_tokens) for place in range(len(versions))]

    def _pieces(self, company: Company, place: int, max_new_tokens: int) -> Iterator[Piece]:
        drawn: list[int] = []
        try:
            while True:
                token = company.next(place)
                if token is not None:  # None: a part of the prompt was read, nothing is drawn yet
                    drawn.append(token)
                whole = bool(drawn) and drawn[-1] in self._base.stop_ids
                ended = whole or len(drawn) == max_new_tokens
                yield Piece(self._text(drawn, whole=whole), tuple(drawn), ended)
                if ended:
                    break
        finally:
            company.leave(place)

    def close(self) -> None:
        """Finish the step at work and take no more."""
        self._turns.shutdown(wait=True, cancel_futures=True)

    def _text(self, token_ids: Sequence[int], *, whole: bool) -> str:
        text: str = self._base.tokenizer.decode(token_ids, skip_special_tokens=True)
        return text if whole else text.rstrip("\ufffd")  # the first bytes of a character that is not written yet

    def _policy(self, version: Version) -> Any:
        if version.id not in self._models:
            self._models[version.id] = load_policy(self._versions, version, self._base)
            while len(self._models) > self._resident:
                self._models.popitem(last=False)
        self._models.move_to_end(version.id)
        return self._models[version.id]
