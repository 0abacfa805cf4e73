"""Oracles 9, 10, 11 and 12 on a tiny model: a fresh policy is the base, gradients flow where they should only."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from nightschool.model import fingerprint
from tests.seeding import liking
from tests.training_fixtures import critic_settings, random_answers, random_reward_model, tiny_base
from training import ppo
from training.critic import Critic
from training.episodes import Episodes, estimate_advantages
from training.invariants import TrainingBroken
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.learner import Learner, PromptQueue
from training.losses import policy_loss
from training.policy import Policy
from training.ppo import bound_passed, kl_target_now, may_continue_, penalty_now, run_ppo, train
from training.ppo_settings import PpoSettings
from training.ppo_update import Surroundings, imitate_, pretrain_critic_, update_
from training.ptx import Example, ptx_loss
from training.reading import answer_sequences
from training.reward_fit import fit_head, make_batch
from training.reward_model import RewardModel, pooled_states
from training.rollout import Drawing, Rollout, draw, evaluate, roll_out
from training.split import Side
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 12)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(SplitModel(tiny_base(tmp_path), top_layers=2), seed=0)


def _rollout(policy: Policy) -> Rollout:
    return evaluate(policy, random_reward_model(policy.split), random_answers(24), DRAWING)


def _step(policy: Policy, rollout: Rollout, **changes: float) -> dict[str, float]:
    settings = replace(critic_settings(1, DRAWING, epochs=1, minibatches=1), **changes)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    for optimiser in (learner.policy_optimiser, learner.critic_optimiser):
        optimiser.param_groups[0]["lr"] = 1e-2
    episodes = estimate_advantages(rollout, learner.critic, settings, settings.beta, learner.watch)
    return update_(learner, episodes, settings, Surroundings())


def test_a_fresh_policy_has_no_kl_to_the_initial_model_and_moves_with_the_first_step(policy: Policy) -> None:
    rollout = _rollout(policy)
    for group in rollout.groups:
        assert torch.equal(group.old, group.reference)
    figures = _step(policy, rollout)
    assert figures["clip_fraction"] == 0.0  # the ratio is exactly 1 on the first minibatch
    assert figures["k3_to_old"] == 0.0
    after = _rollout(policy)
    assert after.mean_kl() != 0.0
    assert not torch.equal(after.groups[0].old, after.groups[0].reference)


@pytest.mark.parametrize("ends_kept", [0.0, 10.0])
def test_a_reward_for_going_on_takes_ends_away_unless_they_are_kept(policy: Policy, ends_kept: float) -> None:
    """Twenty steps against every end that was drawn; how often the replies end then, by the policy's own chances."""
    answers = draw(policy.split, policy.twin(), [(5, 9, 7)] * 64, DRAWING, torch.Generator().manual_seed(0))
    rollout = evaluate(policy, random_reward_model(policy.split), answers, DRAWING)
    settings = critic_settings(1, DRAWING, epochs=20, minibatches=1, k3_limit=1e9, ends_kept=ends_kept)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    learner.policy_optimiser.param_groups[0]["lr"] = 1e-2
    critic = Critic(policy.split.base.model.config.hidden_size, 0)

    def against_ends(entry: Episodes) -> Episodes:
        stops = torch.tensor(sorted(policy.split.base.stop_ids))
        group, steps = entry.group, entry.advantages.shape[1]
        drawn = group.sequences.unpack(torch.isin(group.sequences.response_ids(), stops).float())[:, :steps]
        return replace(entry, advantages=0.1 * group.sequences.is_response[:, :steps] - 2.0 * drawn)

    episodes = [against_ends(e) for e in estimate_advantages(rollout, critic, settings, 0.0)]
    figures = update_(learner, episodes, settings, Surroundings())
    chances = []
    for entry in episodes:
        group = entry.group
        with torch.no_grad():
            _, ends = policy.logps_and_ends(group.trunk, group.sequences, DRAWING.temperature)
        mask = group.sequences.is_response
        chances.append((float(ends.exp()[mask].sum()), float(group.reference_ends.exp()[mask].sum())))
    left = sum(now for now, _ in chances) / sum(first for _, first in chances)
    assert left > 0.75 if ends_kept else left < 0.5
    assert figures["ends_loss"] > 0.0


def test_a_policy_whose_log_probabilities_changed_before_its_first_step_stops_the_night(policy: Policy) -> None:
    rollout = _rollout(policy)
    with torch.no_grad():
        policy.weights()[1].add_(0.5)
    with pytest.raises(TrainingBroken, match="ratio 1 before the first step"):
        _step(policy, rollout)


def test_a_score_that_is_not_finite_stops_the_night(policy: Policy) -> None:
    rollout = _rollout(policy)
    first = replace(rollout.groups[0], scores=rollout.groups[0].scores * float("nan"))
    with pytest.raises(TrainingBroken, match="not finite"):
        _step(policy, replace(rollout, groups=(first, *rollout.groups[1:])))


def test_one_step_changes_the_lora_and_the_critic_and_nothing_of_the_base(policy: Policy) -> None:
    before = fingerprint(policy.split.base.model)
    weights = [weight.clone() for weight in policy.weights()]
    _step(policy, _rollout(policy))
    # B starts at zero, so at the first step only B has a gradient: A's is zero until B is not.
    moved = [not torch.equal(old, new) for old, new in zip(weights, policy.weights(), strict=True)]
    assert sum(moved) >= len(moved) // 2
    assert fingerprint(policy.split.base.model) == before
    assert all(weight.grad is None for weight in policy.split.base.model.parameters())


def _gradients(policy: Policy, entry: Episodes) -> list[torch.Tensor]:
    group, mask = entry.group, entry.group.sequences.is_response
    new = policy.logps(group.trunk, group.sequences, DRAWING.temperature)
    loss = policy_loss(new, group.old, entry.advantages, mask, 0.2, int(mask.sum()))
    return list(torch.autograd.grad(loss, policy.weights()))


def test_every_lora_b_gets_a_gradient_and_padding_tokens_get_no_say_in_it(policy: Policy) -> None:
    rollout = _rollout(policy)
    critic = Critic(policy.split.base.model.config.hidden_size, 0)
    entry = estimate_advantages(rollout, critic, critic_settings(1, DRAWING), 0.1)[0]
    plain = _gradients(policy, entry)
    names = [name for name, _ in policy.adapter.named_parameters() if "lora_" in name]
    assert all(bool(grad.any()) for name, grad in zip(names, plain, strict=True) if "lora_B" in name)
    sequences = entry.group.sequences
    ids, states = sequences.ids.clone(), entry.group.trunk.clone()
    for row, (prompt, response) in enumerate(
        zip(sequences.prompt_lengths.tolist(), sequences.response_lengths.tolist(), strict=True)
    ):
        ids[row, prompt + response :], states[row, prompt + response :] = 99, 7.0
    assert not torch.equal(ids, sequences.ids)
    disturbed = replace(entry.group, sequences=replace(sequences, ids=ids), trunk=states)
    for before, after in zip(plain, _gradients(policy, replace(entry, group=disturbed)), strict=True):
        assert torch.equal(before, after)


def test_two_policies_on_one_base_do_not_disturb_each_other(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    one, other = Policy(split, 0), Policy(split, 1)
    _step(one, _rollout(one))
    untouched = _rollout(other)
    assert untouched.mean_kl() == 0.0
    _step(other, untouched)  # its gradients still flow after the first one trained


def test_the_twin_that_draws_is_the_policy_that_learns(policy: Policy) -> None:
    _step(policy, _rollout(policy))
    sequences = answer_sequences(random_answers(8), 0)
    with torch.no_grad():
        states = policy.twin().model(input_ids=sequences.ids, use_cache=False).last_hidden_state
        ours = policy.logps(policy.split.trunk(sequences.ids), sequences, 0.7)
    logits = policy.split.base.model.lm_head(sequences.at_responses(states, shift=-1)) / 0.7
    theirs = torch.log_softmax(logits, -1).gather(-1, sequences.response_ids()[:, None])[:, 0]
    torch.testing.assert_close(sequences.unpack(theirs), ours, atol=1e-5, rtol=0)


def test_log_probabilities_are_those_of_the_tokens_and_not_of_their_neighbours(policy: Policy) -> None:
    # Against the whole model, one row at a time, without any padding or packing.
    answers = random_answers(5)
    sequences = answer_sequences(answers, 0)
    with torch.no_grad():
        ours = policy.logps(policy.split.trunk(sequences.ids), sequences, 0.7)
        for row, answer in enumerate(answers):
            ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
            log_p = torch.log_softmax(policy.split.base.model(ids).logits[0] / 0.7, -1)
            start = len(answer.prompt_ids)
            for step, token in enumerate(answer.token_ids):
                expected = float(log_p[start + step - 1, token])
                assert float(ours[row, step]) == pytest.approx(expected, abs=1e-4)


def test_scores_read_the_reply_up_to_its_last_token_ended_or_not(policy: Policy) -> None:
    model = random_reward_model(policy.split)
    answers = random_answers(6)  # end-of-turn tokens inside every prompt, every second reply cut short
    scores = model.scores(answers)
    for index, answer in enumerate(answers):
        ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
        with torch.no_grad():
            whole = policy.split.base.model.model
            read = whole(input_ids=ids, use_cache=False, output_hidden_states=True)
        states = torch.cat([read.hidden_states[len(whole.layers) // 2][0], read.last_hidden_state[0]], -1)
        pooled = states[len(answer.prompt_ids) :].double().sum(0) / 64
        head = model.head
        reward = float(((pooled - head.mean) / head.scale) @ head.weight)
        assert float(scores[index]) == pytest.approx((reward - head.offset) / head.spread, abs=1e-4)


def test_the_shares_of_the_tokens_add_up_to_the_score_and_the_critic_starts_from_them(policy: Policy) -> None:
    model = random_reward_model(policy.split)
    answers = random_answers(8)
    rollout = evaluate(policy, model, answers, DRAWING)
    found = torch.cat([group.scores for group in rollout.groups]).sort().values
    expected = model.scores(answers).clamp(-5, 5).float().sort().values
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    group = rollout.groups[0]
    critic = Critic(policy.split.base.model.config.hidden_size, 0)
    with torch.no_grad():
        assert torch.equal(critic(group.features, group.judged.running), group.judged.running)
    torch.testing.assert_close(group.judged.running[:, 0], torch.full((8,), model.head.constant).float())


def test_a_reply_that_did_not_end_pays_the_penalty(policy: Policy) -> None:
    rollout = _rollout(policy)
    critic = Critic(policy.split.base.model.config.hidden_size, 0)
    free, fined = (
        estimate_advantages(rollout, critic, critic_settings(1, DRAWING, missing_end_penalty=penalty), 0.0)
        for penalty in (0.0, 1.0)
    )
    for before, after in zip(free, fined, strict=True):
        difference = (before.returns - after.returns)[:, 0]
        torch.testing.assert_close(difference, (~before.group.finished).float(), atol=1e-5, rtol=0)


def test_endings_are_paid_for_in_full_only_once_fewer_replies_end_than_at_first_or_of_the_initial_model() -> None:
    settings = critic_settings(1, DRAWING, missing_end_penalty=1.0, missing_end_steps=4)
    assert settings.episodes == 64  # so a share of .5 has an error of .0625
    assert penalty_now([0.5], settings) == 0.25
    assert penalty_now([0.5, 0.5, 0.6, 0.45], settings) == 0.25
    assert penalty_now([0.5, 0.6, 0.4], settings) == 0.5  # no credit is saved up
    assert penalty_now([0.5, 0.4, 0.4, 0.6, 0.4], settings) == 0.75
    assert penalty_now([0.5, *[0.4] * 9], settings) == 1.0
    assert penalty_now([0.5], replace(settings, missing_end_steps=0)) == 1.0
    # Where the first rollout's few prompts say less than is known of the initial model, that is asked for.
    assert penalty_now([0.5, 0.55], settings, 0.6) == 0.5
    assert penalty_now([0.5, 0.55, 0.6], settings, 0.6) == 0.25
    assert penalty_now([0.7, 0.62], settings, 0.6) == 0.5


def test_a_night_whose_replies_end_less_and_less_pays_for_it_more_and_more(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = critic_settings(4, DRAWING, missing_end_penalty=1.0, missing_end_steps=4)
    paid: dict[str, list[float]] = {"pretrain_critic_": [], "estimate_advantages": []}

    def noted(name: str) -> None:
        real = getattr(ppo, name)

        def note(*given: Any) -> Any:
            paid[name] += [each.missing_end_penalty for each in given if isinstance(each, PpoSettings)]
            return real(*given)

        monkeypatch.setattr(ppo, name, note)

    for name in paid:
        noted(name)
    learner = Learner.fresh(policy, [answer.prompt_ids for answer in random_answers(16)], settings, seed=0)
    endings = [0.85, 0.81, 0.75, 0.95]  # .81 is within chance of the first, and below the initial model's
    monkeypatch.setattr(Rollout, "finished_share", lambda rollout: endings[len(learner.history)])
    history = train(learner, random_reward_model(policy.split), settings, Surroundings(initial_finished=0.82))
    assert paid == {"pretrain_critic_": [0.25], "estimate_advantages": [0.25, 0.5, 0.75, 0.5]}
    assert [figures["missing_end_penalty"] for figures in history] == paid["estimate_advantages"]


def test_advantages_are_white_over_the_whole_rollout(policy: Policy) -> None:
    critic = Critic(policy.split.base.model.config.hidden_size, 0)
    episodes = estimate_advantages(_rollout(policy), critic, critic_settings(1, DRAWING), 0.1)
    assert len(episodes) > 1
    every = torch.cat([entry.advantages[entry.group.sequences.is_response] for entry in episodes])
    assert float(every.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(every.std(correction=0)) == pytest.approx(1.0, abs=1e-3)


def test_pretraining_the_critic_lowers_its_error(policy: Policy) -> None:
    rollout = _rollout(policy)
    settings = critic_settings(1, DRAWING)
    learner = Learner.fresh(policy, [(1,)], settings, 0)

    def error() -> float:
        episodes = estimate_advantages(rollout, learner.critic, settings, 0.1)
        gaps = [(e.returns - e.old_values)[e.group.sequences.is_response] for e in episodes]
        return float(torch.cat(gaps).square().mean())

    before = error()
    pretrain_critic_(learner, rollout, settings, Surroundings())
    assert error() < 0.5 * before


def test_a_gradient_accumulated_over_groups_is_the_gradient_of_the_whole_minibatch(policy: Policy) -> None:
    critic = Critic(policy.split.base.model.config.hidden_size, 0)
    episodes = estimate_advantages(_rollout(policy), critic, critic_settings(1, DRAWING), 0.1)
    count = sum(int(entry.group.sequences.response_lengths.sum()) for entry in episodes)
    total = [torch.zeros_like(weight) for weight in policy.weights()]
    losses = []
    for entry in episodes:
        new = policy.logps(entry.group.trunk, entry.group.sequences, 0.7)
        mask = entry.group.sequences.is_response
        losses.append((-entry.advantages * torch.exp(new - entry.group.old))[mask])
        parts = torch.autograd.grad(
            policy_loss(new, entry.group.old, entry.advantages, mask, 0.2, count), policy.weights()
        )
        total = [one + other for one, other in zip(total, parts, strict=True)]
    new_losses = []
    for entry in episodes:
        mask = entry.group.sequences.is_response
        new = policy.logps(entry.group.trunk, entry.group.sequences, 0.7)
        new_losses.append((-entry.advantages * torch.exp(new - entry.group.old))[mask])
    whole = torch.autograd.grad(torch.cat(new_losses).mean(), policy.weights())
    for one, other in zip(total, whole, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-3)


def test_an_update_moves_policy_and_critic_each_by_its_own_optimiser(policy: Policy) -> None:
    settings = critic_settings(1, DRAWING, epochs=1, minibatches=1)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    critic = {name: value.clone() for name, value in learner.critic.state_dict().items()}
    episodes = estimate_advantages(_rollout(policy), learner.critic, settings, 0.1)
    update_(learner, episodes, settings, Surroundings())
    moved = {name for name, value in learner.critic.state_dict().items() if not torch.equal(value, critic[name])}
    assert {"linear.weight", "linear.bias", "out.weight", "out.bias"} <= moved
    assert any(float(weight.detach().abs().max()) > 0 for weight in policy.weights()[1::2])  # B was 0


def test_gradients_of_one_step_do_not_stay_for_the_next(policy: Policy) -> None:
    settings = critic_settings(1, DRAWING, epochs=1, minibatches=1)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    for optimiser in (learner.policy_optimiser, learner.critic_optimiser):
        optimiser.param_groups[0]["lr"] = 0.0
    episodes = estimate_advantages(_rollout(policy), learner.critic, settings, 0.1)
    norms = [update_(learner, episodes, settings, Surroundings())["gradient_norm"] for _ in range(2)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_texts_to_imitate_are_learned_beside_the_reward(policy: Policy) -> None:
    text = Answer((5, 6, 7), (8, 9, 2))
    settings = critic_settings(1, DRAWING, epochs=4, minibatches=2, ptx=1.0, ptx_share=10.0)
    rollout = _rollout(policy)
    losses = []
    for examples in ([], [Example(text, 1.0)]):
        own = Policy(policy.split, seed=0)
        learner = Learner.fresh(own, [(1,)], settings, 0)
        learner.policy_optimiser.param_groups[0]["lr"] = 3e-3
        episodes = estimate_advantages(rollout, learner.critic, settings, 0.1)
        figures = update_(learner, episodes, settings, Surroundings(examples=examples))
        assert ("ptx_loss" in figures) == bool(examples)
        with torch.no_grad():
            losses.append(float(ptx_loss(own, [Example(text, 1.0)], 1, torch.Generator())))
    assert losses[1] < losses[0] - 0.2


@pytest.mark.parametrize(("ptx", "length"), [(1e3, 0.3), (1e-3, None)])
def test_what_is_imitated_pulls_no_harder_than_its_share_of_the_reward(
    policy: Policy, ptx: float, length: float | None
) -> None:
    examples = [Example(Answer((5, 6, 7), (8, 9, 2)), 1.0)]
    settings = critic_settings(1, DRAWING, ptx=ptx, ptx_share=0.3)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    with torch.no_grad():
        for weight in policy.weights():  # at B = 0 nothing pulls at A
            weight.normal_(0.0, 0.1)
    generator = torch.Generator().manual_seed(0)
    of_reward = [torch.randn(weight.shape, generator=generator) for weight in policy.weights()]
    for weight, gradient in zip(policy.weights(), of_reward, strict=True):
        weight.grad = gradient.clone()
    loss = imitate_(learner, settings, Surroundings(examples=examples))
    alone = ptx_loss(policy, examples, 4, torch.Generator())
    assert loss == pytest.approx(float(alone.detach()), rel=1e-5)
    added = [weight.grad - before for weight, before in zip(policy.weights(), of_reward, strict=True)]  # type: ignore[operator]
    long, longest = (torch.nn.utils.get_total_norm(each) for each in (added, of_reward))
    if length is None:  # shorter than its share: as it is
        own = torch.nn.utils.get_total_norm(torch.autograd.grad(ptx * alone, policy.weights()))
        assert float(long) == pytest.approx(float(own), rel=0.01)
    else:
        assert float(long) == pytest.approx(length * float(longest), rel=1e-4)


def _history(*rows: tuple[float, float, float]) -> list[dict[str, float]]:
    return [
        {"kl": kl, "reward": reward, "watched": watched, "watched_error": 0.1, "seconds": 10.0}
        for kl, reward, watched in rows
    ]


@pytest.mark.parametrize(
    ("rows", "stopped"),
    [
        ([(0.0, 0.0, 0.0), (1.0, 0.1, 0.1)], ""),
        # Errors of .1 are .082 for the difference of two averages of three.
        ([(0.0, 0.0, 0.5), *[(0.1, 0.4, 0.5)] * 2, *[(0.2, 0.5, 0.25)] * 3], "examiner"),
        ([(0.0, 0.0, 0.5), *[(0.1, 0.4, 0.5)] * 2, *[(0.2, 0.5, 0.26)] * 3], ""),  # by .24: not surely
        ([(0.0, 0.0, 0.0), *[(0.1, 0.4, 0.5)] * 3, (0.2, 0.4, 0.4), *[(0.2, 0.5, 0.25)] * 3], "examiner"),
        ([(0.0, 0.0, 0.5), *[(0.1, 0.4, 0.5)] * 2, (0.2, 0.5, 0.9), *[(0.2, 0.5, 0.4)] * 3], ""),  # one lucky draw
        ([(0.0, 0.0, 0.5), *[(0.1, 0.4, 0.5)] * 2, *[(0.2, 0.5, 0.1)] * 2], ""),  # too few to tell
        ([(0.0, 0.7, 0.5), *[(0.1, 0.4, 0.5)] * 2, *[(0.2, 0.5, 0.1)] * 3], ""),  # the reward fell as well
        ([(0.0, 0.0, 0.0)] * 9, "time"),
        ([(0.0, 0.0, 0.0)] * 20, "all iterations"),
    ],
)
def test_a_night_ends_when_its_time_is_up_or_the_onlooker_disagrees(
    policy: Policy, rows: list[tuple[float, float, float]], stopped: str
) -> None:
    settings = critic_settings(20, DRAWING, seconds=95.0)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    learner.history = _history(*rows)
    assert may_continue_(learner, settings) == (stopped == "")
    assert stopped in learner.stopped


def test_an_iteration_that_waited_for_other_work_does_not_end_a_night(policy: Policy) -> None:
    settings = critic_settings(20, DRAWING, seconds=95.0)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    for seconds, goes_on in ([[10.0, 10.0, 50.0], True], [[10.0, 30.0, 30.0], False], [[40.0], True], [[50.0], False]):
        learner.history = [
            figures | {"seconds": each} for figures, each in zip(_history((0.0, 0.0, 0.0)) * 3, seconds, strict=False)
        ]
        assert may_continue_(learner, settings) == goes_on, seconds


@pytest.mark.parametrize(
    ("kls", "moves", "words"),
    [
        ((0.0, 5.0), (0.0, 5.0), ""),
        ((0.0, 5.0, 4.9, 5.2), (0.0, 5.0, 4.9, 5.2), "the replies moved 4.9 nats, enough for one night"),
        ((0.0, 4.5, 5.9), (0.0, 4.5, 5.9), ""),  # chance, it may be: 3.5 on average
        ((0.0, 0.5, 6.1), (0.0, 0.5, 6.1), "the replies moved 0.5 nats, enough for one night"),
        ((0.0, 6.0, 4.9), (0.0, 6.0, 4.9), ""),  # back again
        ((0.0, 1.0, 7.0, 4.9, 4.9), (0.0, 1.0, 7.0, 4.9, 4.9), ""),
        ((9.0, 8.0, 7.0), (0.0, 3.5, 5.5), ""),
        ((9.0, 7.0, 5.0), (1.0, 6.0, 9.0), "the replies moved 6.0 nats, enough for one night"),  # and came nearer
        ((9.0, 9.9, 9.9, 9.9), (0.0, 1.0, 1.0, 1.0), ""),
        (
            (9.0, 11.0, 9.5, 10.1),
            (0.0, 1.0, 1.0, 1.0),
            "the replies are 9.5 nats from the initial model, as far as all",
        ),
        ((3.0, 3.0, 12.1), (0.0, 0.0, 0.0), "the replies are 3.0 nats from the initial model, as far as all nights"),
        ((10.1,), (0.0,), "the replies are 10.1 nats from the initial model, as far as all nights together may go"),
    ],
)
def test_drift_has_a_bound_for_a_night_and_one_for_all(
    policy: Policy, kls: tuple[float, ...], moves: tuple[float, ...], words: str
) -> None:
    settings = critic_settings(20, DRAWING, kl_night=5.0, kl_total=10.0)
    learner = Learner.fresh(policy, [(1,)], settings, 0)
    learner.history = [{"kl": kl, "moved": moved} for kl, moved in zip(kls[:-1], moves[:-1], strict=True)]
    told = bound_passed(learner, kls[-1], moves[-1], settings)
    assert words in told
    assert bool(told) == bool(words)


def _shifted(policy: Policy, by: float) -> Policy:
    """A policy that lies `by` of chance away from a fresh one."""
    other = Policy(policy.split, seed=0)
    with torch.no_grad():
        for number, weight in enumerate(other.weights()):
            weight.add_(by * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
    return other


def test_what_a_night_moved_is_told_from_where_it_began(policy: Policy) -> None:
    scorer, settings = random_reward_model(policy.split), critic_settings(4, DRAWING)
    answers = random_answers(12)

    fresh = Learner.fresh(_shifted(policy, 0.0), [(1,)], settings, 0)
    assert not fresh.policy.is_changed()
    rollout = evaluate(_shifted(policy, 0.05), scorer, answers, DRAWING)
    expected = float(rollout.kl().mean())
    assert abs(expected) > 0.001
    assert fresh.moved(rollout, DRAWING.temperature) == pytest.approx(expected, rel=1e-4)

    later = Learner.fresh(_shifted(policy, 0.05), [(1,)], settings, 0)
    assert later.policy.is_changed()
    assert later.moved(rollout, DRAWING.temperature) == pytest.approx(0.0, abs=1e-6)
    later.policy.take_over_(_shifted(policy, 0.1).copy())
    before = later.policy.copy()
    on = evaluate(_shifted(policy, 0.1), scorer, answers, DRAWING)
    began = [_shifted(policy, 0.05).logps(each.trunk, each.sequences, DRAWING.temperature) for each in on.groups]
    gained = [float((group.old - logps.detach()).sum()) for group, logps in zip(on.groups, began, strict=True)]
    expected = sum(gained) / 12
    assert abs(expected) > 0.001
    assert later.moved(on, DRAWING.temperature) == pytest.approx(expected, rel=1e-4)
    assert fresh.moved(on, DRAWING.temperature) != pytest.approx(expected, rel=1e-2)
    assert all(torch.equal(later.policy.copy()[name], weight) for name, weight in before.items())


@pytest.mark.parametrize("resumed", [False, True])
def test_an_update_that_goes_beyond_a_bound_is_taken_back(tmp_path: Path, policy: Policy, resumed: bool) -> None:
    prompts = [answer.prompt_ids for answer in random_answers(16)]
    settings = critic_settings(6, DRAWING, episodes=16, learning_rate=2e-2, kl_night=0.3)
    scorer, kept = random_reward_model(policy.split), []
    learner = Learner.fresh(policy, prompts, settings, 0)

    def keep(iteration: int, rollout: Rollout, learner: Learner) -> None:
        kept.append(learner.policy.copy())
        learner.save(tmp_path / "checkpoint.safetensors")

    history = train(learner, scorer, settings, Surroundings(keep=keep))
    assert "enough for one night" in learner.stopped
    assert len(history) == len(kept) < 6  # a rollout after the last update lay beyond
    if resumed:  # killed before it was taken back
        learner = Learner.fresh(Policy(policy.split, seed=1), prompts, settings, 7)
        learner.load_(tmp_path / "checkpoint.safetensors")
        train(learner, scorer, settings, Surroundings())
        assert "enough for one night" in learner.stopped
    fresh = Policy(policy.split, seed=0).copy()
    before = kept[-2] if len(kept) > 1 else fresh
    found = learner.policy.copy()
    assert all(torch.equal(found[name], weight) for name, weight in before.items())
    assert any(not torch.equal(found[name], weight) for name, weight in kept[-1].items())


def test_a_champion_that_has_drifted_as_far_as_may_be_is_not_trained_further(policy: Policy) -> None:
    with torch.no_grad():
        policy.weights()[1].normal_(0.0, 2.0)
    settings = critic_settings(3, DRAWING, kl_total=0.01, episodes=16)
    learner = Learner.fresh(policy, [answer.prompt_ids for answer in random_answers(16)], settings, 0)
    before = [weight.clone() for weight in policy.weights()]
    assert train(learner, random_reward_model(policy.split), settings, Surroundings()) == []
    assert "all nights together" in learner.stopped
    assert all(torch.equal(old, new) for old, new in zip(before, policy.weights(), strict=True))


def test_the_penalty_on_drift_acts_within_a_night(policy: Policy) -> None:
    learner = Learner.fresh(policy, [(1,)], critic_settings(1, DRAWING), 0)
    for _ in range(12):  # one night of rollouts twice as far as the target: e = 0.2 each, horizon 2 rollouts
        learner.kl_control.update_(12.0, 64)
    assert learner.kl_control.beta == pytest.approx(0.1 * 1.1**12)


@pytest.mark.parametrize(("start", "after"), [(0.1, 0.1), (0.03, 0.03), (0.25, 0.1)])
def test_the_penalty_falls_no_lower_than_usual_or_than_it_was_set(policy: Policy, start: float, after: float) -> None:
    learner = Learner.fresh(policy, [(1,)], critic_settings(1, DRAWING, beta=start), 0)
    for _ in range(30):
        learner.kl_control.update_(0.0, 64)
    assert learner.kl_control.beta == pytest.approx(after)


def test_epochs_end_once_the_policy_has_moved_from_the_one_that_drew_the_replies(policy: Policy) -> None:
    # With one minibatch an epoch the first sees no move yet, the second sees that of the first.
    assert _step(policy, _rollout(policy), epochs=4, k3_limit=0.0)["epochs"] == 2.0
    assert _step(policy, _rollout(policy), epochs=4, k3_limit=1e9)["epochs"] == 4.0


def test_from_iteration_to_iteration_the_rate_falls_and_the_penalty_follows_the_drift(policy: Policy) -> None:
    # Drift is 0 in the first rollout and far below the target in the second: beta * .9 after each.
    settings = critic_settings(2, DRAWING, episodes=16, epochs=1, kl_target=1e6, beta=0.5)
    learner = Learner.fresh(policy, [answer.prompt_ids for answer in random_answers(16)], settings, 0)
    history = train(learner, random_reward_model(policy.split), settings, Surroundings())
    assert [figures["beta"] for figures in history] == pytest.approx([0.5, 0.45])
    assert learner.kl_control.beta == pytest.approx(0.405)
    assert learner.policy_optimiser.param_groups[0]["lr"] == pytest.approx(settings.learning_rate / 2)


def test_the_target_of_drift_is_told_from_where_the_night_began(policy: Policy) -> None:
    settings = critic_settings(1, DRAWING, kl_target=6.0, kl_total=11.0)
    assert [kl_target_now(start, settings) for start in (0.0, 2.0, 8.5, 12.0)] == pytest.approx([6.0, 8.0, 9.9, 9.9])
    assert kl_target_now(0.0, replace(settings, kl_target=1e9)) == 1e9
    # On 2026-12-01 a third night began 8.5 nats away, and beta pulled it back from its first iteration on.
    later, scorer = _shifted(policy, 0.08), random_reward_model(policy.split)
    prompts = [answer.prompt_ids for answer in random_answers(16)]
    start = roll_out(later, scorer, prompts, DRAWING, torch.Generator().manual_seed(0)).mean_kl()
    near = replace(settings, kl_target=start / 2, kl_total=100.0, episodes=16, beta=0.5)
    learner = Learner.fresh(later, prompts, near, 0)
    train(learner, scorer, near, Surroundings())
    assert learner.history[0]["kl"] > near.kl_target > 0.0
    assert learner.kl_control.beta < 0.5


def test_ppo_makes_rewarded_words_more_likely(tmp_path: Path) -> None:
    # A reward that can be known: a head fitted to tell replies with many words of the tiny model's one kind.
    base = tiny_base(tmp_path, layers=2)
    split = SplitModel(base, top_layers=2)
    prompts = [answer.prompt_ids for answer in random_answers(64)]
    replies = draw(split, base.model, prompts * 4, DRAWING, torch.Generator().manual_seed(1))
    better = sorted(replies, key=lambda answer: liking(list(answer.token_ids)))
    pairs = [
        PairJudgement(good, bad, Preferred.LEFT, 1.0, str(index), Side.TRAIN, ("duel", str(index)))
        for index, (bad, good) in enumerate(zip(better[:100], better[-100:], strict=True))
    ]
    features = pooled_states(split, replies)
    row_of = {answer: row for row, answer in enumerate(replies)}
    head = fit_head(features, make_batch(Judgements(tuple(pairs), ()), row_of), 0.1).normalised(features)
    policy = Policy(split, seed=0)
    settings = critic_settings(8, DRAWING, beta=0.03, missing_end_penalty=0.0, learning_rate=1e-3)
    history = run_ppo(policy, RewardModel(split, head), prompts, settings, 0, lambda iteration, figures: None)
    assert history[0]["kl"] == 0.0
    assert history[-1]["reward"] > history[0]["reward"] + 0.5
    after = draw(split, policy.twin(), prompts * 4, DRAWING, torch.Generator().manual_seed(2))

    def liked(answers: list[Answer]) -> float:
        return fmean(liking(list(answer.token_ids)) for answer in answers)

    assert liked(after) > liked(replies) + 0.05  # the words themselves, not only the reward model's opinion


def test_prompts_are_used_once_each_before_any_is_used_twice() -> None:
    queue = PromptQueue([(number,) for number in range(10)], seed=0)
    assert sorted(queue.take(4) + queue.take(6)) == [(number,) for number in range(10)]
    assert len(queue.take(25)) == 25
