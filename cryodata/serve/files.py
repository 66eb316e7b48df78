"""Which path of an address is which file. Only what versions are made of is served, and nothing outside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from cryodata.core.layout import DATASET_NAME
from cryodata.formats.manifest import list_versions

PARTS = ("tables", "versions", "volumes")
"folders of a dataset that are published; sources, receipts and provenance are the builder's own"

TYPES = {
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown; charset=utf-8",
    ".cff": "text/plain; charset=utf-8",
}
"what browsers are told; anything else is bytes: a page that a dataset brings along is shown by no browser"


def published_file(root: Path, parts: Sequence[str]) -> Path | None:
    """The file of a dataset by the parts of a path; None for what is not published."""
    if len(parts) < 2 or not DATASET_NAME.fullmatch(parts[0]):
        return None
    if parts[1:] == ["latest.json"] or (len(parts) > 2 and parts[1] in PARTS):
        return inside(root / parts[0], parts[1:])
    return None


def inside(folder: Path, parts: Sequence[str]) -> Path | None:
    """A path below a folder, its links followed; None if it leads out, or a part could."""
    if any(part in ("", ".", "..") or any(letter in part for letter in "/\\\0") for part in parts):
        return None
    try:
        file = folder.joinpath(*parts).resolve()
        return file if file.is_relative_to(folder.resolve()) else None
    except (OSError, ValueError, RuntimeError):
        return None


def open_regular(file: Path) -> tuple[FileIO, os.stat_result] | None:
    """Open a file that is one; None for folders, pipes, devices, and what is not there or may not be read."""
    try:
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        os.close(number)
        return None
    return FileIO(number, "rb"), found


def dataset_names(root: Path) -> list[str]:
    """Datasets below a root that have a version."""
    found = (folder.name for folder in sorted(root.glob("*")) if DATASET_NAME.fullmatch(folder.name))
    return [name for name in found if list_versions(root / name)]
