"""A night's report as Markdown, in English and Chinese side by side: `report.md`, and what `training report` prints.

What people and models wrote stands in fenced blocks, so that nothing in it is taken for Markdown.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nightschool.said import Said
from training.version_report import reason_of

PERCENT, TWO, ONE, COUNT = "{:.0%}", "{:.2f}", "{:.1f}", "{:.0f}"
VERDICTS = {
    "promoted": Said("Promoted", "已上线"),
    "probation": Said("On probation", "试用中"),
    "held": Said("Held", "暂不上线"),
    "rejected": Said("Rejected", "未通过"),
    "skipped": Said("Skipped", "已跳过"),
}
NO_VERDICT = Said("No verdict", "没有结论")
FIGURES = {
    "version": (Said("Version", "版本"), "{}"),
    "champion_before": (Said("Champion before", "此前的现任版本"), "{}"),
    "effort": (Said("Effort", "力度"), "{}"),
    "judgements": (Said("Judgements", "评判"), "{}"),
    "win_rate": (Said("Win rate against the champion", "对现任版本的胜率"), PERCENT),
    "win_rate_low": (Said("Win rate, low end (95 %)", "胜率下限（95%）"), PERCENT),
    "win_rate_high": (Said("Win rate, high end (95 %)", "胜率上限（95%）"), PERCENT),
    "reward_model_accuracy": (Said("Reward model accuracy", "奖励模型准确率"), PERCENT),
    "reward_before": (Said("Reward before", "训练前奖励"), "{:+.2f}"),
    "reward_after": (Said("Reward after", "训练后奖励"), "{:+.2f}"),
    "kl": (Said("KL to the initial model, nats a reply", "与初始模型的 KL（奈特/回答）"), TWO),
    "champion_length": (Said("Tokens a reply before", "训练前每个回答的词元数"), COUNT),
    "candidate_length": (Said("Tokens a reply after", "训练后每个回答的词元数"), COUNT),
    "seconds_total": (Said("Seconds in all", "总用时（秒）"), COUNT),
}
"""Name in the report -> what it is called, and its shape; in the order they are told."""
GUARDS = {
    "base": (Said("Base model untouched", "基础模型未变"), COUNT, "≥"),
    "drift": (Said("Drift from the initial model (nats)", "偏离初始模型（奈特）"), ONE, "≤"),
    "entropy": (Said("Entropy (nats a token)", "熵（奈特/词元）"), TWO, "≥"),
    "perplexity": (Said("Perplexity on plain texts", "普通文本困惑度"), TWO, "≤"),
    "length": (Said("Tokens a reply", "每个回答的词元数"), COUNT, ""),
    "finished": (Said("Replies that end by themselves", "自行结束的回答"), PERCENT, "≥"),
    "empty": (Said("Empty replies", "空回答"), PERCENT, "≤"),
    "looping": (Said("Replies that repeat themselves", "自我重复的回答"), PERCENT, "≤"),
    "variety": (Said("Different word pairs", "不同的相邻词对"), PERCENT, "≥"),
    "script": (Said("Replies in their question's script", "与问题同一文字的回答"), PERCENT, "≥"),
    "copies": (Said("Replies that begin like another", "开头雷同的回答"), PERCENT, "≤"),
    "doubt": (Said("Disagreement of the heads", "各个头的分歧"), TWO, "≤"),
}
"""Guard -> what it is called, the shape of its figure, and whether its limit is the least or the most."""
HOLDS, BROKEN = Said("holds", "通过"), Said("broken", "未通过")
TITLE = Said("Report of a night", "训练报告")
GUARDS_TITLE, FIXED_TITLE = Said("Guards", "检查项"), Said("Fixed prompts before and after", "固定题目：训练前后")
WORST_TITLE = Said("Where it lost most", "失分最多的题目")
BEFORE, AFTER = Said("Before", "训练前"), Said("After", "训练后")
GUARD_HEAD = (Said("Guard", "检查项"), Said("Figure", "数值"), Said("Limit", "界限"), Said("Result", "结果"))
BY_EXAMINER = Said("The examiner's score changed by", "考官评分变化")


def markdown_of(report: Mapping[str, Any]) -> str:
    """The whole report; parts it does not have are left out."""
    reason = reason_of(dict(report))
    moment = str(report.get("snapshot", ""))[:16].replace("T", " ")
    parts = [f"# {_both(TITLE)}{f' · {moment} UTC' if moment else ''}"]
    parts.append(f"**{_both(VERDICTS.get(str(report.get('verdict')), NO_VERDICT))}**")
    parts += [_fenced(text) for text in dict.fromkeys((reason.en, reason.zh)) if text]
    parts.append(_figures(report))
    if report.get("guards"):
        parts += [f"## {_both(GUARDS_TITLE)}", _guards(report)]
    parts += _replies(FIXED_TITLE, report.get("samples") or [])
    parts += _replies(WORST_TITLE, report.get("worst") or [])
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(report: Mapping[str, Any]) -> str:
    told = [(name, shape, report.get(key)) for key, (name, shape) in FIGURES.items()]
    rows = [(_both(name), _cell(shape.format(value))) for name, shape, value in told if value is not None]
    return _table([("", ""), *rows]) if rows else ""


def _guards(report: Mapping[str, Any]) -> str:
    rows = [tuple(_both(title) for title in GUARD_HEAD)]
    is_shorter = report.get("candidate_length", 0) < report.get("champion_length", 0)
    for key, guard in report["guards"].items():
        name, shape, bound = GUARDS.get(key, (Said(key, key), TWO, ""))
        bound = bound or ("≥" if is_shorter else "≤")  # of the length it may be either
        limit = f"{bound} {shape.format(max(guard['limit'], 0.0))}"  # what was forgiven may have led below 0
        rows.append((_both(name), shape.format(guard["value"]), limit, _both(HOLDS if guard["holds"] else BROKEN)))
    return _table(rows)


def _replies(title: Said, samples: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = [f"## {_both(title)}"] if samples else []
    for number, sample in enumerate(samples, 1):
        parts += [f"### {number}", _fenced(sample["prompt"])]
        if "margin" in sample:
            parts.append(f"{_both(BY_EXAMINER)}: {sample['margin']:+.2f}")
        parts += [f"**{_both(BEFORE)}**", _fenced(sample["before"]), f"**{_both(AFTER)}**", _fenced(sample["after"])]
    return parts


def _table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _fenced(text: str) -> str:
    """A block that ends only where it is meant to."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(longest + 1, 3)
    return f"{fence}text\n{text}\n{fence}"


def _both(said: Said) -> str:
    return f"{said.en} · {said.zh}"
