"""Log-probabilities, their gradient and entropies read block by block: equal to the plain formula, and to TRL's."""

import pytest
import torch
from torch import Tensor, nn

from training.word_probabilities import ROWS, WORDS, logps_of_words, token_logps, token_logps_and_entropies

MORE_ROWS, MORE_WORDS = ROWS + 88, 2 * WORDS + 100


def some(rows: int, words: int, *, bias: bool = True, spread: float = 1.0) -> tuple[nn.Linear, Tensor, Tensor]:
    """An output layer, states [rows, 16] and drawn ids [rows]; a larger spread: surer distributions."""
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(16, words, bias=bias).requires_grad_(False)
    head.weight.copy_(torch.randn(head.weight.shape, generator=generator))
    states = spread * torch.randn(rows, 16, generator=generator)
    return head, states, torch.randint(words, (rows,), generator=generator)


@pytest.mark.parametrize(("rows", "words"), [(5, 50), (MORE_ROWS, MORE_WORDS), (ROWS, WORDS), (1, WORDS + 1)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("bias", [True, False])
def test_log_probabilities_equal_those_of_the_whole_distribution_at_the_temperature(
    rows: int, words: int, spread: float, bias: bool
) -> None:
    head, states, ids = some(rows, words, bias=bias, spread=spread)
    states.requires_grad_()
    double = head.weight.double(), None if head.bias is None else head.bias.double()
    whole = torch.log_softmax(nn.functional.linear(states.double(), *double) / 0.7, -1)
    plain = whole.gather(-1, ids[:, None])[:, 0]
    ours = token_logps(states, head, ids, 0.7)
    near = {"atol": 1e-5 * max(spread, 1), "rtol": 1e-3}  # logits of hundreds have fewer digits behind the point
    torch.testing.assert_close(ours.double(), plain, **near)
    weights = torch.linspace(-1, 1, rows)
    [expected] = torch.autograd.grad((plain * weights).sum(), states)
    [gradient] = torch.autograd.grad((ours * weights).sum(), states)
    torch.testing.assert_close(gradient, expected, **near)
    logps, entropies = token_logps_and_entropies(states, head, ids, 0.7)
    assert torch.equal(logps, ours)  # the ratio of a first minibatch is exactly 1
    torch.testing.assert_close(entropies.double(), -(whole.exp() * whole).sum(-1), **near)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("words", [[7], [7, 30, 2]])
def test_the_chance_of_given_words_is_that_of_the_whole_distribution_and_so_is_its_gradient(
    words: list[int], bias: bool
) -> None:
    head, states, ids = some(40, MORE_WORDS, bias=bias)
    ids[:3] = torch.tensor([7, 30, 2])  # also where one of them was drawn
    states.requires_grad_()
    whole = torch.log_softmax(head(states).double() / 0.7, -1)
    plain = whole[:, words].logsumexp(-1)
    ours = logps_of_words(token_logps(states, head, ids, 0.7), states, head, ids, words, 0.7)
    torch.testing.assert_close(ours.double(), plain, atol=1e-4, rtol=1e-4)
    weights = torch.linspace(-1, 1, 40)
    [expected] = torch.autograd.grad((plain * weights).sum(), states)
    [gradient] = torch.autograd.grad((ours * weights).sum(), states)
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-3)


def test_bfloat16_keeps_its_digits_and_gives_float32() -> None:
    head, states, ids = some(40, MORE_WORDS)
    exact = token_logps(states, head, ids, 0.7)
    short = token_logps(states, head.bfloat16(), ids, 0.7)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, exact, atol=0.2, rtol=0)


@pytest.mark.filterwarnings("ignore")  # what the other library's import warns about is not ours to mend
def test_log_probabilities_and_entropies_equal_those_of_trl() -> None:
    from trl.trainer.utils import entropy_from_logits, selective_log_softmax

    head, states, ids = some(40, MORE_WORDS)
    logits = head(states) / 0.7
    logps, entropies = token_logps_and_entropies(states, head, ids, 0.7)
    torch.testing.assert_close(logps, selective_log_softmax(logits, ids), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, entropy_from_logits(logits), atol=1e-5, rtol=1e-5)
