"""Partial copies: a version of which a folder holds every table, but only some of the volumes.

A note beside the manifest lists them. The version keeps its name and its hash: rows, order and splits are those of the
whole, and pulling the rest completes it. The note is of this folder alone, and never published.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cryodata.core.layout import canonical_json, parse_json
from cryodata.errors import DatasetError
from cryodata.formats.manifest import Manifest
from cryodata.formats.places import PARTIAL, is_remote
from cryodata.formats.versions import DatasetVersion


def note_path(folder: Path, version: str) -> Path:
    """Where the note of a version lies."""
    return folder / PARTIAL / f"{version}.json"


def held_volumes(opened: DatasetVersion) -> frozenset[str] | None:
    """The volumes that a partial copy should have; None for a whole one. DatasetError for a note that says nothing."""
    if is_remote(opened.root):
        return None
    return read_note(Path(opened.root) / opened.manifest.name, opened.manifest)


def read_note(folder: Path, manifest: Manifest) -> frozenset[str] | None:
    """The same, of a folder."""
    path = note_path(folder, manifest.version)
    try:
        volumes = parse_json(path.read_bytes())["volumes"]
        if not all(isinstance(volume, str) for volume in volumes):
            raise ValueError("a volume is no text")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path}: does not say what the copy holds ({error}); pull it again") from None
    return frozenset(volumes)


def write_note(folder: Path, version: str, volumes: Iterable[str], temporary: Path) -> None:
    """Note what a copy holds. temporary: a file on the same file system to write first."""
    path = note_path(folder, version)
    path.parent.mkdir(exist_ok=True)
    temporary.write_bytes(canonical_json({"volumes": sorted(volumes)}) + b"\n")
    os.replace(temporary, path)


def remove_note(folder: Path, version: str) -> None:
    """The copy is whole."""
    path = note_path(folder, version)
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:  # there are others, or none
        return
