"""Files that appear whole or not at all: written under another name, synced to disk, then renamed."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or folder entry to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write JSON text and sync it; inside `whole_folder`, or for a file nobody reads yet."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(path)


def whole_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill another file in the same folder, sync it, and give it the name. A file there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    write(temporary)
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


@contextmanager
def whole_folder(target: Path, *, workshop: Path | None = None) -> Iterator[Path]:
    """Fill the yielded temporary folder; at the end it gets a manifest and becomes `target`.

    The manifest (`{"files": {name: sha256}}`) is written last. A folder that is already at `target` is replaced. The
    temporary folder lies in `workshop` (on the same disk; beside the target where none is given).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=workshop or target.parent))
    try:
        yield temporary
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        for path in files:
            path.chmod(0o644)
            sync(path)
        write_json(
            temporary / MANIFEST,
            {"files": {path.relative_to(temporary).as_posix(): sha256_of(path) for path in files}},
        )
        for folder in [path for path in temporary.rglob("*") if path.is_dir()] + [temporary]:
            folder.chmod(0o755)
            sync(folder)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def manifest_fault(folder: Path) -> str | None:
    """What is wrong with a folder made by `whole_folder`, in a few words; None when it is as written."""
    try:
        files: dict[str, str] = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except FileNotFoundError:
        return "its manifest is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return "its manifest cannot be read"
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != digest:
            return f"{name} was changed"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if (
            name not in files and name != MANIFEST and not path.name.startswith(".")
        ):  # hidden: a file browser's own, read by no loader
            return f"{name} was added"
    return None
