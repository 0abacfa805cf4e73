"""Where settings come from, and what is said about the ones that cannot be used."""

from datetime import time
from pathlib import Path

import pytest

from nightschool.errors import BadInput
from nightschool.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NIGHTSCHOOL_{name.upper()}", raising=False)


def write_toml(text: str) -> None:
    Path("nightschool.toml").write_text(text, encoding="utf-8")


def refusal_of(**given: object) -> str:
    with pytest.raises(BadInput) as refusal:
        load_settings(**given)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_the_file_beats_the_default_the_environment_the_file_and_the_command_line_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().port == 7860
    write_toml('port = 1111\nhost = "0.0.0.0"\n')
    assert load_settings().port == 1111
    monkeypatch.setenv("NIGHTSCHOOL_PORT", "2222")
    assert load_settings().port == 2222
    assert load_settings(port=3333).port == 3333
    assert load_settings(port=3333).host == "0.0.0.0"  # each setting goes its own way


def test_an_option_that_was_not_given_does_not_hide_what_was_set_elsewhere() -> None:
    write_toml('db = "school.db"\n')
    assert load_settings(db=None).db == Path("school.db")


def test_the_cache_stands_where_the_desktop_keeps_caches_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert load_settings().cache == Path("caches/nightschool")
    monkeypatch.setenv("NIGHTSCHOOL_CACHE", "elsewhere")
    assert load_settings().cache == Path("elsewhere")


def test_an_unknown_name_in_the_file_is_refused_by_name() -> None:
    write_toml("prot = 1111\n")
    said = refusal_of()
    assert said.startswith("The setting prot was given as 1111: Extra inputs are not permitted; correct it ")
    assert "nightschool.toml" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536),
        ("port", "seven"),
        ("model", ""),
        ("duel_share", 1.5),
        ("temperature", 0),
        ("max_new_tokens", 0),
        ("max_prompt_tokens", 63),
        ("resident_versions", 1),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_wherever_it_comes_from(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"The setting {name} was given as {value!r}: "
    assert refusal_of(**{name: value}).startswith(expected)
    write_toml(f"{name} = {value!r}\n")
    assert refusal_of().startswith(expected)
    write_toml("")
    if value != "":  # an empty variable of the environment is a value too, but the default there is to keep it
        monkeypatch.setenv(f"NIGHTSCHOOL_{name.upper()}", str(value))
        assert refusal_of().startswith(f"The setting {name} was given as {str(value)!r}: ")


@pytest.mark.parametrize("content", [b"port = [7860\n", b"port 7860\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused_in_one_sentence(content: bytes) -> None:
    Path("nightschool.toml").write_bytes(content)
    assert refusal_of().startswith("The file nightschool.toml could not be read (")


def test_settings_do_not_change_once_they_are_loaded() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "clock"),
    [('"02:30"', time(2, 30)), ('"23:05"', time(23, 5)), ("02:30:00", time(2, 30)), ('"off"', None), ('""', None)],
)
def test_the_nightly_time_is_a_time_of_day_or_off(text: str, clock: time | None) -> None:
    assert load_settings().nightly is None
    write_toml(f"nightly = {text}\n")
    assert load_settings().nightly == clock
    assert load_settings(nightly="off").nightly is None
    assert load_settings(nightly="04:00").nightly == time(4)


@pytest.mark.parametrize("given", ["25:00", "half past two", "02:30Z", "2:3:4", "9000"])
def test_what_is_no_time_of_day_is_refused(given: str) -> None:
    with pytest.raises(BadInput, match="give a time of day as 02:30, or off"):
        load_settings(nightly=given)


@pytest.mark.parametrize("given", ["Middle/Earth", "../etc/passwd", "Europe"])
def test_a_zone_that_is_none_is_refused_by_name(given: str) -> None:
    with pytest.raises(BadInput, match="The setting nightly_zone was given as"):
        load_settings(nightly_zone=given)
    assert load_settings(nightly_zone="Asia/Shanghai").nightly_zone == "Asia/Shanghai"
