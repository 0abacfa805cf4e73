"""A report as Markdown: every part in both languages, and nothing that people or models wrote taken for Markdown."""

from tests.exams import GOOD
from training.report_text import markdown_of
from training.verdict import decide

HOSTILE = "# no heading\n```\n| a | b |\n````\n<script>alert(1)</script>"
REPORT = {
    **GOOD.as_dict(),
    **decide(GOOD, None, practice=False, promotion="exam").as_dict(),
    "verdict": "promoted",
    "reason": "It is better.",
    "reason_zh": "新版本更好。",
    "snapshot": "2026-11-28T02:30:00+00:00",
    "version": "v3|x",
    "samples": [{"id": "en-1", "prompt": HOSTILE, "before": "old", "after": HOSTILE}],
    "worst": [{"prompt": "asked", "before": "a", "after": "b", "margin": -1.5}],
}


def blocks_taken_out(text: str) -> str:
    """The Markdown without what stands in fenced blocks, read as CommonMark does: a fence ends at one as long."""
    kept, fence = [], ""
    for line in text.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if line == ticks and len(ticks) >= len(fence) else fence
        elif len(ticks) >= 3:
            fence = ticks
        else:
            kept.append(line)
    assert fence == ""
    return "\n".join(kept)


def test_a_report_tells_verdict_reason_figures_and_guards_in_both_languages() -> None:
    text = markdown_of(REPORT)
    for part in (
        "# Report of a night · 训练报告 · 2026-11-28 02:30 UTC",
        "**Promoted · 已上线**",
        "It is better.",
        "新版本更好。",
        "| Win rate against the champion · 对现任版本的胜率 | 65% |",
        "| Drift from the initial model (nats) · 偏离初始模型（奈特） | 4.0 | ≤ 12.0 | holds · 通过 |",
        "The examiner's score changed by · 考官评分变化: -1.50",
    ):
        assert part in text
    assert text.count("holds · 通过") == 12


def test_what_was_written_elsewhere_stays_in_its_block() -> None:
    outside = blocks_taken_out(markdown_of(REPORT))
    assert "no heading" not in outside
    assert "<script>" not in outside
    assert "| v3\\|x |" in outside


def test_a_night_that_did_nothing_has_a_short_report() -> None:
    text = markdown_of({"verdict": "skipped", "reason": "Too few.", "reason_zh": "太少。", "effort": "quick"})
    assert "Skipped · 已跳过" in text
    assert "##" not in text
