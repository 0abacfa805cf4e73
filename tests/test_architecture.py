"""The rules of the house, read from the source: who may import whom, where SQL stands, and what is used nowhere."""

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
PACKAGES = ("nightschool", "demo", "training")

# What the feedback store is made of: functions on an open database, called by the store alone.
FEEDBACK_PARTS = {"feedback_rows", "feedback_reading", "feedback_judging", "feedback_import"}
FEEDBACK_PARTS |= {"feedback_conversations", "feedback_duels", "feedback_rounds", "feedback_tally"}
FEEDBACK_PARTS |= {"feedback_browsing", "feedback_export", "feedback_erasing"}

# module of nightschool: (modules of nightschool, packages of others) it may import beside the standard library
RULES: dict[str, tuple[set[str], set[str]]] = {
    "records": (set(), set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "prompt_bank": (set(), set()),
    "said": (set(), set()),
    "shares": (set(), set()),
    "alarm": ({"probation", "records", "said", "shares"}, set()),
    "coevolution": ({"alarm", "feedback", "records", "registry", "said"}, set()),
    "ids": (set(), {"uuid_utils"}),
    "settings": ({"errors"}, {"pydantic", "pydantic_settings"}),
    "migrations": ({"ids", "records"}, {"sqlite_utils"}),
    "schema": ({"errors", "migrations"}, {"sqlite_utils", "filelock"}),
    "feedback_rows": ({"ids", "records"}, {"sqlite_utils"}),
    "feedback_reading": ({"feedback_rows", "ids", "records"}, {"sqlite_utils"}),
    "feedback_judging": ({"errors", "ids", "records"}, {"sqlite_utils"}),
    "feedback_duels": ({"errors", "ids", "records"}, {"sqlite_utils"}),
    "feedback_conversations": ({"errors", "feedback_rows", "ids", "records"}, {"sqlite_utils"}),
    "feedback_import": ({"feedback_rows", "ids", "records"}, {"sqlite_utils"}),
    "feedback_rounds": ({"errors", "feedback_judging", "feedback_rows", "ids", "records"}, {"sqlite_utils"}),
    "feedback_tally": ({"records"}, {"sqlite_utils"}),
    "needs": ({"records"}, set()),
    "sessions": ({"ids", "schema"}, set()),
    "browsing": (set(), set()),
    "examples": ({"records"}, set()),
    "trainer_files": ({"errors", "examples", "records"}, {"pyarrow"}),
    "example_rows": ({"errors", "examples", "records", "trainer_files"}, set()),
    "feedback_browsing": ({"browsing"}, {"sqlite_utils"}),
    "feedback_export": ({"examples", "feedback_reading", "records"}, {"sqlite_utils"}),
    "feedback_erasing": ({"browsing", "errors", "ids"}, {"sqlite_utils"}),
    "feedback": ({"browsing", "errors", "examples", "ids", "probation", "records", "schema", *FEEDBACK_PARTS}, set()),
    "registry": (
        {"championship", "errors", "ids", "night_reading", "records", "said", "schema", "version_lineage"},
        set(),
    ),
    "night_reading": ({"records"}, {"sqlite_utils"}),
    "championship": ({"ids", "records", "said"}, {"sqlite_utils"}),
    "promoting": ({"errors", "records", "registry", "version_check"}, set()),
    "standings": (set(), set()),
    "probation": ({"records", "said"}, set()),
    "version_lineage": ({"ids"}, {"sqlite_utils"}),
    "nightly_dates": ({"ids", "records", "schema"}, set()),
    "nightly_clock": ({"ids", "schema"}, set()),
    "chat_format": ({"errors", "records"}, {"jinja2"}),
    "model": ({"errors", "files", "settings"}, {"torch", "transformers", "safetensors", "filelock"}),
    "llama_decoder": (set(), {"torch", "transformers"}),
    "llama_batch_decoder": ({"llama_decoder"}, {"torch", "transformers"}),
    "llama_in_step": ({"llama_decoder"}, {"torch"}),
    "sampling": ({"llama_batch_decoder", "llama_decoder", "llama_in_step"}, {"torch", "transformers"}),
    "company": ({"engine", "records"}, set()),
    "version_check": ({"errors", "files", "records"}, set()),
    "version_folder": ({"errors", "model", "records", "version_check"}, {"torch", "safetensors"}),
    "engine": ({"records"}, set()),
    "embedded_engine": (
        {"chat_format", "company", "engine", "llama_decoder", "model", "records", "sampling", "version_folder"},
        {"torch"},
    ),
}
STORE = {
    "nightschool.migrations",
    "nightschool.schema",
    "nightschool.feedback",
    "nightschool.registry",
    "nightschool.sessions",
}
STORE |= {f"nightschool.{name}" for name in ("version_lineage", "championship", "nightly_clock", "nightly_dates")}
STORE |= {"nightschool.night_reading"}
STORE |= {f"nightschool.{part}" for part in FEEDBACK_PARTS}
TENSORS = {"nightschool.model", "nightschool.llama_decoder", "nightschool.sampling", "nightschool.version_folder"}
TENSORS |= {"nightschool.embedded_engine", "nightschool.llama_batch_decoder", "nightschool.llama_in_step"}
TENSOR_PACKAGES = {"torch", "transformers", "peft", "safetensors"}
SCREENS = re.compile(r"demo\.(app|web|pages(\..+)?)")

SQL_CALLS = {"execute", "executemany", "executescript", "query", "insert_all", "upsert", "upsert_all"}
SQL_TEXT = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s.+\sSET\s|DELETE\s+FROM\s|CREATE\s|PRAGMA\s)", re.S
)
NO_PACKAGES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NO_CALLS = {"eval", "exec", "compile", "__import__"}
NO_METHODS = {("torch", "load"), ("torch", "save"), ("os", "system"), ("os", "popen")}
NO_KEYWORDS = {"trust_remote_code", "allow_pickle", "shell"}


@cache
def sources() -> dict[str, ast.Module]:
    """Dotted name -> syntax tree of every module of the three packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((HOME / package).rglob("*.py")):
            parts = path.relative_to(HOME).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports_of(tree: ast.Module) -> set[str]:
    """Dotted names a module imports anywhere, inside functions too: a hidden import is an arrow as well."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written with the whole name"
            assert node.module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages_of(tree: ast.Module) -> set[str]:
    """Top-level packages a module imports, standard library left out."""
    return {name.split(".")[0] for name in imports_of(tree)} - set(sys.stdlib_module_names)


def module_named(imported: str) -> str | None:
    """The module of ours that an imported name is or lies in (`demo.pages.chat.ChatPage` -> `demo.pages.chat`)."""
    parts = imported.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in sources()), None)


@cache
def arrows() -> dict[str, set[str]]:
    """Module -> modules of ours it imports."""
    return {
        name: {target for imported in imports_of(tree) if (target := module_named(imported)) and target != name}
        for name, tree in sources().items()
    }


def reached_from(module: str) -> set[str]:
    """A module and all that is imported because of it."""
    graph, seen, waiting = arrows(), set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def has_sql(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in SQL_CALLS)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_TEXT.match(node.value))
        for node in ast.walk(tree)
    )


def dangers_of(tree: ast.Module) -> list[str]:
    """What could run code that came as data."""
    found = sorted(packages_of(tree) & NO_PACKAGES | {n for n in imports_of(tree) if n.split(".")[0] in NO_PACKAGES})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NO_CALLS:
            found.append(node.func.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [f"{node.value.id}.{node.attr}"] if (node.value.id, node.attr) in NO_METHODS else []
        elif isinstance(node, ast.keyword) and node.arg in NO_KEYWORDS:
            found.append(node.arg)
    return found


# ---- the rules -------------------------------------------------------------------------------------------------------


def test_the_chat_and_the_night_never_import_each_other() -> None:
    for name, targets in arrows().items():
        package = name.split(".")[0]
        if package in ("demo", "training"):
            assert {target.split(".")[0] for target in targets} <= {"nightschool", package}, name


def test_what_both_share_imports_neither_of_them() -> None:
    for name, targets in arrows().items():
        if name.startswith("nightschool"):
            assert {target.split(".")[0] for target in targets} <= {"nightschool"}, name


def test_every_shared_module_has_a_rule_and_every_rule_a_module() -> None:
    assert {name.removeprefix("nightschool.") for name in sources() if name.startswith("nightschool.")} == set(RULES)


@pytest.mark.parametrize("module", RULES)
def test_a_shared_module_imports_what_its_rule_allows(module: str) -> None:
    ours, others = RULES[module]
    name = f"nightschool.{module}"
    assert arrows()[name] <= {f"nightschool.{allowed}" for allowed in ours}
    assert packages_of(sources()[name]) - {"nightschool"} <= others


def test_imports_go_one_way_without_a_circle() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as circle:
        pytest.fail(f"a circle of imports: {' -> '.join(circle.args[1])}")


def test_gradio_stands_on_the_screens_only() -> None:
    users = {name for name, tree in sources().items() if "gradio" in packages_of(tree)}
    assert users, "somebody draws the screens"
    assert [name for name in sorted(users) if not SCREENS.fullmatch(name)] == []


def test_tensors_stand_in_seven_shared_modules_and_in_training_only() -> None:
    users = {name for name, tree in sources().items() if packages_of(tree) & TENSOR_PACKAGES}
    assert {name for name in users if not name.startswith("training.")} == TENSORS


def test_of_the_chat_only_its_entry_point_reaches_tensors() -> None:
    reaching = {name for name in sources() if name.startswith("demo") and reached_from(name) & TENSORS}
    assert reaching == {"demo.__main__"}


def test_sql_and_the_database_library_stand_in_the_store_only() -> None:
    importers = {name for name, tree in sources().items() if packages_of(tree) & {"sqlite_utils"}}
    importers |= {name for name, tree in sources().items() if any(n.startswith("sqlite3") for n in imports_of(tree))}
    assert importers <= STORE
    assert {name for name, tree in sources().items() if has_sql(tree)} == STORE


def test_the_parts_of_the_feedback_store_are_called_by_the_store_alone() -> None:
    parts = {f"nightschool.{part}" for part in FEEDBACK_PARTS}
    assert {name for name, targets in arrows().items() if targets & parts} - parts == {"nightschool.feedback"}


def test_only_the_schema_opens_a_transaction_or_a_connection() -> None:
    words = re.compile(r"BEGIN|COMMIT|ROLLBACK|sqlite3\.connect|\.atomic\(|\.rollback\(|\.commit\(")
    users = {name: words.findall(ast.unparse(tree)) for name, tree in sources().items()}
    assert set(users.pop("nightschool.migrations")) == {"BEGIN"}  # of triggers
    assert {name for name, found in users.items() if found} == {"nightschool.schema"}


def test_nothing_runs_code_that_came_as_data() -> None:
    assert {name: dangers for name, tree in sources().items() if (dangers := dangers_of(tree))} == {}


# ---- the rules can be broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import dill as d",
        "import torch\nmodel = torch.load('x')",
        "import torch\ntorch.save(model, 'x')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "eval('1')",
        "def f():\n    exec(text)",
        "__import__('os')",
        "subprocess.run(command, shell=True)",
    ],
)
def test_a_danger_is_seen(source: str) -> None:
    assert dangers_of(ast.parse(source))


def test_what_only_looks_like_a_danger_is_let_through() -> None:
    assert dangers_of(ast.parse("model.eval()\njson.load(file)\nre.compile('x')\nsubprocess.run(['ls'])")) == []


@pytest.mark.parametrize(
    "source",
    [
        "db.execute('VACUUM')",
        "rows = db.query(text)",
        "sql = '''SELECT a\nFROM b'''",
        "x = 'INSERT INTO t VALUES (1)'",
        "x = 'PRAGMA user_version'",
    ],
)
def test_sql_is_seen(source: str) -> None:
    assert has_sql(ast.parse(source))


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import gradio as gr", {"gradio"}),
        ("from gradio.components import Navbar", {"gradio.components.Navbar"}),
        ("def f():\n    from demo import web", {"demo.web"}),
        ("if True:\n    import os.path, torch", {"os.path", "torch"}),
    ],
)
def test_an_import_is_seen_wherever_it_stands(source: str, imported: set[str]) -> None:
    assert imports_of(ast.parse(source)) == imported


def test_an_imported_name_is_traced_to_its_module() -> None:
    assert module_named("nightschool.records.Message") == "nightschool.records"
    assert module_named("demo.pages.chat_view") == "demo.pages.chat_view"
    assert module_named("os.path") is None
