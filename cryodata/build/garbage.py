"""What no version and no receipt refers to: found, and removed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryodata.build.receipts import FOLDER as RECEIPTS
from cryodata.build.workspace import alone, is_worked_in, remove_stale
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.manifest import list_versions
from cryodata.formats.tables import file_digest, read_table
from cryodata.formats.versions import open_version

GRACE = 3600.0
"seconds that something new is left alone: what refers to it may come next"


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that can go."""

    path: str
    "relative to the dataset's folder"

    size: int


def find_garbage(folder: Path, now: float | None = None) -> list[Garbage]:
    """Volumes and tables that no version and no receipt refers to, and tables of receipts that are not there; by path.

    Raises UsageError while somebody builds in the folder, DatasetError if a version can't be read: nobody knows then
    what it refers to.
    """
    if is_worked_in(folder):
        raise UsageError(f"somebody builds in {folder}; what is garbage is known when that is over")
    needed = _needed(folder)
    new = (time.time() if now is None else now) - GRACE
    found = []
    for path in sorted(_there(folder)):
        place = path.relative_to(folder)
        if not _is_needed(place, *needed) and path.lstat().st_mtime < new:
            found.append(Garbage(place.as_posix(), _size(path)))
    return found


def remove_garbage(folder: Path, garbage: Sequence[Garbage]) -> list[Garbage]:
    """Remove what was found; returns what went. Each is moved away first: nobody sees half of it.

    Time may have passed, and a build may have found a use for some of it: that stays. Raises as `find_garbage` does;
    who begins to build meanwhile waits.
    """
    remove_stale(folder)
    with alone(folder) as temporary:
        needed = _needed(folder)
        garbage = [item for item in garbage if not _is_needed(Path(item.path), *needed)]
        for number, item in enumerate(garbage):
            with suppress(FileNotFoundError):
                os.rename(folder / item.path, temporary / str(number))
                if (temporary / str(number)).is_dir():
                    shutil.rmtree(temporary / str(number))
                else:
                    (temporary / str(number)).unlink()
        for parent in {(folder / item.path).parent for item in garbage}:
            with suppress(OSError):  # others are in it
                parent.rmdir()
    return garbage


def _needed(folder: Path) -> tuple[set[str], set[str]]:
    """Paths that versions and receipts refer to; and the digests of volumes that receipts refer to."""
    paths, digests = set[str](), set[str]()
    for version in list_versions(folder):
        opened = open_version(folder.parent, folder.name, version)
        paths.add(opened.manifest.tables)
        path = opened.table("entries.parquet")
        if file_digest(path, path.name)[2] != opened.manifest.files[path.name].sha256:
            raise DatasetError(f"{opened.manifest.tables}/{path.name}: damaged; nobody knows what {version} refers to")
        table = read_table(path, columns=["volume"])
        paths.update(table["volume"].to_pylist())
    for path in (folder / RECEIPTS).glob("*.json"):
        try:
            content = json.loads(path.read_bytes())
            paths.update(f"{RECEIPTS}/{path.stem}.{name}.parquet" for name in content["tables"])
            if content["status"] == "accepted":
                digests.add(str(content["volume"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # no receipt: the entry will be worked on again
    return paths, digests


def _there(folder: Path) -> Iterator[Path]:
    """Everything that somebody must refer to."""
    yield from (folder / "volumes").glob("*/*.zarr")
    yield from (folder / "tables").glob("*")
    yield from (folder / RECEIPTS).glob("*.parquet")


def _is_needed(place: Path, paths: set[str], digests: set[str]) -> bool:
    """Whether somebody refers to what is there, by what `_needed` gives."""
    return place.as_posix() in paths or _digest_in(place.name) in digests


def _digest_in(name: str) -> str:
    """The part of a volume's name that says its content."""
    return name.removesuffix(".zarr").rpartition("-")[2]


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir() or file.is_symlink())
