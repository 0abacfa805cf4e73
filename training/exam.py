"""The exam: candidate and champion answer the same held-out prompts with the same seed; an examiner compares them.

The examiner is a reward model fitted on the exam side's judgements only, so it shares no label with the one PPO
trained against. A prompt counts as won when the examiner scores the candidate's reply higher, as half when equal.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from training.conduct import Conduct, conduct
from training.judgements import Answer
from training.policy import Policy
from training.reward_model import RewardModel
from training.rollout import Drawing, draw, evaluate

BOOTSTRAP_DRAWS = 10_000


@dataclass(frozen=True)
class ExamResult:
    """What the exam found; `champion` is before the night, `candidate` after."""

    prompts: int
    win_rate: float
    win_rate_low: float
    """One-sided 95 % lower bound, bootstrap over prompts."""
    reward_before: float
    reward_after: float
    """Mean z of the reward model that PPO trained against, champion and candidate."""
    examiner_before: float
    examiner_after: float
    kl: float
    """Candidate to the initial model, nats per reply."""
    champion: Conduct
    candidate: Conduct

    def as_dict(self) -> dict[str, object]:
        """For reports: conduct as `champion_length`, `candidate_length` and so on."""
        flat = {name: value for name, value in asdict(self).items() if not isinstance(value, dict)}
        for side in ("champion", "candidate"):
            flat |= {f"{side}_{name}": value for name, value in asdict(getattr(self, side)).items()}
        return flat


def examine(
    policy: Policy,
    champion: object,
    reward_model: RewardModel,
    examiner: RewardModel,
    prompts: Sequence[Sequence[int]],
    drawing: Drawing,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> tuple[ExamResult, list[Answer], list[Answer]]:
    """Draw from both, compare; returns the result and the replies of champion and candidate, prompt by prompt."""
    split = policy.split
    old = draw(split, champion, prompts, drawing, torch.Generator().manual_seed(seed), check)
    new = draw(split, policy.twin(), prompts, drawing, torch.Generator().manual_seed(seed), check)
    rollout = evaluate(policy, reward_model, new, drawing, check=check)
    judged_old, judged_new = examiner.scores(old), examiner.scores(new)
    wins = (judged_new > judged_old).double() + 0.5 * (judged_new == judged_old).double()
    result = ExamResult(
        prompts=len(prompts),
        win_rate=float(wins.mean()),
        win_rate_low=bootstrap_low(wins, seed),
        reward_before=float(reward_model.scores(old).mean()),
        reward_after=float(reward_model.scores(new).mean()),
        examiner_before=float(judged_old.mean()),
        examiner_after=float(judged_new.mean()),
        kl=rollout.mean_kl(),
        champion=conduct(old, split.base.stop_ids),
        candidate=conduct(new, split.base.stop_ids),
    )
    return result, old, new


def bootstrap_low(values: Tensor, seed: int) -> float:
    """One-sided 95 % lower bound of the mean, by resampling prompts. values [prompts]."""
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(values), (BOOTSTRAP_DRAWS, len(values)), generator=generator)
    return float(values[picks].mean(1).quantile(0.05))
