"""Sentences that are said in English at their source and shown in the page's language."""

import ast
import inspect
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import nightschool.errors
from demo.catalogue import Words, catalogue, names_in
from demo.translation import is_known, translated
from nightschool.errors import NightSchoolError
from training.conduct import Conduct
from training.exam import ExamResult
from training.invariants import Invariant
from training.ppo import too_far
from training.reward_metrics import RewardMetrics, gate
from training.shortage import Shortage
from training.verdict import decide

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


GOOD = Conduct(length=50.0, finished=0.9, empty=0.0, looping=0.0)
BAD = Conduct(length=500.0, finished=0.1, empty=0.5, looping=0.5)
EXAM = ExamResult(
    **dict.fromkeys((name for name in inspect.signature(ExamResult).parameters), 0.5)
    | {"prompts": 64, "champion": GOOD, "candidate": GOOD, "win_rate": 0.7, "win_rate_low": 0.6, "kl": 1.0}
)


@pytest.mark.parametrize(
    ("exam", "fault", "practice"),
    [
        (EXAM, None, False),
        (EXAM, None, True),
        (EXAM, "there are too few held-out pairs, and no thumbs of both kinds, to check the examiner on", False),
        (replace(EXAM, win_rate_low=0.4), None, False),
        (replace(EXAM, candidate=BAD, kl=99.0), None, False),
    ],
)
def test_every_verdict_is_wholly_chinese(exam: ExamResult, fault: str | None, practice: bool) -> None:
    _, reason = decide(exam, fault, practice=practice)
    assert not any(letter.isascii() and letter.isalpha() for letter in translated(reason, CHINESE))


def test_shortages_gates_rules_and_endings_have_a_translation() -> None:
    metrics = dict.fromkeys(inspect.signature(RewardMetrics).parameters, 0.5)
    gates = [
        gate(RewardMetrics(**metrics | {"pairs": 30, "facts": 30, "accuracy": 0.4, "accuracy_low": 0.3})),
        gate(RewardMetrics(**metrics | {"pairs": 0, "facts": 0, "accuracy": None, "thumbs_auc": None})),
        gate(RewardMetrics(**metrics | {"pairs": 0, "facts": 0, "accuracy": None, "thumbs_auc": 0.4})),
    ]
    rules = [
        f"Some scores are not finite (rule: {rule.value}). The champion stays; the night's report has the curves."
        for rule in Invariant
    ]
    sentences = [
        Shortage(3.0, 2).sentence(),
        too_far(13.0),
        *(f"PPO did not run: {told}. Nothing was changed." for told in gates),
        *rules,
    ]
    for sentence in [*sentences, Shortage(3.0, 2).sentence() + " Nothing was changed."]:
        assert is_known(str(sentence)), sentence
    for rule in rules:
        shown = translated(rule, CHINESE).replace("KL", "")
        assert not any(letter.isascii() and letter.isalpha() for letter in shown)


def test_the_errors_of_the_tree_are_all_looked_at() -> None:
    assert {
        subclass.__name__ for subclass in NightSchoolError.__subclasses__() if "demo" in subclass.__module__
    } <= ERRORS
