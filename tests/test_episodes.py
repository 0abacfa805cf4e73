"""From a rollout to advantages: where the score is paid out, and what it is compared with."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

import pytest
import torch

from tests.training_fixtures import critic_settings, random_answers, random_reward_model, tiny_base
from training.advantages import leave_one_out, returns_to_go, token_rewards
from training.critic import Critic
from training.episodes import estimate_advantages, rollout_figures, shaped_rewards
from training.judgements import Answer
from training.policy import Policy
from training.ppo_settings import Baseline, Credit, PpoSettings
from training.rollout import Drawing, Rollout, evaluate
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 12)
END = critic_settings(1, DRAWING)
DENSE = replace(END, credit=Credit.DENSE)
GROUP = replace(DENSE, baseline=Baseline.GROUP, replies=4)


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    return evaluate(policy, random_reward_model(policy.split), random_answers(24), DRAWING, replies=4)


def test_shares_go_to_their_tokens_and_the_rest_of_the_score_to_the_last() -> None:
    # Row 1: kl .1 .1 .1, beta 1, shares .5 .25 .5, score 2: -.1 + .5, -.1 + .25, -.1 + .5 + (2 - 1.25).
    # Row 2: one token: -.1 + .3 + (1 - .3); what lies behind it is not read.
    kl = torch.tensor([[0.1, 0.1, 0.1], [0.1, 9.0, 9.0]])
    shares = torch.tensor([[0.5, 0.25, 0.5], [0.3, float("nan"), 7.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    found = token_rewards(kl, torch.tensor([2.0, 1.0]), mask, 1.0, shares)
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.15, 1.15], [0.9, 0.0, 0.0]]))


def test_a_reply_is_compared_with_the_others_to_its_prompt_and_not_with_itself() -> None:
    # Prompt 0: rows 0, 1, 3 with 1, 2, 6; prompt 1: rows 2, 4 with 10, 20.
    found = leave_one_out(torch.tensor([1.0, 2.0, 10.0, 6.0, 20.0]), torch.tensor([0, 0, 1, 0, 1]))
    torch.testing.assert_close(found, torch.tensor([4.0, 3.5, 20.0, 1.5, 10.0]))
    with pytest.raises(ValueError, match="two replies"):
        leave_one_out(torch.tensor([1.0, 2.0]), torch.tensor([0, 1]))


def test_returns_to_go_are_sums_of_what_is_still_to_come() -> None:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 3.0, 99.0]])
    expected = torch.tensor([[7.0, 6.0, 4.0], [4.0, 3.0, 0.0]])
    torch.testing.assert_close(returns_to_go(rewards, mask, 1.0), expected)


def test_both_ways_of_paying_out_pay_the_same_but_for_the_constant_no_token_changes(rollout: Rollout) -> None:
    at_end, dense = (shaped_rewards(rollout, settings, 0.1).sum(1) for settings in (END, DENSE))
    constant = rollout.groups[0].judged.constant
    assert constant != 0.0
    torch.testing.assert_close(at_end - dense, torch.full_like(dense, constant), atol=1e-4, rtol=0)


def test_with_lambda_one_an_untrained_critic_gives_both_the_same_advantages(rollout: Rollout) -> None:
    # At the end: score - running score so far; dense: the shares still to come. The same sum.
    critic = Critic(rollout.groups[0].features.shape[-1] - 2, 0)
    one, other = (estimate_advantages(rollout, critic, settings, 0.1) for settings in (END, DENSE))
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left.advantages, right.advantages, atol=1e-3, rtol=0)


def test_the_group_baseline_is_the_mean_return_of_the_other_replies_from_the_same_place_on(rollout: Rollout) -> None:
    rewards = shaped_rewards(rollout, GROUP, 0.1)
    mask = rollout.is_response
    expected = torch.zeros_like(rewards)
    for row in range(24):
        others = [other for other in range(24) if other // 4 == row // 4 and other != row]
        for step in range(int(mask[row].sum())):
            own = float(rewards[row, step:][mask[row, step:]].sum())
            theirs = sum(float(rewards[other, step:][mask[other, step:]].sum()) for other in others) / 3
            expected[row, step] = own - theirs
    entries = expected[mask]
    whitened = (expected - entries.mean()) / entries.std(correction=0)
    for entry in estimate_advantages(rollout, Critic(64, 0), GROUP, 0.1):
        steps = entry.advantages.shape[1]
        wanted = torch.where(entry.group.sequences.is_response, whitened[entry.group.rows, :steps], 0.0)
        torch.testing.assert_close(entry.advantages, wanted, atol=1e-3, rtol=1e-3)


def test_paid_at_the_end_the_group_baseline_gives_all_tokens_of_a_reply_one_advantage(rollout: Rollout) -> None:
    settings = replace(GROUP, credit=Credit.END)
    for entry in estimate_advantages(rollout, Critic(64, 0), settings, 0.1):
        mask = entry.group.sequences.is_response
        for row in range(len(mask)):
            assert entry.advantages[row][mask[row]].unique().numel() == 1


def test_an_episode_keeps_its_place_whatever_group_it_was_padded_with(rollout: Rollout) -> None:
    lengths = rollout.episodes(lambda group: group.sequences.response_lengths)
    assert lengths.tolist() == [len(answer.token_ids) for answer in rollout.answers]
    assert rollout.is_response.sum(1).tolist() == lengths.tolist()
    finished = rollout.episodes(lambda group: group.finished)
    assert finished.tolist() == [answer.token_ids[-1] == 2 for answer in rollout.answers]
    kl = rollout.episodes(lambda group: group.old)
    assert not kl[~rollout.is_response].any()


def test_every_nat_of_drift_from_the_initial_model_costs_beta(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    with torch.no_grad():
        policy.weights()[1].normal_(0.0, 0.3)
    moved = evaluate(policy, random_reward_model(policy.split), random_answers(16), DRAWING)
    assert float(moved.kl().abs().min()) > 0.0
    for settings in (END, DENSE):
        free, fined = (shaped_rewards(moved, settings, beta).sum(1) for beta in (0.0, 0.5))
        torch.testing.assert_close(free - fined, 0.5 * moved.kl(), atol=1e-4, rtol=0)


def test_a_reply_that_repeats_itself_pays_for_it_and_no_other_does(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    answers = [*random_answers(6), Answer((5, 6), (7,) * 7), Answer((5, 6), (7,) * 6)]  # four times (7, 7, 7, 7); three
    replies = evaluate(policy, random_reward_model(policy.split), answers, DRAWING)
    assert replies.looping().tolist() == [False] * 6 + [True, False]
    for settings in (END, DENSE):
        paid, free = (shaped_rewards(replies, replace(settings, loop_penalty=much), 0.1) for much in (2.0, 0.0))
        torch.testing.assert_close((free - paid).sum(1), 2.0 * replies.looping().float(), atol=1e-5, rtol=0)
        assert float((free - paid)[6, 6]) == pytest.approx(2.0, abs=1e-5)  # with its last token


def test_nothing_that_the_update_is_given_carries_a_gradient(rollout: Rollout) -> None:
    for entry in estimate_advantages(rollout, Critic(64, 0), END, 0.1):
        for tensor in (entry.advantages, entry.returns, entry.old_values, entry.group.old, entry.group.features):
            assert not tensor.requires_grad


def test_a_score_far_from_all_that_was_seen_is_cut_off(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    model = random_reward_model(policy.split)
    for sign in (1.0, -1.0):
        wild = replace(model, head=replace(model.head, spread=sign * 1e-3))
        scores = evaluate(policy, wild, random_answers(16), DRAWING).episodes(lambda group: group.scores)
        assert float(scores.abs().max()) == 5.0


def test_the_error_of_the_onlookers_mean_counts_prompts_and_not_their_replies(tmp_path: Path) -> None:
    policy = Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)
    model, onlooker = (random_reward_model(policy.split, seed) for seed in (0, 1))
    watched = evaluate(policy, model, random_answers(16), DRAWING, replies=4, watcher=onlooker)
    figures = rollout_figures(watched, estimate_advantages(watched, Critic(64, 0), END, 0.1), 0.1)
    scores = evaluate(policy, onlooker, random_answers(16), DRAWING).episodes(lambda group: group.judged.scores)
    by_prompt = [float(scores[start : start + 4].mean()) for start in range(0, 16, 4)]
    assert figures["watched"] == pytest.approx(fmean(by_prompt), abs=1e-5)
    assert figures["watched_error"] == pytest.approx(pstdev(by_prompt) / 2, abs=1e-5)


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="3 replies"):
        PpoSettings(1, DRAWING, replies=3)
    with pytest.raises(ValueError, match="at least 2"):
        PpoSettings(1, DRAWING, replies=1)
