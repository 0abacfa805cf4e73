"""Bugs of the rotation of exams, of the alarm, and of what reward models and versions are compared by."""

from tests.mutant import mutants_of

_prompts = mutants_of("training/prompts.py", "tests/test_prompts.py")
_alarm = mutants_of("nightschool/alarm.py", "tests/test_alarm.py")
_read = mutants_of("nightschool/coevolution.py", "tests/test_coevolution.py", "-k", "not command")
_computed = mutants_of("training/coevolution.py", "tests/test_coevolution.py", "-k", "not command")
_shown = mutants_of("demo/pages/coevolution_view.py", "tests/test_coevolution_view.py")

COEVOLUTION_MUTANTS = (
    _prompts("a trained prompt comes back", "elsewhere = {*known, *fixed, *judged}", "elsewhere = {*fixed, *judged}"),
    _prompts(
        "a trained prompt is fixed",
        'for prompt in spread(_bank(base, "exam")) if prompt not in known]',
        'for prompt in spread(_bank(base, "exam"))]',
    ),
    _prompts("exams stand still", "start = turn * count", "start = 0"),
    _prompts(
        "the fixed ones turn too",
        "*stretch(bank, from_bank, turn), *fixed]",
        "*stretch([*bank, *fixed], from_bank + len(fixed), turn)]",
    ),
    _prompts("the reserve is practised", '*_bank(base, "exam"), *_reserve(base)}', '*_bank(base, "exam")}'),
    _alarm(
        "the examiner's noise is forgotten", "for each in looked_at], SURE) < 0.5", "for each in looked_at], 0.0) < 0.5"
    ),
    _alarm(
        "the proxy need not rise",
        "return _bound([night.proxy for night in nights if night.proxy is not None], -SURE) > 0.5",
        "return True",
    ),
    _alarm(
        "the proxy's noise is forgotten",
        "if night.proxy is not None], -SURE) > 0.5",
        "if night.proxy is not None], 0.0) > 0.5",
    ),
    _alarm("a slow fall is not seen", "for looked_at in (recent[-1:], recent):", "for looked_at in (recent[-1:],):"),
    _alarm("practice counts", " and not figures.practice]", "]"),
    _alarm(
        "votes count one by one",
        "standing(_votes(nights), ((), ()), ()).against_it",
        "float(sum(not vote.won for vote in _votes(nights)))",
    ),
    _alarm(
        "people are heard for good",
        "judged = [figures for figures in recent if figures.votes]",
        "judged = [figures for figures in history if figures.votes]",
    ),
    _read(
        "the initial version's scores are forgotten", "gains = [score - before for", "gains = [score - 0 * before for"
    ),
    _read(
        "what is retired is shown",
        'for version in registered if version in kept["replies"])',
        'for version in kept["replies"])',
    ),
    _computed(
        "everything is computed anew",
        "missing = [name for name in self.replies if name not in row]",
        "missing = list(self.replies)",
    ),
    _computed(
        "a damaged version answers",
        "sound = [version for version in chosen if self._is_sound(version)]",
        "sound = list(chosen)",
    ),
    _computed(
        "every version draws with a seed of its own", "manual_seed(SEED)", "manual_seed(SEED + len(self.replies))"
    ),
    _computed(
        "a LoRA's head reads the base's states",
        "if model.adapter_top is not None or model.split.base is not self.base:",
        "if model.split.base is not self.base:",
    ),
    _computed("time is not looked at", "if clock() > until:", "if False:"),
    _computed(
        "retired versions go on judging",
        'for part in ("replies", "scores", "left_out"):',
        'for part in ("replies", "left_out"):',
    ),
    _shown("lower is blue too", 'if cell.gain >= 0 else "lower"', 'if cell.gain >= 0 else "higher"'),
    _shown("noise is painted", "max([LEAST_SCALE, *(", "max([0.001, *("),
    _shown(
        "a version's name is HTML",
        "f'<tr><th scope=\"row\">{html.escape(judge)}</th>'",
        "f'<tr><th scope=\"row\">{judge}</th>'",
    ),
)
