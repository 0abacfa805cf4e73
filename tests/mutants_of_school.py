"""Bugs of watching, stopping and reporting a night."""

from tests.mutant import mutants_of

_process = mutants_of("demo/night_process.py", "tests/test_nights_of_demo.py")
_nights = mutants_of("demo/nights.py", "tests/test_nights_of_demo.py")
_time = mutants_of("demo/night_time.py", "tests/test_night_time.py")
_outlook = mutants_of("demo/outlook.py", "tests/test_outlook.py")
_page = mutants_of("demo/pages/school.py", "tests/test_school_page.py")
_report = mutants_of("demo/pages/report_view.py", "tests/test_school_view.py")
_markdown = mutants_of("training/report_text.py", "tests/test_report_text.py")
_stopping = mutants_of("training/stopping.py", "tests/test_stopping.py")
_exam = mutants_of("training/exam.py", "tests/test_exam.py")

SCHOOL_MUTANTS = (
    _process(
        "a process that began after the night is taken for it",
        "process.create_time() <= taken + CLOCK_SLACK and _has_open",
        "_has_open",
    ),
    _nights("a night that does not listen is waited for", "ask_to_stop(process, signal.SIGKILL)", "pass"),
    _nights(
        "a resumed night is taken for one that never began",
        "return None if night is None else (night.id, night.taken_at)",
        "return None if night is None else (night.id, None)",
    ),
    _time(
        "a slow machine is told to be fast",
        "return taken[told] / usual[told] if",
        "return usual[told] / taken[told] if",
    ),
    _time(
        "one slow iteration foretells the rest",
        "median(iterations[-LAST_ITERATIONS:])",
        "max(iterations[-LAST_ITERATIONS:])",
    ),
    _time("what an interrupted stage had kept is forgotten", "return min(stage.progress, ALMOST)", "return 0.0"),
    _outlook("the judgements are counted at every look", "if fingerprint != self._counted_for and", "if"),
    _page("every part is sent at every tick", "if digest != before:", "if digest:"),
    _report("everybody sees the worst prompts", "    if is_owner:", "    if True:"),
    _markdown("a reply ends its own block", 'fence = "`" * max(longest + 1, 3)', 'fence = "```"'),
    _stopping("asking twice cuts off the row", "signal.signal(each, signal.SIG_IGN)", "signal.signal(each, _stop)"),
    _exam("what won is told as lost", " if worst.values[prompt] < 0)", ")"),
)
