"""Exams of the tests: figures of a candidate that is better, and figures drawn by chance."""

from dataclasses import replace

import torch

from training.conduct import Conduct
from training.exam import ExamResult, compared

STEADY = Conduct(length=40, finished=0.6, empty=0.0, looping=0.02, variety=0.8, in_script=0.98, copies=0.01)
GOOD = ExamResult(
    prompts=128,
    replies=1,
    components=128,
    win_rate=0.65,
    win_rate_low=0.58,
    win_rate_high=0.72,
    gain=0.5,
    gain_low=0.3,
    gain_high=0.7,
    sign_wins=83,
    sign_losses=45,
    sign_p=0.0005,
    length_controlled=0.63,
    reward_before=0.0,
    reward_after=0.8,
    examiner_before=0.0,
    examiner_after=0.5,
    kl=4.0,
    entropy=1.8,
    entropy_initial=2.0,
    perplexity=1.02,
    doubt_before=0.5,
    doubt_after=0.6,
    heads_for=5,
    heads=5,
    base_untouched=True,
    champion=STEADY,
    candidate=STEADY,
    worst=(5, 1, 7),
)


def simulated_exam(
    generator: torch.Generator,
    *,
    advantage: float = 0.0,
    prompts: int = 128,
    replies: int = 1,
    largest_component: int = 1,
    heavy: bool = False,
) -> ExamResult:
    """An exam of two versions of which the second scores `advantage` standard deviations higher.

    Prompts lie in components of 1 to `largest_component`, which share a part of their margin; with `heavy` tails some
    margins are twenty times the usual ones. Conduct is drawn for both from the same shares.
    """

    def drawn(share: float) -> float:
        return float((torch.rand(prompts * replies, generator=generator) < share).double().mean())

    def some_conduct() -> Conduct:
        length = 40.0 + float(torch.randn((), generator=generator))
        shares = {"finished": drawn(0.6), "empty": drawn(0.004), "looping": drawn(0.02), "in_script": drawn(0.98)}
        return Conduct(length=length, variety=0.8, copies=drawn(0.02), **shares)

    components: list[str] = []
    while len(components) < prompts:
        size = int(torch.randint(1, largest_component + 1, (), generator=generator))
        components += [str(len(components))] * min(size, prompts - len(components))
    number = {name: place for place, name in enumerate(dict.fromkeys(components))}
    rows = torch.tensor([number[name] for name in components]).repeat_interleave(replies)
    noise = torch.randn(len(rows), generator=generator, dtype=torch.float64)
    if heavy:
        noise *= torch.where(torch.rand(len(rows), generator=generator) < 0.05, 20.0, 1.0)
    margins = advantage + noise + torch.randn(len(number), generator=generator, dtype=torch.float64)[rows]
    names = [name for name in components for _ in range(replies)]
    leads = torch.randn(len(rows), generator=generator, dtype=torch.float64) * 10
    figures = compared(margins, names, leads, seed=0, draws=500)
    sizes = {"prompts": prompts, "replies": replies, "components": len(number)}
    return replace(GOOD, **figures, **sizes, champion=some_conduct(), candidate=some_conduct())
