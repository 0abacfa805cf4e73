"""Reading texts once: their pooled states into a file, and for those that train a LoRA the trunk's states as well.

What a text's states are does not depend on its companions: only prompts of one padded width are read together, and only
replies of one padded width after them. (In bfloat16 states depend on the padded width, not on the number of rows.) So a
score is the same however it is asked for.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from training.features import Features, FeatureWriter
from training.judgements import Answer
from training.scratch import ScratchFile
from training.sequences import Sequences, make_sequences, padded, padded_width
from training.trunk import ReadPrompts, SplitModel

TOKENS_AT_ONCE = 2048
TRUNK_BYTES = 4_000_000_000
"""Disk for the trunk's states; texts beyond it are read again whenever they are needed."""
T = TypeVar("T")
POOL_TOKENS = 64.0
"""Unit of the pooled sum: a reply of this many tokens has features of the size of one state."""


def length_of(answer: Answer) -> int:
    """Tokens of prompt and reply."""
    return len(answer.prompt_ids) + len(answer.token_ids)


def answer_sequences(answers: Sequence[Answer], pad_id: int, width: int | None = None) -> Sequences:
    """Answers as one padded batch."""
    prompts, replies = [answer.prompt_ids for answer in answers], [answer.token_ids for answer in answers]
    return make_sequences(prompts, replies, pad_id, width)


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


@dataclass(frozen=True)
class Together:
    """Answers whose prompts have one padded width and are read once, each with however many replies.

    `parts` are the indices of answers whose replies have one padded width too.
    """

    prompts: tuple[tuple[int, ...], ...]
    prompt_width: int
    parts: tuple[tuple[int, ...], ...]


def read_together(answers: Sequence[Answer]) -> list[Together]:
    """Answers in groups of one layout, at most about 2,048 tokens at once, short prompts first."""
    found = []
    indices_of: dict[tuple[int, ...], list[int]] = {}
    for index, answer in enumerate(answers):
        indices_of.setdefault(answer.prompt_ids, []).append(index)
    for width, same in _by(lambda prompt: padded_width(len(prompt)), indices_of).items():
        for chunk in _chunks(same, TOKENS_AT_ONCE // max(width, 1)):
            indices = [index for prompt in chunk for index in indices_of[prompt]]
            by_reply = _by(lambda index: padded_width(len(answers[index].token_ids)), indices)
            parts = [part for own, rows in by_reply.items() for part in _chunks(rows, TOKENS_AT_ONCE // (width + own))]
            found.append(Together(tuple(chunk), width, tuple(map(tuple, parts))))
    return found


def _by(key: Callable[[T], int], items: Iterable[T]) -> dict[int, list[T]]:
    """Items by a number, the smallest first."""
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return dict(sorted(groups.items()))


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    size = max(size, 1)
    return [items[start : start + size] for start in range(0, len(items), size)]


class TrunkStates:
    """The trunk's states of texts, in a file that lives as long as this does. bfloat16 or float32, as the trunk's."""

    def __init__(self, split: SplitModel) -> None:
        self._split = split
        self._file = ScratchFile()
        self._place: dict[Answer, int] = {}
        self._end = 0

    def put(self, answer: Answer, states: Tensor) -> None:
        """Keep the states [length, trunk_size] of a text while there is room; of those halfway, only the reply's."""
        size = self._split.size
        parts = [states[:, -size:]]
        if self._split.trunk_size > size:
            parts.append(states[len(answer.prompt_ids) :, :size])
        raw = torch.cat(parts).contiguous().view(torch.uint8).numpy()
        if answer not in self._place and self._end + raw.nbytes <= TRUNK_BYTES:
            self._file.write(self._end, raw.tobytes())
            self._place[answer] = self._end
            self._end += raw.nbytes

    def has_room_for(self, answers: Sequence[Answer]) -> bool:
        """Whether the states of all these texts may be kept."""
        return sum(self._numbers(answer) for answer in answers) * self._split.base.model.dtype.itemsize <= TRUNK_BYTES

    def _numbers(self, answer: Answer) -> int:
        beside = len(answer.token_ids) if self._split.trunk_size > self._split.size else 0
        return (length_of(answer) + beside) * self._split.size

    def has(self, answers: Sequence[Answer]) -> bool:
        """Whether the states of all these texts are kept."""
        return all(answer in self._place for answer in answers)

    def get(self, answers: Sequence[Answer], sequences: Sequences) -> Tensor:
        """States of texts in the layout of `sequences`, zero at the padding. -> [batch, width, size]."""
        missing = [answer for answer in answers if answer not in self._place]
        fresh = dict(zip(missing, trunk_states(self._split, missing), strict=True))
        rows = (fresh[answer] if answer in fresh else self.of(answer) for answer in answers)
        return stacked([*rows], sequences.ids.shape[1])

    def of(self, answer: Answer) -> Tensor:
        """The states of a text that is kept, as they were put. -> [length, trunk_size]."""
        size, length, prompt = self._split.size, length_of(answer), len(answer.prompt_ids)
        dtype = self._split.base.model.dtype
        raw = self._file.read(self._place[answer], self._numbers(answer) * dtype.itemsize)
        kept = torch.frombuffer(raw, dtype=dtype).view(-1, size)
        if self._split.trunk_size == size:
            return kept
        states = torch.zeros(length, 2 * size, dtype=dtype)
        states[:, size:], states[prompt:, :size] = kept[:length], kept[length:]
        return states


def stacked(rows: Sequence[Tensor], width: int) -> Tensor:
    """States [length, size] each, zero behind their end. -> [rows, width, size]."""
    found = torch.zeros(len(rows), width, rows[0].shape[-1], dtype=rows[0].dtype)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


class GroupReader:
    """Reads the answers of one group below the cut and by a top: their prompts once, when the first of them is wanted.

    `top` is the top whose states are pooled (None: the base's own); what `kept` has is not read again below the cut.
    """

    def __init__(
        self,
        split: SplitModel,
        answers: Sequence[Answer],
        together: Together,
        top: Any = None,
        kept: TrunkStates | None = None,
    ) -> None:
        self._split, self._together, self._top, self._kept = split, together, top or split.reference, kept
        self._one_of = {answers[index].prompt_ids: answers[index] for part in together.parts for index in part}
        self._place = {prompt: index for index, prompt in enumerate(together.prompts)}
        self._lengths = torch.tensor([len(prompt) for prompt in together.prompts])
        self._below_cut: ReadPrompts | None = None
        self._by_top: ReadPrompts | None = None

    def states(self, answers: Sequence[Answer]) -> list[Tensor]:
        """The trunk's states of a part of the group, without padding. -> [length, trunk_size] each.

        Nobody reads a prompt's states halfway: they are 0.
        """
        if self._kept is not None and self._kept.has(answers):
            return [self._kept.of(answer) for answer in answers]
        prompts, of = self._read_below(), self._prompts_of(answers)
        replies = self._split.read_replies(prompts, of, self._ids(answers))
        found = [
            torch.cat([prompts.states[place, : len(answer.prompt_ids)], reply[: len(answer.token_ids)]])
            for place, answer, reply in zip(of, answers, replies, strict=True)
        ]
        for states, answer in zip(found, answers, strict=True):
            states[: len(answer.prompt_ids), : -self._split.size] = 0.0
        return found

    def pooled(self, answers: Sequence[Answer], states: Sequence[Tensor]) -> Tensor:
        """Pooled states of a part of the group. states [length, trunk_size] each, the trunk's -> [batch, 2 size]."""
        replies = [text[len(answer.prompt_ids) :] for answer, text in zip(answers, states, strict=True)]
        below, of = stacked(replies, self._steps(answers)), self._prompts_of(answers)
        ends = self._split.top_of_replies(self._top, self._read_by_top(), of, below)
        return pool(
            self._split.beside(below, ends),
            Sequences(self._ids(answers), torch.zeros_like(of), torch.tensor([*map(len, replies)])),
        )

    def _read_below(self) -> ReadPrompts:
        if self._below_cut is None:
            ids = padded(self._together.prompts, self._together.prompt_width, self._split.base.pad_id)
            self._below_cut = self._split.read_prompts(ids, self._lengths)
        return self._below_cut

    def _read_by_top(self) -> ReadPrompts:
        if self._by_top is None:
            self._by_top = self._split.top_of_prompts(self._top, self._kept_prompts() or self._read_below())
        return self._by_top

    def _kept_prompts(self) -> ReadPrompts | None:
        """The trunk's states of all prompts, where a text of each is kept."""
        texts = [self._one_of[prompt] for prompt in self._together.prompts]
        if self._kept is None or not self._kept.has(texts):
            return None
        rows = [self._kept.of(text)[: len(text.prompt_ids)] for text in texts]
        return ReadPrompts(stacked(rows, self._together.prompt_width), self._lengths)

    def _prompts_of(self, answers: Sequence[Answer]) -> Tensor:
        return torch.tensor([self._place[answer.prompt_ids] for answer in answers])

    def _ids(self, answers: Sequence[Answer]) -> Tensor:
        """Of the replies alone. -> [batch, steps]."""
        return padded([answer.token_ids for answer in answers], self._steps(answers), self._split.base.pad_id)

    @staticmethod
    def _steps(answers: Sequence[Answer]) -> int:
        return padded_width(max(len(answer.token_ids) for answer in answers))


@torch.no_grad()
def trunk_states(
    split: SplitModel, answers: Sequence[Answer], check: Callable[[], None] = lambda: None
) -> list[Tensor]:
    """The trunk's states of each text, without padding. -> [length, size] each. `check` may raise to give up."""
    found: dict[int, Tensor] = {}
    for together in read_together(answers):
        reader = GroupReader(split, answers, together)
        for part in together.parts:
            check()
            found |= zip(part, reader.states([answers[index] for index in part]), strict=True)
    return [found[index] for index in range(len(answers))]


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
    writer = FeatureWriter(len(answers), 2 * split.size)
    done, total = 0, max(sum(length_of(answer) for answer in answers), 1)
    for together in read_together(answers):
        reader = GroupReader(split, answers, together, top, trunk)
        for part in together.parts:
            texts = [answers[index] for index in part]
            states = reader.states(texts)
            for text, rows in zip(texts, states, strict=True):
                if trunk is not None and text in keep:
                    trunk.put(text, rows)
            writer.put([*part], reader.pooled(texts, states))
            done += sum(length_of(text) for text in texts)
            progress(done / total)
    return writer.features()
