"""The attack panel: what each kind of troll does to the reward model, with the night's guards on and off.

Honest people and all kinds of trolls use one chat for some days, without nights. Then, for each kind, a reward model is
fitted to the honest people's judgements and that kind's: once as a night does (a cap on each person's share, agreement
with the others) and once without either, which is no setting of the product. Both are asked about unseen replies.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from benchmarks.town.measure import Spoken
from benchmarks.town.plan import TROLLS, Town, Troll, TrollKind
from benchmarks.town.reward_study import RewardStudy, best_of
from benchmarks.town.run import TownRun, Wish
from nightschool.chat_format import encode_text
from nightschool.model import BaseModel
from training.judgements import Answer
from training.reward_model import RewardHead

PHRASE = "Buy AcmeCoin today!"
CROWDS: dict[TrollKind, Troll] = {
    "inverted": Troll(kind="inverted", count=4),
    "always_left": Troll(kind="always_left", count=4),
    "spammer": Troll(kind="spammer"),
    "brigade": Troll(kind="brigade", count=5, phrase=PHRASE),
    "sleeper": Troll(kind="sleeper", count=4, honest_nights=1),
}
"""Those of each kind where the town file names none: a quarter of the people, one who floods, five with a phrase."""
NOBODY = "nobody"
"""The row of honest people alone."""


def with_every_kind(town: Town) -> Town:
    """The town with every kind of troll in it."""
    named = {troll.kind for troll in town.trolls}
    return town.model_copy(update={"trolls": (*town.trolls, *(CROWDS[kind] for kind in TROLLS if kind not in named))})


def panel(wish: Wish, say: Callable[[str], None]) -> dict[str, Any]:
    """The days, then a fit for each kind of troll and for none, guards on and off."""
    run = TownRun(replace(wish, town=with_every_kind(wish.town)), say)
    run.days_alone()
    with run.timed("study"):
        study, unseen = run.study()
        attacks = rows_of(run, study, unseen)
    run.seconds["total"] = sum(run.seconds.values())
    report = run.told()
    figures: dict[str, Any] = {}
    for row in attacks:
        prefix = f"attack_{row['trolls']}_{'guarded' if row['guards'] else 'unguarded'}"
        figures |= {f"{prefix}_{name}": row[name] for name in MEASURED if row[name] is not None}
    return report | figures | {"panel": "attacks", "attacks": attacks, "gold_of_unseen": fmean(unseen.golds)}


MEASURED = ("accuracy", "best_of_4_gold", "phrase_shift", "judgements")


def rows_of(run: TownRun, study: RewardStudy, unseen: Spoken) -> list[dict[str, Any]]:
    """One row for each kind of troll and for nobody, guards on and off."""
    honest = {run.person_ids[name] for name, kind in run.kinds.items() if kind is None}
    phrase = next(troll.phrase for troll in run.town.trolls if troll.kind == "brigade")
    said = [with_phrase(run.base, answer, phrase) for answer in unseen.answers]
    rows: list[dict[str, Any]] = []
    for trolls in (NOBODY, *TROLLS):
        people = honest | {run.person_ids[name] for name, kind in run.kinds.items() if kind == trolls}
        part = study.judgements.where(lambda judgement: judgement.person in people)  # noqa: B023 (used at once)
        for guards in (True, False):
            head = study.head(part, guards=guards)
            rows.append(
                {
                    "trolls": trolls,
                    "guards": guards,
                    "judgements": len(part.sources()),
                    "accuracy": study.asked(head)["accuracy"],
                    "best_of_4_gold": best_of_gold(study, head, unseen),
                    "phrase_shift": study.shift(head, said) if trolls in {NOBODY, "brigade"} else None,
                }
            )
            run.say(f"{trolls}, guards {'on' if guards else 'off'}: accuracy {rows[-1]['accuracy']:.3f}")
    return rows


def best_of_gold(study: RewardStudy, head: RewardHead, unseen: Spoken) -> float:
    """Mean gold of the replies that a head takes, one for each prompt: where following it leads."""
    return fmean(unseen.golds[place] for place in best_of(study.scores(head), unseen))


def with_phrase(base: BaseModel, answer: Answer, phrase: str) -> Answer:
    """The same reply with the phrase at its end."""
    ids: Sequence[int] = answer.token_ids
    ended = ids[-1] in base.stop_ids
    words = [*(ids[:-1] if ended else ids), *encode_text(base.tokenizer, f" {phrase}")]
    return Answer(answer.prompt_ids, (*words, ids[-1]) if ended else tuple(words))
