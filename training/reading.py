"""Reading texts once: their pooled states into a file, and for those that train a LoRA the trunk's states as well.

What a text's states are does not depend on its companions: only texts of one padded width are read together. (In
bfloat16 states depend on the padded width, not on the number of rows.) So a score is the same however it is asked for.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from training.features import Features, FeatureWriter
from training.judgements import Answer
from training.scratch import ScratchFile
from training.sequences import Sequences, make_sequences, padded_width
from training.trunk import SplitModel

TOKENS_AT_ONCE = 2048
TRUNK_BYTES = 4_000_000_000
"""Disk for the trunk's states; texts beyond it are read again whenever they are needed."""
POOL_TOKENS = 64.0
"""Unit of the pooled sum: a reply of this many tokens has features of the size of one state."""


def length_of(answer: Answer) -> int:
    """Tokens of prompt and reply."""
    return len(answer.prompt_ids) + len(answer.token_ids)


def answer_sequences(answers: Sequence[Answer], pad_id: int) -> Sequences:
    """Answers as one padded batch."""
    return make_sequences([answer.prompt_ids for answer in answers], [answer.token_ids for answer in answers], pad_id)


def pool(states: Tensor, sequences: Sequences) -> Tensor:
    """Sum of the response states over `POOL_TOKENS`, in float32. [batch, width, size] -> [batch, size]."""
    return sequences.unpack(sequences.at_responses(states).float()).sum(1) / POOL_TOKENS


def groups_of_one_width(answers: Sequence[Answer]) -> list[list[int]]:
    """Indices in groups of one padded width, at most 2,048 tokens each, short texts first."""
    order = sorted(range(len(answers)), key=lambda index: length_of(answers[index]))
    groups: list[list[int]] = []
    width = 0
    for index in order:
        own = padded_width(length_of(answers[index]))
        if own != width or (len(groups[-1]) + 1) * own > TOKENS_AT_ONCE:
            groups.append([])
            width = own
        groups[-1].append(index)
    return groups


class TrunkStates:
    """The trunk's states of texts, in a file that lives as long as this does. bfloat16 or float32, as the trunk's."""

    def __init__(self, split: SplitModel) -> None:
        self._split = split
        self._file = ScratchFile()
        self._place: dict[Answer, int] = {}
        self._end = 0

    def put(self, answers: Sequence[Answer], states: Tensor) -> None:
        """Keep the states [batch, width, size] of texts, without their padding, while there is room."""
        raw = states.contiguous().view(torch.uint8).numpy()
        for answer, row in zip(answers, raw, strict=True):
            wanted = row[: length_of(answer)]
            if answer not in self._place and self._end + wanted.nbytes <= TRUNK_BYTES:
                self._file.write(self._end, wanted.tobytes())
                self._place[answer] = self._end
                self._end += wanted.nbytes

    def has(self, answers: Sequence[Answer]) -> bool:
        """Whether the states of all these texts are kept."""
        return all(answer in self._place for answer in answers)

    def get(self, answers: Sequence[Answer], sequences: Sequences) -> Tensor:
        """States of texts in the layout of `sequences`, zero at the padding. -> [batch, width, size]."""
        missing = [answer for answer in answers if answer not in self._place]
        fresh = dict(zip(missing, _trunk_states(self._split, missing), strict=True))
        size, dtype = self._split.base.model.config.hidden_size, self._split.base.model.dtype
        found = torch.zeros(*sequences.ids.shape, size, dtype=dtype)
        for row, answer in enumerate(answers):
            states = fresh[answer] if answer in fresh else self._read(answer, size, dtype)
            found[row, : len(states)] = states
        return found

    def _read(self, answer: Answer, size: int, dtype: torch.dtype) -> Tensor:
        count = length_of(answer) * size * dtype.itemsize
        return torch.frombuffer(self._file.read(self._place[answer], count), dtype=dtype).view(-1, size)


def _trunk_states(split: SplitModel, answers: Sequence[Answer]) -> list[Tensor]:
    """The trunk's states of each text, without padding. -> [length, size] each."""
    found: list[Tensor | None] = [None] * len(answers)
    for group in groups_of_one_width(answers):
        states = split.trunk(answer_sequences([answers[index] for index in group], split.base.pad_id).ids)
        for index, row in zip(group, states, strict=True):
            found[index] = row[: length_of(answers[index])].clone()
    return [states for states in found if states is not None]


@torch.no_grad()
def read_texts(
    split: SplitModel,
    answers: Sequence[Answer],
    top: Any = None,
    *,
    trunk: TrunkStates | None = None,
    keep: Collection[Answer] = (),
    progress: Callable[[float], None] = lambda share: None,
) -> Features:
    """Pooled states of texts, row by row in their order.

    `top` is the top whose states are pooled (None: the base's own). What `trunk` has is not computed again, and the
    trunk's states of the texts to `keep` go into it.
    """
    writer = FeatureWriter(len(answers), split.base.model.config.hidden_size)
    done, total = 0, max(sum(length_of(answer) for answer in answers), 1)
    for group in groups_of_one_width(answers):
        texts = [answers[index] for index in group]
        sequences = answer_sequences(texts, split.base.pad_id)
        is_kept = trunk is not None and trunk.has(texts)
        states = trunk.get(texts, sequences) if trunk is not None and is_kept else split.trunk(sequences.ids)
        if trunk is not None and not is_kept:
            kept = [row for row, text in enumerate(texts) if text in keep]
            if kept:
                trunk.put([texts[row] for row in kept], states[torch.tensor(kept)])
        writer.put(group, pool(split.top(top or split.reference, states), sequences))
        done += sum(length_of(text) for text in texts)
        progress(done / total)
    return writer.features()
