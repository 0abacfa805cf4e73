"""Sentences that are said in English at their source and shown in the page's language."""

import ast
import inspect
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import nightschool.errors
from demo.catalogue import Words, catalogue, names_in
from demo.nights import NightStatus, Phase
from demo.pages.school_view import night_card
from demo.translation import is_known, translated
from nightschool.errors import NightSchoolError
from nightschool.probation import Standing, fate_of
from nightschool.records import Night, NightState, Probation, VerdictKind
from nightschool.said import Said
from tests.exams import GOOD, STEADY
from training.exam import ExamResult
from training.invariants import Invariant
from training.ppo import too_far
from training.reward_metrics import TO_EXAMINE_WITH, RewardMetrics, gate
from training.shortage import Shortage
from training.verdict import Promotion, decide

CHINESE, ENGLISH = Words("zh"), Words("en")
HOME = Path(__file__).parent.parent
ERRORS = {name for name, found in vars(nightschool.errors).items() if inspect.isclass(found)} - {"NightSchoolError"}
ERRORS |= {"BrokenReplyError"}
NEVER_ON_A_PAGE = {
    "demo/__main__.py",  # the command line, in the owner's terminal
    "demo/accounts.py",  # adduser, and the start
    "demo/identity.py",  # the start
    "nightschool/settings.py",  # the start
}
NIGHT = ["invariants", "night_stages", "nightly", "reward_ladder", "reward_lora", "policy", "trunk", "learner"]
NIGHT += ["coevolution"]


def test_an_english_page_shows_the_sentence_as_it_is() -> None:
    assert translated("There is no answer yet; ask something first.", ENGLISH).startswith("There is no answer")


def test_a_chinese_page_shows_the_translation_with_the_values_in_it() -> None:
    sentence = "There is no version 'v9'; the versions here are: initial, v1."
    assert translated(sentence, CHINESE) == "没有版本 'v9'；现有版本：initial, v1。"


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    sentence = "The night failed: There is no version 'v9'; the versions here are: initial."
    assert translated(sentence, CHINESE) == "训练失败：没有版本 'v9'；现有版本：initial。"


def test_several_complaints_in_one_sentence_are_all_translated() -> None:
    sentence = (
        "The candidate fails: 20% of its replies are empty; it drifted 13.0 nats from the initial model (limit 12)."
    )
    shown = translated(f"{sentence} The champion stays.", CHINESE)
    assert shown == "候选版本未通过：它有 20% 的回答是空的；它偏离初始模型 13.0 奈特（上限 12）。继续由现任版本回答。"


def test_an_unknown_sentence_is_shown_as_it_is() -> None:
    assert translated("Nobody ever said this.", CHINESE) == "Nobody ever said this."


def test_a_value_with_braces_and_pattern_signs_stays_as_it_was_written() -> None:
    sentence = "The effort was '{0} (.*) [x]'; choose one of quick."
    assert translated(sentence, CHINESE) == "力度为 '{0} (.*) [x]'；请从 quick 中选择。"


@pytest.mark.parametrize("key", [key for key in sorted(catalogue()) if key.startswith("errors")])
def test_a_template_matches_itself(key: str) -> None:
    texts = catalogue()[key]
    assert sum(other["en"] == texts["en"] for name, other in catalogue().items() if name.startswith("errors")) == 1
    values = {name: f"<{name}>" for name in names_in(texts["en"])}
    assert translated(texts["en"].format(**values), CHINESE) == texts["zh"].format(**values)


# ---- no sentence without a translation ----------------------------------------------------------------------------


def constants(tree: ast.Module) -> dict[str, str]:
    """Module-level texts, by name."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def sample(node: ast.expr, named: dict[str, str]) -> str | None:
    """A text as it may come out, every value a 7; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return named.get(node.id) if isinstance(node, ast.Name) else None


def errors_in(path: Path) -> Iterator[str]:
    """The sentences of the errors that a module raises."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            if node.exc.func.id in ERRORS and (text := sample(node.exc.args[0], constants(tree))):
                yield text
            if node.exc.func.id == "TrainingBroken" and (text := sample(node.exc.args[1], {})):
                yield text


def said_in(path: Path) -> Iterator[str]:
    """What a module of the night says in the log or as progress."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"say", "progress"} and node.args and (text := sample(node.args[-1], {})):
                yield text


def modules(package: str) -> list[Path]:
    return [
        path for path in sorted((HOME / package).rglob("*.py")) if str(path.relative_to(HOME)) not in NEVER_ON_A_PAGE
    ]


def test_every_error_that_a_page_can_show_has_a_translation() -> None:
    found = {text for package in ("nightschool", "demo") for path in modules(package) for text in errors_in(path)}
    assert len(found) > 30
    assert [text for text in sorted(found) if not is_known(text)] == []


def test_everything_a_night_says_has_a_translation() -> None:
    paths = [HOME / "training" / f"{name}.py" for name in NIGHT]
    found = {text for path in paths for text in [*errors_in(path), *said_in(path)]}
    assert len(found) > 25
    unknown = [text for text in sorted(found) if not is_known(text)]
    unknown = [text for text in unknown if "to resume" not in text]  # `resume` is a command of the terminal
    assert unknown == ["The 7 is 7"]  # only values that are no numbers are complained of:
    assert all(is_known(f"The policy loss is {value}") for value in (math.nan, math.inf, -math.inf))


BAD = replace(STEADY, length=500.0, finished=0.1, empty=0.5, looping=0.5, variety=0.1, in_script=0.1, copies=0.9)
BROKEN = replace(
    GOOD, candidate=BAD, kl=99.0, entropy=0.1, perplexity=9.0, doubt_after=9.0, heads_for=1, base_untouched=False
)
MOMENT = "2026-01-01T00:00:00Z"
UNTRUSTED = Said("there are too few held-out pairs", "留出的对比太少")


def is_wholly_chinese(sentence: str) -> bool:
    """Whether no English is left, but for names that are the same in both languages."""
    rest = re.sub("`[^`]*`|KL|PPO", "", sentence)
    return bool(rest) and not any(letter.isascii() and letter.isalpha() for letter in rest)


@pytest.mark.parametrize("promotion", get_args(Promotion))
@pytest.mark.parametrize(
    ("exam", "fault", "practice"),
    [
        (GOOD, None, False),
        (GOOD, None, True),
        (GOOD, UNTRUSTED, False),
        (replace(GOOD, prompts=64), None, False),
        (replace(GOOD, win_rate_low=0.4), None, False),
        (replace(GOOD, sign_p=0.4), None, False),
        (replace(GOOD, gain_low=-0.4), None, False),
        (replace(GOOD, win_rate_low=0.1, win_rate_high=0.2, gain_high=-0.1), None, False),
        (BROKEN, None, False),
    ],
)
def test_every_verdict_is_wholly_chinese(
    exam: ExamResult, fault: Said | None, practice: bool, promotion: Promotion
) -> None:
    assert is_wholly_chinese(decide(exam, fault, practice=practice, promotion=promotion).reason.zh)


def test_shortages_gates_rules_and_endings_have_a_translation() -> None:
    metrics = dict.fromkeys(inspect.signature(RewardMetrics).parameters, 0.5)
    gates = [
        gate(RewardMetrics(**metrics | {"pairs": 30, "facts": 30, "accuracy": 0.4, "accuracy_low": 0.3})),
        gate(
            RewardMetrics(**metrics | {"pairs": 0, "facts": 0, "accuracy": None, "thumbs_auc": None}), TO_EXAMINE_WITH
        ),
        gate(RewardMetrics(**metrics | {"pairs": 0, "facts": 0, "accuracy": None, "thumbs_auc": 0.4})),
        gate(RewardMetrics(**metrics | {"pairs": 0, "facts": 0, "accuracy": None, "thumbs_auc": 0.9})),
        gate(
            RewardMetrics(
                **metrics | {"pairs": 30, "facts": 30, "accuracy": 0.6, "accuracy_low": 0.55, "pairs_log_loss": 0.69}
            )
        ),
    ]
    for told in [*gates, Shortage(3.0, 2).said(), Shortage(1000.0, 1000).said()]:
        assert told is not None
        assert is_wholly_chinese(told.zh)
    assert is_known(too_far(13.0))
    for rule in Invariant:
        sentence = (
            f"Some scores are not finite (rule: {rule.value}). The champion stays; the night's report has the curves."
        )
        assert is_known(sentence)
        assert is_wholly_chinese(translated(sentence, CHINESE))


@pytest.mark.parametrize(
    "found", [{"failures_against": 1e6}, {"against_it": 99.0}, {"thumbs_against": 99.0}, {"for_it": 99.0}]
)
def test_the_end_of_a_probation_is_told_in_chinese_too(found: dict[str, float]) -> None:
    calm = Standing(wins=3, losses=1, for_it=1.0, against_it=1.0, thumbs_against=1.0, failures_against=1.0)
    end = fate_of(Probation("7", "6", "2026-01-01"), replace(calm, **found))
    assert end is not None
    assert is_wholly_chinese(end[1].zh)


def ended(verdict: VerdictKind | None, reason: str, report: dict[str, str]) -> str:
    night = Night("n", NightState.DONE, "quick", 1, False, MOMENT, MOMENT, verdict, reason, None, report)
    return night_card(NightStatus(Phase.ENDED, night), {}, {}, CHINESE)


def test_the_school_page_shows_a_verdicts_reason_in_its_own_language() -> None:
    report = {"reason": "It is better: 7.", "reason_zh": "新版本更好：7。"}
    assert "新版本更好：7。" in ended(VerdictKind.PROMOTED, "It is better: 7.", report)
    assert "新版本更好：7。" in ended(VerdictKind.PROMOTED, "It is better: 7.", {})  # of an older night
    failed = {"reason": "The night failed: No.", "reason_zh": "训练失败：No."}
    shown = ended(None, "The night failed: There is no answer yet; ask something first.", failed)
    assert "训练失败：还没有" in shown


def test_the_errors_of_the_tree_are_all_looked_at() -> None:
    assert {
        subclass.__name__ for subclass in NightSchoolError.__subclasses__() if "demo" in subclass.__module__
    } <= ERRORS
