"""From pooled states to scores and token shares, by the definition and with numbers worked by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, random_head, tiny_base
from training.reading import answer_sequences
from training.reward_model import RewardHead, RewardModel
from training.reward_start import reward_split
from training.trunk import SplitModel

ANSWERS = random_answers(20)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny")), top_layers=2)


def _head(**changes: float) -> RewardHead:
    """Two features: r = 3 (x - 1) / 2 - (y - 4) / 10."""
    weight, mean, scale = (torch.tensor(pair).double() for pair in ([3.0, -1.0], [1.0, 4.0], [2.0, 10.0]))
    return replace(RewardHead(weight, mean, scale, torch.tensor(-1.0), torch.tensor(0.0)), **changes)


def test_a_reward_is_the_standardised_features_times_the_weights_and_a_score_is_it_standardised_again() -> None:
    # x = 5, y = 14: 3 * 4 / 2 - 10 / 10 = 5; x = 1, y = 4: 0. z = (r - 1) / 2.
    pooled = torch.tensor([[5.0, 14.0], [1.0, 4.0]])
    assert _head().rewards(pooled).tolist() == pytest.approx([5.0, 0.0])
    assert _head(offset=1.0, spread=2.0).scores(pooled).tolist() == pytest.approx([2.0, -0.5])


def test_token_shares_and_the_constant_add_up_to_the_score() -> None:
    # Two tokens whose states sum to 64 * (5, 14): their shares are 32 * (3 * s / 2 - t / 10) / 64 / 2 each in turn.
    head = _head(offset=1.0, spread=2.0)
    states = torch.tensor([[128.0, 64.0], [192.0, 832.0]])
    # 1.5 / 128 * 128 - .1 / 128 * 64 = 1.45; 1.5 / 128 * 192 - .1 / 128 * 832 = 1.6; constant (-1.5 + .4 - 1) / 2
    assert head.token_shares(states).tolist() == pytest.approx([1.45, 1.6])
    assert head.constant == pytest.approx(-1.05)
    assert float(head.token_shares(states).sum()) + head.constant == pytest.approx(2.0)


def test_normalising_sets_mean_and_deviation_of_the_initial_replies() -> None:
    # Rewards 5 and 0: mean 2.5, sd 2.5.
    head = _head().normalised(torch.tensor([[5.0, 14.0], [1.0, 4.0]]))
    assert (head.offset, head.spread) == pytest.approx((2.5, 2.5))
    alike = _head().normalised(torch.ones(3, 2))
    assert alike.spread == 1.0  # nothing varies: no division by zero


def test_doubt_is_the_variance_of_the_members_and_is_taken_off_the_score(split: SplitModel) -> None:
    members = tuple(random_head(split, seed) for seed in range(3))
    model = RewardModel(split, members[0], members=members)
    pooled = model.pooled(ANSWERS)
    each = torch.stack([member.scores(pooled) for member in members])
    variance = ((each - each.mean(0)) ** 2).mean(0)
    assert float(variance.min()) > 0
    torch.testing.assert_close(model.scores(ANSWERS), each[0] - variance)
    assert not RewardModel(split, members[0]).doubt(pooled).any()


def test_a_head_from_before_states_halfway_were_read_gives_token_by_token_what_it_gives_the_text(
    split: SplitModel,
) -> None:
    head = random_head(split, last_states_alone=True)
    model = RewardModel(split, head)
    sequences = answer_sequences(ANSWERS, split.base.pad_id)
    trunk = split.trunk(sequences.ids)
    ends = split.top(split.reference, trunk)
    judged = model.judge(split, ANSWERS, sequences, trunk, ends)
    pooled = sequences.unpack(sequences.at_responses(ends).double()).sum(1) / 64
    expected = (((pooled - head.mean) / head.scale) @ head.weight - head.offset) / head.spread
    torch.testing.assert_close(judged.scores.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.scores(ANSWERS), expected, atol=1e-5, rtol=0)


def test_with_members_too_the_mean_score_of_the_initial_replies_is_zero(split: SplitModel) -> None:
    members = tuple(random_head(split, seed) for seed in range(3))
    scores = RewardModel(split, members[0], members=members).normalised(ANSWERS).scores(ANSWERS)
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("excited", [False, True])
def test_a_models_states_are_those_of_its_own_top_over_the_shared_trunk(split: SplitModel, excited: bool) -> None:
    adapter, top = split.adapter() if excited else (None, None)
    if adapter is not None:
        with torch.no_grad():
            for name, weight in adapter.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    model = RewardModel(split, random_head(split), adapter, top)
    ids = torch.tensor([[5, 6, 7, 8]])
    trunk = split.trunk(ids)
    base = split.top(split.reference, trunk)
    expected = split.top(top, trunk) if excited else base
    states = model.states(split, ids, trunk, base)
    with torch.no_grad():
        halfway = split.base.model.model(input_ids=ids, output_hidden_states=True).hidden_states[
            len(split.base.model.model.layers) // 2
        ]
    assert torch.equal(states, torch.cat([halfway, expected], -1))
    assert torch.equal(expected, base) is not excited


def test_a_policy_cut_elsewhere_is_judged_by_the_same_scores(
    split: SplitModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, answers = SplitModel(split.base, top_layers=3), ANSWERS[:6]
    adapter, top = elsewhere.adapter()
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(0))
    by_head = RewardModel(elsewhere, random_head(split, 1))
    by_lora = replace(by_head, adapter=adapter, adapter_top=top)
    wanted = [model.scores(answers).float() for model in (by_head, by_lora)]
    assert not torch.allclose(*wanted, atol=1e-3)
    sequences = answer_sequences(answers, split.base.pad_id)
    trunk = split.trunk(sequences.ids)
    given = (split, answers, sequences, trunk, split.top(split.reference, trunk))
    torch.testing.assert_close(by_lora.judge(*given).scores, wanted[1], atol=1e-4, rtol=1e-4)
    other = reward_split(split, "scratch", tmp_path, seed=3, layers=2)
    of_other = RewardModel(other, random_head(split, 1))
    torch.testing.assert_close(of_other.judge(*given).scores, of_other.scores(answers).float(), atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(elsewhere, "trunk", None)  # a head needs nothing that the policy has not read
    torch.testing.assert_close(by_head.judge(*given).scores, wanted[0], atol=1e-4, rtol=1e-4)
