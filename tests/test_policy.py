"""A policy that has learned something, against its LoRA merged by hand into a plain model, a row at a time."""

import copy
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, tiny_base
from training.judgements import Answer
from training.policy import ALPHA, RANK, Policy, reference_logps, reference_logps_and_ends
from training.reading import answer_sequences
from training.trunk import SplitModel

TEMPERATURE = 0.7


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """With a LoRA that changes what is said."""
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in policy.weights():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return policy


def _merged_by_hand(policy: Policy) -> torch.nn.Module:
    """W + alpha / rank * B A, by PEFT's names."""
    model = copy.deepcopy(policy.split.base.model)
    tensors = policy.tensors()
    with torch.no_grad():
        for name in [name for name in tensors if name.endswith("lora_A.weight")]:
            place = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            change = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
            model.get_submodule(place).weight += ALPHA / RANK * change
    return model


@torch.no_grad()
def _by_definition(model: torch.nn.Module, answer: Answer) -> torch.Tensor:
    """log softmax(logits / T) of each reply token, read at the token before it."""
    ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
    before = model(ids).logits[0, len(answer.prompt_ids) - 1 : -1]
    return torch.log_softmax(before / TEMPERATURE, -1).gather(1, torch.tensor(answer.token_ids)[:, None])[:, 0]


def test_policy_and_reference_say_what_the_merged_model_and_the_base_say(policy: Policy) -> None:
    answers = random_answers(5)
    sequences = answer_sequences(answers, 0)
    trunk = policy.split.trunk(sequences.ids)
    base_states = policy.split.top(policy.split.reference, trunk)
    with torch.no_grad():
        of_policy = policy.logps(trunk, sequences, TEMPERATURE)
        of_base = reference_logps(policy.split, base_states, sequences, TEMPERATURE)
        ends_of_policy = policy.logps_and_ends(trunk, sequences, TEMPERATURE)
        ends_of_base = reference_logps_and_ends(policy.split, base_states, sequences, TEMPERATURE)
    merged = _merged_by_hand(policy)
    assert torch.equal(ends_of_policy[0], of_policy)
    assert torch.equal(ends_of_base[0], of_base)
    assert float((of_policy - of_base).abs().max()) > 0.05  # the LoRA is felt at all
    for found, model in ((of_policy, merged), (of_base, policy.split.base.model)):
        for row, answer in zip(found, answers, strict=True):
            steps = len(answer.token_ids)
            torch.testing.assert_close(row[:steps], _by_definition(model, answer), atol=1e-4, rtol=0)
            assert not row[steps:].any()
    stops = sorted(policy.split.base.stop_ids)
    for ends, model in ((ends_of_policy[1], merged), (ends_of_base[1], policy.split.base.model)):
        for row, answer in zip(ends, answers, strict=True):
            ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
            with torch.no_grad():
                before = model(ids).logits[0, len(answer.prompt_ids) - 1 : -1]
            expected = torch.log_softmax(before / TEMPERATURE, -1)[:, stops].logsumexp(-1)
            torch.testing.assert_close(row[: len(answer.token_ids)], expected, atol=1e-4, rtol=0)


def test_the_twin_that_draws_replies_is_the_policy_with_its_lora_merged(policy: Policy) -> None:
    ids = torch.tensor([random_answers(1)[0].prompt_ids])
    with torch.no_grad():
        torch.testing.assert_close(policy.twin()(ids).logits, _merged_by_hand(policy)(ids).logits, atol=1e-5, rtol=0)


def test_only_the_lora_is_trained_and_all_of_it(policy: Policy) -> None:
    trained = {id(weight) for weight in policy.weights()}
    assert trained == {id(weight) for weight in policy.adapter.parameters() if weight.requires_grad}
    assert len(trained) == 2 * 2 * 7  # A and B of seven matrices in two layers
