"""Checkpoints: a PPO that was stopped between iterations ends with the very weights of one that was not (oracle 13)."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from tests.training_fixtures import critic_settings, random_answers, random_reward_model, tiny_base
from training.judgements import Answer
from training.learner import DamagedCheckpoint, Learner, PromptQueue
from training.policy import Policy
from training.ppo import train
from training.ppo_settings import PpoSettings, Step
from training.ppo_update import Surroundings
from training.ptx import Example
from training.rollout import Drawing, Rollout
from training.trunk import SplitModel

SETTINGS = critic_settings(4, Drawing(0.7, 10), episodes=16, epochs=2, minibatches=2, missing_end_penalty=0.3)
WITH_MOMENTUM = replace(SETTINGS, step=Step.MOMENTUM, learning_rate=0.1, course=5.0)
PROMPTS = [answer.prompt_ids for answer in random_answers(24)]
EXAMPLES = [Example(Answer((5, 6, 7), (8, 9, 2)), 1.0), Example(Answer((5, 6), (3, 2)), 0.5)]


class _Killed(Exception):
    pass


def _learner(folder: Path, seed: int = 3, settings: PpoSettings = SETTINGS) -> Learner:
    policy = Policy(SplitModel(tiny_base(folder), top_layers=2), seed)
    return Learner.fresh(policy, PROMPTS, settings, seed, first_night=True)


def _train(
    learner: Learner,
    *,
    settings: PpoSettings = SETTINGS,
    checkpoint: Path | None = None,
    die_after: int | None = None,
) -> None:
    def keep(iteration: int, rollout: Rollout, learner: Learner) -> None:
        if checkpoint is not None:
            learner.save(checkpoint)
        if iteration == die_after:
            raise _Killed

    train(learner, random_reward_model(learner.policy.split), settings, Surroundings(keep=keep, examples=EXAMPLES))


def _untimed(learner: Learner) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in learner.history]


@pytest.mark.parametrize("settings", [SETTINGS, WITH_MOMENTUM], ids=["adam", "momentum"])
@pytest.mark.parametrize("die_after", [1, 3])
def test_continued_from_a_checkpoint_it_ends_with_the_same_weights_to_the_last_bit(
    tmp_path: Path, die_after: int, settings: PpoSettings
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = _learner(tmp_path / "a", settings=settings)
        _train(whole, settings=settings)
        killed, checkpoint = _learner(tmp_path / "b", settings=settings), tmp_path / "ppo.safetensors"
        with pytest.raises(_Killed):
            _train(killed, settings=settings, checkpoint=checkpoint, die_after=die_after)
        resumed = _learner(tmp_path / "c", settings=settings)
        resumed.load_(checkpoint)
        assert len(resumed.history) == die_after
        _train(resumed, settings=settings)
    finally:
        torch.set_num_threads(threads)
    for name, tensor in whole.policy.tensors().items():
        assert torch.equal(tensor, resumed.policy.tensors()[name]), name
    for name, tensor in whole.critic.state_dict().items():
        assert torch.equal(tensor, resumed.critic.state_dict()[name]), name
    assert whole.kl_control.beta == resumed.kl_control.beta
    untimed = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in one.history] for one in (whole, resumed)
    ]
    assert untimed[0] == untimed[1]


def test_a_later_night_continued_from_a_checkpoint_tells_the_same_way(tmp_path: Path) -> None:
    def later(folder: Path) -> Learner:
        policy = Policy(SplitModel(tiny_base(folder), top_layers=2), 3)
        with torch.no_grad():
            for number, weight in enumerate(policy.weights()):
                weight.add_(0.03 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
        return Learner.fresh(policy, PROMPTS, WITH_MOMENTUM, 3)

    whole = later(tmp_path / "a")
    _train(whole, settings=WITH_MOMENTUM)
    killed, checkpoint = later(tmp_path / "b"), tmp_path / "ppo.safetensors"
    with pytest.raises(_Killed):
        _train(killed, settings=WITH_MOMENTUM, checkpoint=checkpoint, die_after=2)
    resumed = later(tmp_path / "c")
    resumed.load_(checkpoint)
    _train(resumed, settings=WITH_MOMENTUM)
    moved = [figures["moved"] for figures in whole.history]
    assert moved[0] == 0.0
    assert all(each != 0.0 for each in moved[1:])
    assert moved == pytest.approx([figures["moved"] for figures in resumed.history], rel=1e-4)
    assert moved[1] != pytest.approx(whole.history[1]["kl"] - whole.history[0]["kl"], rel=1e-2)


def test_a_checkpoint_is_replaced_whole_and_an_unwritable_one_leaves_the_earlier(tmp_path: Path) -> None:
    learner = _learner(tmp_path)
    path = tmp_path / "work" / "ppo.safetensors"
    learner.save(path)
    first = path.read_bytes()
    learner.kl_control.beta = 0.77
    (path.parent / ".ppo.safetensors.new").mkdir()  # nothing can be written under that name
    with pytest.raises(SafetensorError, match="directory"):
        learner.save(path)
    assert path.read_bytes() == first
    (path.parent / ".ppo.safetensors.new").rmdir()
    learner.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["ppo.safetensors"]
    again = _learner(tmp_path / "again")
    again.load_(path)
    assert again.kl_control.beta == 0.77


def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path: Path) -> None:
    learner = _learner(tmp_path)
    path = tmp_path / "ppo.safetensors"
    learner.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedCheckpoint, match="start a new night"):
        learner.load_(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(DamagedCheckpoint, match="start a new night"):
        learner.load_(path)


def test_a_night_begun_with_other_steps_is_not_continued_with_these(tmp_path: Path) -> None:
    path = tmp_path / "ppo.safetensors"
    _learner(tmp_path).save(path)
    with pytest.raises(DamagedCheckpoint, match=r"steps of another kind.*start a new night"):
        _learner(tmp_path / "again", settings=WITH_MOMENTUM).load_(path)


def test_a_night_that_did_not_tell_how_far_it_moved_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "ppo.safetensors"
    learner = _learner(tmp_path)
    learner.history = [{"kl": 0.0, "seconds": 1.0}]
    learner.save(path)
    with pytest.raises(DamagedCheckpoint, match=r"how far its replies moved.*start a new night"):
        _learner(tmp_path / "again").load_(path)


def test_a_queue_goes_on_at_its_place(tmp_path: Path) -> None:
    numbers = [(number,) for number in range(7)]
    whole, half = PromptQueue(numbers, seed=5), PromptQueue(numbers, seed=5)
    expected = whole.take(30)
    begun = half.take(11)
    assert begun + PromptQueue(numbers, seed=5, taken=11).take(19) == expected
    assert sorted(expected[:7]) == numbers
    assert sorted(expected[7:14]) == numbers
