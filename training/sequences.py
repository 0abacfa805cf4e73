"""Prompts with their replies as padded tensors, and where in them the response tokens are.

Padding is on the right: in a causal model it cannot reach any token before it, so a whole text needs no attention mask
and no token is ever told from padding by its id (in SmolLM2 the tokenizer's pad is the end-of-turn token). The padded
width is fixed when the tensors are made: in bfloat16 log-probabilities depend on it, by as much as PPO's clip range.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH_STEP = 16
"""Tokens. Half as much padding as with 32, and matrices whose rows still fill the processor's bfloat16 tiles."""


@dataclass(frozen=True)
class Sequences:
    """A batch of prompt + response.

    ids [batch, width]; prompt_lengths, response_lengths [batch]; is_response [batch, steps], steps being the longest
    response. Response token t of a row stands at `prompt_length + t` and is predicted from the position before it.
    """

    ids: Tensor
    prompt_lengths: Tensor
    response_lengths: Tensor

    @property
    def is_response(self) -> Tensor:
        steps = int(self.response_lengths.max())
        return torch.arange(steps)[None] < self.response_lengths[:, None]

    def at_responses(self, states: Tensor, shift: int = 0) -> Tensor:
        """States at the response tokens (shift -1: at the positions that predict them), packed.

        states [batch, width, size] -> [tokens, size], row by row in order; tokens = is_response.sum().
        """
        rows, steps = self.is_response.nonzero(as_tuple=True)
        return states[rows, self.prompt_lengths[rows] + steps + shift]

    def response_ids(self) -> Tensor:
        """Ids of the response tokens, packed: [tokens]."""
        rows, steps = self.is_response.nonzero(as_tuple=True)
        return self.ids[rows, self.prompt_lengths[rows] + steps]

    def unpack(self, packed: Tensor) -> Tensor:
        """[tokens, ...] -> [batch, steps, ...], zero outside the responses."""
        mask = self.is_response
        full = torch.zeros(*mask.shape, *packed.shape[1:], dtype=packed.dtype)
        return full.masked_scatter(mask.view(*mask.shape, *[1] * (packed.dim() - 1)), packed)


def make_sequences(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad_id: int, width: int | None = None
) -> Sequences:
    """Pad prompt + response on the right to a width, or else to a multiple of 16.

    Raises ValueError for an empty prompt or response.
    """
    if not all(prompts) or not all(responses):
        raise ValueError("Every prompt and every response needs at least one token.")
    longest = max(len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True))
    width = padded_width(longest) if width is None else width
    return Sequences(
        ids=padded([[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)], width, pad_id),
        prompt_lengths=torch.tensor([len(prompt) for prompt in prompts]),
        response_lengths=torch.tensor([len(response) for response in responses]),
    )


def shared_prompts(sequences: Sequences) -> tuple[Tensor, Tensor]:
    """Each prompt once: (the first row that has it [prompts], which of these prompts each row has [batch])."""
    first: dict[tuple[int, ...], int] = {}
    place: list[int] = []
    rows: list[int] = []
    for row, (ids, length) in enumerate(zip(sequences.ids.tolist(), sequences.prompt_lengths.tolist(), strict=True)):
        prompt = tuple(ids[:length])
        if prompt not in first:
            first[prompt] = len(rows)
            rows.append(row)
        place.append(first[prompt])
    return torch.tensor(rows), torch.tensor(place)


def padded(rows: Sequence[Sequence[int]], width: int, pad_id: int) -> Tensor:
    """Token ids padded on the right. -> [rows, width]."""
    return torch.tensor([[*row] + [pad_id] * (width - len(row)) for row in rows])


def padded_width(length: int) -> int:
    """The width to which a text of this many tokens is padded: the next multiple of 16."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


def groups_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in groups of about equal length, longest group last: little padding in each."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[start : start + size] for start in range(0, len(order), size)]
