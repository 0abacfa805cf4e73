"""What each kind of feedback and each rung teaches: `python -m benchmarks.reward_model [--quick] [--seed N] [--json]`.

Simulated people (brevity, sentiment; one judgement in four wrong, `raters`) judge replies of the initial model to the
prompts of the bank's training half; the reward model is asked about pairs that differ clearly among replies to the exam
half. Five seeds of judgements over one pool of replies. Kinds are added one after the other: 200 pairs; + 200 thumbs; +
50 rankings of four; + 100 ties. `log_loss` is on held-out choices of the same people, accuracy and `clean_log_loss` on
choices without errors. `flips`: 200 pairs of which a quarter are wrong however clear they are, asked about such choices
(nobody could have a log-loss below 0.562 there). --quick: fewer replies, two seeds, no LoRA.
"""

import argparse
import math
import sys
import time
from collections import defaultdict
from statistics import fmean, pstdev

from benchmarks.measuring import tell
from benchmarks.raters import TASTES, Pool, Rater, draw_pool
from nightschool.model import base_of
from nightschool.prompt_bank import bank_half
from nightschool.settings import load_settings
from training.axes import axes_of
from training.ensemble import average, fit_members
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.reading import TrunkStates, read_texts
from training.reward_fit import HeldOut, cross_validate, fit_head, make_batch, predict, smoothing_of
from training.reward_lora import refine
from training.reward_model import RewardHead
from training.reward_start import REWARD_LAYERS
from training.trunk import SplitModel
from training.weights import agreement_weights, capped, settled

HELD_OUT = 1000
CLEARLY = 0.5
"""Standard deviations of the taste between two replies that differ clearly."""
MEMBERS = 3
NOW = "2026-01-01T00:00:00+00:00"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer replies, two seeds, no LoRA (under 5 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5, help="how many, counted from --seed")
    parser.add_argument("--layers", type=int, default=REWARD_LAYERS, help="upper layers of the LoRA")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    base = base_of(settings)
    split = SplitModel(base, words.layers)
    replies = 4 if words.quick else 6
    train_pool = draw_pool(base, list(bank_half("train")), replies, words.seed)
    exam_pool = draw_pool(base, list(bank_half("exam"))[: 64 if words.quick else 128], 4, words.seed + 1)
    bench = Bench(split, train_pool, exam_pool)
    figures: defaultdict[str, list[float]] = defaultdict(list)
    for seed in range(words.seed, words.seed + (2 if words.quick else words.seeds)):
        for taste in TASTES:
            began = time.monotonic()
            for name, value in bench.one_seed(taste, seed, lora=not words.quick).items():
                figures[f"{taste}_{name}"].append(value)
            print(f"{taste}, seed {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    found: dict[str, float] = {name: fmean(values) for name, values in figures.items()}
    found |= {f"{name}_sd": pstdev(values) for name, values in figures.items()}
    if words.json:
        tell(found, as_json=True)
    else:
        print(table(found))


class Bench:
    """Two pools read once, and what is measured on them."""

    def __init__(self, split: SplitModel, train_pool: Pool, exam_pool: Pool) -> None:
        self.split, self.train_pool, self.exam_pool = split, train_pool, exam_pool
        self.trunk = TrunkStates(split)
        answers = list(dict.fromkeys([*train_pool.answers, *exam_pool.answers]))
        self.row_of: dict[Answer, int] = {answer: row for row, answer in enumerate(answers)}
        matrix = read_texts(split, answers, trunk=self.trunk, keep=set(train_pool.answers)).matrix()
        self.features = Features.of(matrix).along(axes_of(split))

    def one_seed(self, taste: str, seed: int, *, lora: bool) -> dict[str, float]:
        """All figures of one seed's judgements."""
        rater = Rater(self.train_pool, TASTES[taste], seed)
        pairs, thumbs = rater.pairs(200), rater.thumbs(200)
        rankings, ties = rater.rankings(50), rater.ties(100)
        noisy = Rater(self.exam_pool, TASTES[taste], seed + 1000).pairs(HELD_OUT, least_gap=CLEARLY)
        clean = Rater(self.exam_pool, TASTES[taste], seed + 1000, noise=0.0).pairs(HELD_OUT, least_gap=CLEARLY)
        kinds = {
            "pairs": pairs,
            "thumbs": pairs + thumbs,
            "rankings": pairs + thumbs + rankings,
            "ties": pairs + thumbs + rankings + ties,
        }
        found: dict[str, float] = {}
        for name, judgements in kinds.items():
            ridge, _ = cross_validate(self.features, judgements, self.row_of)
            head = self._fit(judgements, ridge)
            found |= self._measured(f"{name}_head", head, noisy, clean)
            if name == "pairs":
                members = fit_members(self.features, pairs, self.row_of, ridge, count=MEMBERS, seed=seed)
                found |= self._measured("pairs_ensemble", average(members), noisy, clean)
                if lora:
                    found |= self._with_lora(head, ridge, pairs, noisy, clean, seed)
        found |= self._of_flips(taste, seed, clean)
        found["longer_rule_accuracy"] = _longer(clean)
        found["shorter_rule_accuracy"] = 1 - found["longer_rule_accuracy"]
        found |= self._attacked(taste, seed, clean)
        return found

    def _of_flips(self, taste: str, seed: int, clean: Judgements) -> dict[str, float]:
        pairs = Rater(self.train_pool, TASTES[taste], seed, flips=True).pairs(200)
        noisy = Rater(self.exam_pool, TASTES[taste], seed + 1000, flips=True).pairs(HELD_OUT, least_gap=CLEARLY)
        ridge, _ = cross_validate(self.features, pairs, self.row_of)
        return self._measured("flips_head", self._fit(pairs, ridge), noisy, clean)

    def _fit(self, judgements: Judgements, ridge: float) -> RewardHead:
        batch = make_batch(judgements, self.row_of)
        return fit_head(self.features, batch, ridge, smoothing=smoothing_of(judgements))

    def _measured(self, name: str, head: RewardHead, noisy: Judgements, clean: Judgements) -> dict[str, float]:
        return _figures(
            name,
            predict(self.features, head, noisy, self.row_of),
            predict(self.features, head, clean, self.row_of),
        )

    def _with_lora(
        self, head: RewardHead, ridge: float, pairs: Judgements, noisy: Judgements, clean: Judgements, seed: int
    ) -> dict[str, float]:
        """The LoRA as a night tries it: stopped where held-out judgements say so, else the head alone."""
        told: list[str] = []
        refined = refine(
            self.split, head, ridge, pairs, Judgements((), ()), self.features, self.row_of, self.trunk,
            epochs=2, seconds=600, seed=seed, say=told.append,
        )  # fmt: skip
        print(told[0], file=sys.stderr, flush=True)
        if refined is None:
            return {"pairs_lora_kept": 0.0, **self._measured("pairs_lora", head, noisy, clean)}
        answers = list(dict.fromkeys([*noisy.answers(), *clean.answers()]))
        features = read_texts(self.split, answers, refined.top)
        rows = {answer: row for row, answer in enumerate(answers)}
        of_noisy, of_clean = (predict(features, head, asked, rows) for asked in (noisy, clean))
        return {"pairs_lora_kept": 1.0, **_figures("pairs_lora", of_noisy, of_clean)}

    def _attacked(self, taste: str, seed: int, clean: Judgements) -> dict[str, float]:
        """Accuracy with honest people only, with one who floods, and with a third who vote the other way round."""
        rater = Rater(self.train_pool, TASTES[taste], seed + 500)

        def crowd(people: int, votes: int, name: str, *, invert: bool = False) -> Judgements:
            parts = [rater.pairs(votes, person=f"{name}{person}", invert=invert) for person in range(people)]
            return sum(parts, Judgements((), ()))

        honest, flood = crowd(19, 20, "honest"), crowd(1, 5000, "flood", invert=True)
        many, inverted = crowd(30, 20, "many"), crowd(15, 20, "inverted", invert=True)
        return {
            "crowd_of_19_accuracy": self._accuracy(honest, clean),
            "crowd_of_19_flooded_accuracy": self._accuracy(honest + flood, clean),
            "crowd_of_19_flooded_unguarded_accuracy": self._accuracy(honest + flood, clean, guards=False),
            "crowd_of_30_accuracy": self._accuracy(many, clean),
            "crowd_of_30_inverted_15_accuracy": self._accuracy(many + inverted, clean),
            "crowd_of_30_inverted_15_unguarded_accuracy": self._accuracy(many + inverted, clean, guards=False),
        }

    def _accuracy(self, judgements: Judgements, clean: Judgements, *, guards: bool = True) -> float:
        fit = guarded if guards else unguarded
        return share_right(predict(self.features, fit(self.features, judgements, self.row_of), clean, self.row_of))


def guarded(features: Features, judgements: Judgements, row_of: dict[Answer, int]) -> RewardHead:
    """A head fitted as a night does: weights by copies and person, agreement with the others, the cap again."""
    judgements = settled(judgements, NOW)
    ridge, _ = cross_validate(features, judgements, row_of)
    trust = agreement_weights(features, judgements, row_of, ridge)
    weighed = judgements.reweighted(lambda judgement: trust.get(judgement.person, 1.0))
    return unguarded(features, capped(weighed.where(lambda judgement: judgement.weight > 0.0)), row_of)


def unguarded(features: Features, judgements: Judgements, row_of: dict[Answer, int]) -> RewardHead:
    """A head fitted to everything alike."""
    ridge, _ = cross_validate(features, judgements, row_of)
    return fit_head(features, make_batch(judgements, row_of), ridge, smoothing=smoothing_of(judgements))


def _figures(name: str, noisy: list[HeldOut], clean: list[HeldOut]) -> dict[str, float]:
    return {
        f"{name}_accuracy": share_right(clean),
        f"{name}_log_loss": fmean(map(_decided_loss, noisy)),
        f"{name}_clean_log_loss": fmean(map(_decided_loss, clean)),
    }


def _decided_loss(held: HeldOut) -> float:
    """-log of the chance given to the side that was preferred, knowing that one was (models that expect ties, too)."""
    assert isinstance(held.judgement, PairJudgement)
    margin = held.margin if held.judgement.preferred is Preferred.LEFT else -held.margin
    return math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0)


def share_right(held: list[HeldOut]) -> float:
    """Accuracy on decided pairs."""
    rights = [
        (entry.margin > 0) == (entry.judgement.preferred is Preferred.LEFT)
        for entry in held
        if isinstance(entry.judgement, PairJudgement)
    ]
    return sum(rights) / len(rights)


def _longer(clean: Judgements) -> float:
    def wins(pair: PairJudgement) -> float:
        lead = len(pair.left.token_ids) - len(pair.right.token_ids)
        return 0.5 if lead == 0 else float((lead > 0) == (pair.preferred is Preferred.LEFT))

    return fmean(wins(pair) for pair in clean.pairs)


def table(found: dict[str, float]) -> str:
    """The figures as Markdown: one row a model, mean and standard deviation over seeds."""
    lines = ["| taste | judgements | rung | accuracy | log-loss | clean log-loss |", "|---|---|---|---|---|---|"]
    alone = ("pairs", "flips")
    for taste in TASTES:
        for kinds in ("pairs", "thumbs", "rankings", "ties", "flips"):
            for rung in ("head", "ensemble", "lora"):
                name = f"{taste}_{kinds}_{rung}"
                if f"{name}_accuracy" in found:
                    cells = [
                        f"{found[f'{name}_{part}']:.3f} ± {found[f'{name}_{part}_sd']:.3f}"
                        for part in ("accuracy", "log_loss", "clean_log_loss")
                    ]
                    lines.append(
                        f"| {taste} | {'' if kinds in alone else '+ '}{kinds} | {rung} | {' | '.join(cells)} |"
                    )
        for rule in ("longer", "shorter"):
            lines.append(f"| {taste} | none | the {rule} wins | {found[f'{taste}_{rule}_rule_accuracy']:.3f} | | |")
    lines += ["", "| taste | people | accuracy |", "|---|---|---|"]
    for taste in TASTES:
        for name, value in found.items():
            if name.startswith(f"{taste}_crowd") and not name.endswith("_sd"):
                label = name.removeprefix(f"{taste}_").removesuffix("_accuracy").replace("_", " ")
                lines.append(f"| {taste} | {label} | {value:.3f} ± {found[f'{name}_sd']:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
