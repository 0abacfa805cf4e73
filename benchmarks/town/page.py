"""town.html: the report as one page, with plots as inline SVG. Everything in it is escaped; nothing is loaded."""

from collections.abc import Sequence
from html import escape
from typing import Any

from benchmarks.town.plots import Series, plot

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); stroke-width: .6; } svg .level { stroke: currentColor; stroke-dasharray: 4 4; }
.reply { white-space: pre-wrap; background: var(--soft); padding: .5rem .7rem; border-radius: .4rem; }
.scroll { overflow-x: auto; } code { overflow-wrap: anywhere; }
"""
FIGURES = ("gold", "win_rate", "finished")


def page(report: dict[str, Any]) -> str:
    """The whole page of one town."""
    title = f"Town {report['name']}, seed {report['seed']}" + (f", {report['control']}" if report["control"] else "")
    sections = [f"<h1>{escape(title)}</h1>", _what(report)]
    if "attacks" in report:
        sections += ["<h2>Attacks</h2>", _attacks(report)]
    if report.get("nights"):
        sections += ["<h2>Nights</h2>", _scrolled(_nights(report)), _plots(report)]
        sections += ["<h2>Verdicts</h2>", *(_verdict(night) for night in report["nights"])]
        sections += ["<h2>Where the time went</h2>", _scrolled(_seconds(report))]
    if report.get("leaderboard"):
        sections += ["<h2>Leaderboard</h2>", _leaderboard(report)]
    if report.get("samples"):
        sections += ["<h2>Ten prompts before and after, as they are</h2>", *map(_sample, report["samples"])]
    sections += ["<h2>How it came about</h2>", _provenance(report)]
    body = "\n".join(sections)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n'


def _what(report: dict[str, Any]) -> str:
    town = report["town"]
    trolls = ", ".join(f"{troll['count']} {troll['kind'].replace('_', ' ')}" for troll in town["trolls"])
    words = (
        f"{town['people']} simulated people judge by the taste {town['taste']}, {100 * town['noise']:.0f} % of their "
        f"judgements against it, {town['judgements']} judgements before each night"
        + (f", beside {trolls}" if trolls else "")
        + f". The taste of {report['exam_prompts']} prompts that nobody was asked measures every version; bounds hold "
        "one-sided with 95 % confidence."
    )
    return f"<p>{escape(words)}</p>"


def _nights(report: dict[str, Any]) -> str:
    head = [
        "after night",
        "verdict",
        "gold",
        "wins over initial",
        "finished",
        "words",
        "judgements",
        "KL",
        "candidate's wins",
        "reward model",
    ]
    rows = []
    for night in range(len(report["nights"]) + 1):
        told = report["nights"][night - 1] if night else {}
        accuracy = told.get("reward_model_accuracy")
        rows.append(
            [
                str(night),
                str(told.get("verdict", "")),
                *(_between(report, name, night) for name in FIGURES),
                _number(report.get(f"words_night_{night}"), 1),
                _number(report.get(f"judgements_day_{night}"), 0),
                _number(told.get("kl"), 2),
                _percent(told.get("candidate_win_rate_on_unseen")),
                _percent(accuracy),
            ]
        )
    return table(head, rows, numbers=range(2, 10))


def _between(report: dict[str, Any], name: str, night: int) -> str:
    values = [report[f"{name}_night_{night}{end}"] for end in ("", "_low", "_high")]
    mean, low, high = values if name == "gold" else [100 * value for value in values]
    digits, unit = (2, "") if name == "gold" else (0, " %")
    return f"{mean:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def _plots(report: dict[str, Any]) -> str:
    nights = range(len(report["nights"]) + 1)

    def by_night(name: str, title: str) -> Series:
        points = [(float(night), report[f"{name}_night_{night}"]) for night in nights]
        ends = [(report[f"{name}_night_{night}_low"], report[f"{name}_night_{night}_high"]) for night in nights]
        return Series(title, points, ends)

    exam = [night for night in report["nights"] if night.get("kl") is not None]
    roots = [max(night["kl"], 0.0) ** 0.5 for night in exam]
    curve = [row for night in report["nights"] for row in night["curve"]]
    rows = report.get("reward_model_by_judgements", [])
    figures = [
        plot("Gold by night", "night", "mean taste", [by_night("gold", "unseen prompts")]),
        plot(
            "Wins over the initial version", "night", "share of replies", [by_night("win_rate", "by the taste")],
            level=(0.5, "no better"), percent=True,
        ),
        plot("Finished replies", "night", "share", [by_night("finished", "ended by themselves")], percent=True),
        plot(
            "What PPO saw", "sqrt(KL), nats", "score, sd of initial",
            [
                Series("reward model", _against_drift(curve, "proxy")),
                Series("examiner", _against_drift(curve, "examiner")),
            ],
        ),
        plot(
            "What it did not see", "sqrt(KL), nats", "mean taste",
            [
                Series("rollouts", _against_drift(curve, "gold")),
                Series("unseen, candidate", [
                    (root, night["candidate_gold_on_unseen"])
                    for root, night in zip(roots, exam, strict=True) if "candidate_gold_on_unseen" in night
                ]),
            ],
        ),
        plot(
            "Reward model by number of judgements", "judgements", "share",
            [
                Series("accuracy", [(row["judgements"], row["accuracy"]) for row in rows]),
                Series("calibration error", [
                    (row["judgements"], row["calibration_error"])
                    for row in rows if row["calibration_error"] is not None
                ]),
            ],
            level=(0.5, "guessing"), percent=True,
        ),
    ]  # fmt: skip
    return f'<div class="plots">{"".join(figures)}</div>'


def _against_drift(curve: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    points = [(max(row["kl"], 0.0) ** 0.5, row[name]) for row in curve if row[name] is not None]
    return sorted(points)


def _verdict(night: dict[str, Any]) -> str:
    return f"<p><b>Night {night['night']}: {escape(str(night['verdict']))}.</b> {escape(str(night['reason']))}</p>"


def _seconds(report: dict[str, Any]) -> str:
    stages = list(dict.fromkeys(name for night in report["nights"] for name in night["seconds"] if name != "total"))
    stages.append("total")
    head = ["", *(f"night {night['night']}" for night in report["nights"])]
    rows = [["people", *(_number(report.get(f"seconds_day_{night['night']}"), 0) for night in report["nights"])]]
    rows += [[stage, *(_number(night["seconds"].get(stage), 1) for night in report["nights"])] for stage in stages]
    measured = (_number(report.get(f"seconds_measure_{night['night']}"), 0) for night in report["nights"])
    rows.append(["measuring", *measured])
    return table(head, rows, numbers=range(1, len(head))) + "<p>Seconds on the wall clock.</p>"


def _leaderboard(report: dict[str, Any]) -> str:
    rows = [
        [row["version"], _number(row["rating"], 0), _interval(row["low"], row["high"]), _number(row["gold"], 2)]
        for row in report["leaderboard"]
    ]
    correlation = report["leaderboard_rank_correlation"]
    words = (
        f"{report['leaderboard_duels']} duels between versions. "
        + ("" if correlation is None else f"Rank correlation with the true order: {correlation:.2f}. ")
        + f"Of {report['leaderboard_told_apart']} pairs that the intervals tell apart, "
        f"{report['leaderboard_told_apart_rightly']} are in the true order."
    )
    return table(["version", "rating", "interval", "gold"], rows, numbers=range(1, 4)) + f"<p>{escape(words)}</p>"


def _attacks(report: dict[str, Any]) -> str:
    rows = []
    for row in report["attacks"]:
        shift = row["phrase_shift"]
        rows.append(
            [
                row["trolls"].replace("_", " "),
                "on" if row["guards"] else "off",
                str(row["judgements"]),
                f"{100 * row['accuracy']:.1f} %",
                f"{row['best_of_4_gold']:.2f}",
                "" if shift is None else f"{shift:+.2f} sd",
            ]
        )
    head = [
        "trolls",
        "guards",
        "judgements",
        "accuracy on clear pairs",
        "gold of the best of 4",
        "reward for the phrase",
    ]
    words = f"Mean gold of the replies that the best is taken from: {report['gold_of_unseen']:.2f}."
    return _scrolled(table(head, rows, numbers=range(2, 6))) + f"<p>{escape(words)}</p>"


def _sample(sample: dict[str, Any]) -> str:
    def side(name: str) -> str:
        cut = "" if sample[f"finished_{name}"] else ", cut off"
        label = f"{name} ({sample[f'gold_{name}']:+.2f}{cut})"
        return f'<p>{label}</p><div class="reply">{escape(sample[name])}</div>'

    return f"<h3>{escape(sample['prompt'])}</h3>{side('before')}{side('after')}"


def _provenance(report: dict[str, Any]) -> str:
    names = ["seed", "effort", "control", "days", "model", "model_fingerprint", "threads", "exam_prompts"]
    names += [name for name in report if "sha256" in name]
    rows = [[name, f"{report[name]}"] for name in names if name in report]
    rows += [[name, str(value)] for name, value in report["settings"].items()]
    files = "town.json holds every number, judgements.jsonl every act, feedback.db and versions/ what the town left."
    return _scrolled(table(["", ""], rows)) + f"<p>{files}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Escaped cells; columns in `numbers` are set to the right. Raises ValueError for a row with other columns."""
    if odd := [row for row in rows if len(row) != len(head)]:
        raise ValueError(f"A row of {len(odd[0])} cells was given for {len(head)} headings; name every column.")

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if place in numbers else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _scrolled(inner: str) -> str:
    return f'<div class="scroll">{inner}</div>'


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.0f} to {high:.0f}"
