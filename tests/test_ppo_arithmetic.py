"""The arithmetic of an iteration of PPO, against numbers worked by hand."""

import pytest
from transformers import LlamaConfig

from benchmarks.ppo_arithmetic import ModelShape, Tokens

SHAPE = ModelShape(layer=10.0, head=100.0, layers=3)
TOKENS = Tokens(episodes=2, prompt=8, response=5)


def test_a_layers_operations_are_twice_its_weights() -> None:
    # size 8, 4 heads of 2, 2 of them with keys and values, MLP 16, 50 words:
    # q 8x8 = 64, k and v 4x8 = 32 each, o 64, three matrices of 16x8 = 128: 576 weights; output layer 50x8 = 400.
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    assert ModelShape.of(config) == ModelShape(layer=1152, head=800, layers=3)


def test_the_embedded_model_takes_7_million_operations_a_layer_and_57_million_for_the_words() -> None:
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
    )
    # 2 (2 x 576 x 576 + 2 x 576 x 192 + 3 x 576 x 1536) = 7,077,888; 2 x 576 x 49,152 = 56,623,104
    assert ModelShape.of(config) == ModelShape(layer=7_077_888, head=56_623_104, layers=30)


def test_drawing_reads_every_token_but_the_last_of_a_reply_and_predicts_each_reply_token() -> None:
    # 8 + 5 - 2 = 11 tokens through 3 layers of 10, 5 predictions of 100
    assert SHAPE.draw(TOKENS) == 11 * 30 + 5 * 100


def test_ours_reads_the_trunk_once_and_goes_back_through_the_top_only() -> None:
    work = SHAPE.ours(TOKENS, top=1, epochs=4)
    # trunk 13 x 2 layers = 260; old and reference: top 13 x 10 + words 5 x 100 = 630 each
    assert work.evaluate == 260 + 2 * 630
    # 4 epochs, forwards and backwards
    assert work.update == 4 * 2 * 630
    assert work.draw == SHAPE.draw(TOKENS)


def test_the_textbook_reads_the_whole_model_for_each_role_and_predicts_the_prompt_too() -> None:
    work = SHAPE.textbook(TOKENS, epochs=4)
    # whole model 13 x 30 = 390; with words everywhere 390 + 13 x 100 = 1690: policy and reference; critic and reward
    assert work.evaluate == 2 * 1690 + 2 * 390
    assert work.update == 4 * 2 * (1690 + 390)
    assert work.draw == SHAPE.draw(TOKENS)


def test_with_all_layers_on_top_ours_differs_from_the_textbook_by_shared_passes_and_the_words_of_the_prompts() -> None:
    ours, textbook = SHAPE.ours(TOKENS, top=3, epochs=1), SHAPE.textbook(TOKENS, epochs=1)
    words_of_prompts = 8 * 100
    whole = 13 * 30
    to_the_middle = 13 * 10  # whose states a reward model reads, once more below a top of all layers
    assert textbook.evaluate - ours.evaluate == pytest.approx(2 * whole + 2 * words_of_prompts - to_the_middle)
    assert textbook.update - ours.update == pytest.approx(2 * whole + 2 * words_of_prompts)
