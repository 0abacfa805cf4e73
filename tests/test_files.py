"""Folders that appear whole or not at all, and what is said of one that is not as it was written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nightschool.files import MANIFEST, manifest_fault, sha256_of, whole_folder, write_json


def make(target: Path, text: str = "hello") -> Path:
    with whole_folder(target) as folder:
        (folder / "deep").mkdir()
        (folder / "a.txt").write_text(text)
        (folder / "deep" / "b.bin").write_bytes(b"\x00\x01")
    return target


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # the example of FIPS 180-2
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_is_written_readably_with_a_line_end(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "café"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "name": "café"\n}\n'


def test_a_folder_appears_with_all_its_files_and_a_manifest_that_names_them(tmp_path: Path) -> None:
    target = make(tmp_path / "versions" / "v1")
    manifest = json.loads((target / MANIFEST).read_text())
    assert manifest == {
        "files": {"a.txt": sha256_of(target / "a.txt"), "deep/b.bin": sha256_of(target / "deep" / "b.bin")}
    }
    assert manifest_fault(target) is None
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


def test_a_folder_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    with whole_folder(target) as folder:
        (folder / "a.txt").write_text("half")
        assert not target.exists()
    assert target.exists()


def test_others_may_read_the_folder(tmp_path: Path) -> None:
    target = make(tmp_path / "v1")
    assert target.stat().st_mode & 0o777 == 0o755
    assert (target / "deep").stat().st_mode & 0o777 == 0o755
    assert (target / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_folder_that_fails_half_way_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)):
        fail(tmp_path / "v1", failure)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_leaves_the_earlier_folder(tmp_path: Path) -> None:
    target = make(tmp_path / "v1", "the earlier one")
    with pytest.raises(OSError, match="disk full"):
        fail(target, OSError("disk full"))
    assert (target / "a.txt").read_text() == "the earlier one"
    assert manifest_fault(target) is None
    assert list(tmp_path.iterdir()) == [target]


def fail(target: Path, failure: BaseException) -> None:
    with whole_folder(target) as folder:
        (folder / "a.txt").write_text("half")
        raise failure


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = make(tmp_path / "v1", "the earlier one")
    (target / "left over").write_text("from before")
    make(target, "the later one")
    assert (target / "a.txt").read_text() == "the later one"
    assert not (target / "left over").exists()
    assert manifest_fault(target) is None


def change(target: Path) -> None:
    (target / "deep" / "b.bin").write_bytes(b"\x00\x03")  # same length, one bit


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (change, "deep/b.bin was changed"),
    (lambda target: (target / "a.txt").unlink(), "a.txt is missing"),
    (lambda target: (target / "deep" / "c.bin").write_text("new"), "deep/c.bin was added"),
    (lambda target: (target / MANIFEST).unlink(), "its manifest is missing"),
    (lambda target: (target / MANIFEST).write_text("{"), "its manifest cannot be read"),
    (lambda target: (target / MANIFEST).write_text("[]"), "its manifest cannot be read"),
    (lambda target: (target / MANIFEST).write_text('{"files": ["a.txt"]}'), "its manifest cannot be read"),
    (lambda target: (target / MANIFEST).write_text('{"files": 3}'), "its manifest cannot be read"),
    (lambda target: (target / MANIFEST).write_bytes(b"\xff"), "its manifest cannot be read"),
]


@pytest.mark.parametrize(("damage", "said"), FAULTS, ids=[f"{said} {i}" for i, (_, said) in enumerate(FAULTS)])
def test_a_folder_that_is_not_as_it_was_written_is_told_by_its_fault(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    target = make(tmp_path / "v1")
    damage(target)
    assert manifest_fault(target) == said


def test_a_folder_that_was_never_made_has_no_manifest(tmp_path: Path) -> None:
    assert manifest_fault(tmp_path / "v1") == "its manifest is missing"


def test_a_file_in_place_of_the_folder_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("not a folder")
    assert manifest_fault(tmp_path / "v1") == "its manifest cannot be read"


def test_a_hidden_file_that_a_file_browser_left_is_no_fault(tmp_path: Path) -> None:
    target = make(tmp_path / "v1")
    (target / ".DS_Store").write_text("")
    assert manifest_fault(target) is None
