"""Where in padded tensors the response tokens are: two rows worked by hand, the end-of-turn token 2 in every place."""

import pytest
import torch

from training.sequences import Sequences, groups_by_length, make_sequences, padded_width, shared_prompts

PAD = 2
"""As in SmolLM2, whose tokenizer pads with the end-of-turn token."""


@pytest.fixture
def sequences() -> Sequences:
    """A reply of three tokens that ends its turn, and one of two that was cut short, after prompts with turn ends."""
    return make_sequences([[1, 2, 5], [1, 2, 6, 2]], [[7, 2, 2], [8, 9]], PAD)


def test_prompt_and_response_stand_at_the_left_and_padding_fills_the_next_multiple_of_16(sequences: Sequences) -> None:
    assert sequences.ids.tolist() == [[1, 2, 5, 7, 2, 2] + [PAD] * 10, [1, 2, 6, 2, 8, 9] + [PAD] * 10]
    assert [padded_width(length) for length in (1, 32, 33)] == [16, 32, 48]


def test_the_mask_comes_from_lengths_so_that_a_token_which_looks_like_padding_counts(sequences: Sequences) -> None:
    assert sequences.is_response.tolist() == [[True, True, True], [True, True, False]]
    assert sequences.response_ids().tolist() == [7, 2, 2, 8, 9]


def test_states_are_those_at_the_response_tokens_or_one_place_before(sequences: Sequences) -> None:
    places = torch.arange(2 * 32).view(2, 32, 1)  # each state says where it stands: row 1 begins at 32
    assert sequences.at_responses(places)[:, 0].tolist() == [3, 4, 5, 32 + 4, 32 + 5]
    assert sequences.at_responses(places, shift=-1)[:, 0].tolist() == [2, 3, 4, 32 + 3, 32 + 4]


def test_unpacking_puts_each_row_back_and_zeros_into_the_rest(sequences: Sequences) -> None:
    assert sequences.unpack(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).tolist() == [[1, 2, 3], [4, 5, 0]]
    packed = torch.tensor([[1, -1], [2, -2], [3, -3], [4, -4], [5, -5]])
    assert sequences.unpack(packed)[1].tolist() == [[4, -4], [5, -5], [0, 0]]


def test_an_empty_prompt_or_reply_is_refused() -> None:
    for prompts, responses in (([[]], [[1]]), ([[1]], [[]])):
        with pytest.raises(ValueError, match="at least one token"):
            make_sequences(prompts, responses, PAD)


def test_groups_are_of_about_equal_length_and_hold_each_index_once() -> None:
    # Lengths 1 1 3 | 4 9 10: shortest three, then the others.
    assert groups_by_length([9, 1, 4, 1, 10, 3], 3) == [[1, 3, 5], [2, 0, 4]]


def test_a_prompt_that_several_rows_share_is_told_once_even_where_one_begins_like_another() -> None:
    prompts = [[1, 5], [1, 5, 6], [1, 5], [1, 5, 6], [3], [1, 6]]
    rows, of = shared_prompts(make_sequences(prompts, [[6], [7], [8], [9], [6], [5]], PAD))
    assert rows.tolist() == [0, 1, 4, 5]
    assert of.tolist() == [0, 1, 0, 1, 2, 3]
