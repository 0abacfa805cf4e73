"""Whether a version's files are what was registered, told without loading a model.

Immutable; safetensors, Parquet, JSON and Markdown only: before a version is served or promoted its files are checked
against the manifest, and the manifest's own hash against the registry, so that a damaged or swapped file is refused.
"""

from pathlib import Path

from nightschool.errors import DamagedVersion
from nightschool.files import MANIFEST, manifest_fault, sha256_of
from nightschool.records import INITIAL, Version

KINDS = {".json", ".safetensors", ".parquet", ".md"}
"""Kinds of files a version is made of. Others may hold code: they are refused even where the manifest names them."""


def check_files(folder: Path, version: Version) -> None:
    """Raise `DamagedVersion` unless the folder is what was registered. The initial version has none."""
    if version.id == INITIAL:
        return
    fault = manifest_fault(folder) or _foreign_file(folder)
    if fault is None and sha256_of(folder / MANIFEST) != version.manifest_sha256:
        fault = "its manifest is not the one that was registered"
    if fault is not None:
        raise DamagedVersion(
            f"The version {version.id} in {folder} is damaged ({fault}); restore the folder from a backup, or promote "
            "another version with `python -m training promote VERSION`."
        )


def _foreign_file(folder: Path) -> str | None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    foreign = [path for path in files if path.suffix not in KINDS]
    return f"{foreign[0].relative_to(folder).as_posix()} is no kind of file that a version holds" if foreign else None
