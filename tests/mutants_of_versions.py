"""Bugs of the timetable, of receipts, of versions' files, and of what becomes of versions when judgements go."""

from tests.mutant import mutants_of

_timetable = mutants_of("demo/timetable.py", "tests/test_timetable.py")
_nightly = mutants_of("demo/nightly.py", "tests/test_nightly.py")
_clock = mutants_of("nightschool/nightly_clock.py", "tests/test_nightly.py")
_lineage = mutants_of("nightschool/version_lineage.py", "tests/test_version_lineage.py")
_receipts = mutants_of("training/receipt_check.py", "tests/test_receipt_check.py")
_adapter = mutants_of("nightschool/version_folder.py", "tests/test_damaged_versions.py")
_folder = mutants_of("nightschool/version_folder.py", "tests/test_version_folder.py")
_check = mutants_of(
    "nightschool/version_check.py", "tests/test_damaged_versions.py", "-k", "not served and not answers"
)
_swapped = mutants_of("nightschool/version_check.py", "tests/test_version_folder.py")
_files = mutants_of("nightschool/files.py", "tests/test_files.py")
_championship = mutants_of("nightschool/championship.py", "tests/test_registry.py")
_registry = mutants_of("nightschool/registry.py", "tests/test_registry.py", "tests/test_night_stages.py")

VERSIONS_MUTANTS = (
    _timetable(
        "a date has as many nights as looks",
        "decided and slot.local_date not in decided and",
        "decided and",
    ),
    _timetable("a night at once when the timetable is set", "slot.local_date > min(decided)", "True"),
    _timetable(
        "the zone is forgotten", "datetime.combine(local_date, clock, zone)", "datetime.combine(local_date, clock, UTC)"
    ),
    _timetable("a missed night is forgotten", "    while slot.moment > now:", "    while False:"),
    _nightly("what was off is made up for", "self._dates.off()", "pass"),
    _nightly(
        "a date that had its night is told as the next",
        "if following.local_date in self._dates.decided():",
        "if False:",
    ),
    _nightly(
        "what was chosen elsewhere is made up for",
        "if (clock := self.clock) != self._followed:",
        "if not (clock := self.clock):",
    ),
    _nightly(
        "the command overrules the page",
        "return self._given if choice is None else choice.clock",
        "return self._given or (choice and choice.clock)",
    ),
    _clock("what was chosen cannot be taken back", 'db.execute("DELETE FROM nightly_clock")', "pass"),
    _lineage(
        "what grew from a tainted version is sound", "for each in _line(version, parents)", "for each in [version]"
    ),
    _lineage(
        "the heir of a tainted champion is tainted",
        "if version not in tainted)",
        "if version != champion)",
    ),
    _receipts(
        "replaced votes are left out of the receipts",
        "for source, conversation in sorted(conversations_of(snapshot).items()):",
        "for source, conversation in [row for row in sorted(conversations_of(snapshot).items()) if row[0] in used]:",
    ),
    _receipts("the hash does not see the side", "judgement.side, component,", "component,"),
    _adapter(
        "half the layers are enough",
        'weights = _changed_weights(model, config["layers_to_transform"], config["target_modules"])',
        'weights = _changed_weights(model, config["layers_to_transform"][-1:], config["target_modules"])',
    ),
    _adapter("any size of change is taken", "> MOST_CHANGE", "> math.inf"),
    _folder("any base model will do", "if version.base_fingerprint != base.fingerprint:", "if False:"),
    _folder(
        "alpha is taken for the scale", 'scale = config["lora_alpha"] / config["r"]', 'scale = config["lora_alpha"]'
    ),
    _folder("shared layers are merged into", "if linear is model.get_submodule(place):", "if False:"),
    _swapped("any manifest will do", "if fault is None and sha256_of", "if False and sha256_of"),
    _check("a pickle may lie beside", "manifest_fault(folder) or _foreign_file(folder)", "manifest_fault(folder)"),
    _files("a changed file is as good", "if sha256_of(path) != digest:", "if False:"),
    _files("a file more is as good", 'return f"{name} was added"', "return None"),
    _files("a folder is replaced only where none is", "if target.exists():", "if False:"),
    _registry(
        "who promotes by hand is overridden",
        "(answering := champion_of(db)) != rival",
        "(answering := champion_of(db)) == ''",
    ),
    _championship("promoted without a trace", 'db.table("promotions").insert(', "dict("),
)
