"""What a build knows of an entry it has finished: local, never published, found by the recipe digest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryodata.core.entry import Entry, Rejection
from cryodata.core.layout import FORMAT_VERSION, FileDigest, canonical_json, volume_path
from cryodata.formats.tables import read_table, write_table

FOLDER = "receipts"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one entry."""

    digest: str
    "recipe digest: everything that the result depends on"

    content: Mapping[str, Any]
    "JSON values; `status` is accepted or rejected"

    @property
    def accepted(self) -> bool:
        """Whether a volume was made."""
        return bool(self.content["status"] == "accepted")

    def volume(self, entry_id: str) -> str:
        """Folder of the volume, relative to the dataset."""
        return volume_path(entry_id, self.content["volume"])

    @property
    def volume_files(self) -> list[FileDigest]:
        """Files of the volume."""
        return [(path, size, sha256) for path, size, sha256 in self.content["files"]]

    def rejection(self, entry_id: str) -> Rejection:
        """Why the entry was refused."""
        return Rejection(entry_id, self.content["code"], self.content["message"])


def read_receipt(folder: Path, entry: Entry, digest: str) -> Receipt | None:
    """The receipt of an entry, if there is one and its volume is there in full size."""
    try:
        content = json.loads(_path(folder, digest).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if content.get("format") != FORMAT_VERSION:
        return None
    receipt = Receipt(digest, content)
    if receipt.accepted:
        volume = folder / receipt.volume(entry.entry_id)
        if not all(_size(volume / path) == size for path, size, _ in receipt.volume_files):
            return None
        if not (atoms_path(folder, digest).exists() and subgrids_path(folder, digest).exists()):
            return None
    return receipt


def write_receipt(
    folder: Path, temporary: Path, digest: str, content: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> Receipt:
    """Write a receipt; the JSON comes last and makes it valid. tables: `atoms` and `subgrids`, or none."""
    content = {"format": FORMAT_VERSION, **content}
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(temporary / name, table)
        os.replace(temporary / name, folder / FOLDER / f"{digest}.{name}.parquet")
    (temporary / "receipt").write_bytes(canonical_json(content) + b"\n")
    os.replace(temporary / "receipt", _path(folder, digest))
    return Receipt(digest, content)


def atoms_path(folder: Path, digest: str) -> Path:
    """Label points of an entry."""
    return folder / FOLDER / f"{digest}.atoms.parquet"


def subgrids_path(folder: Path, digest: str) -> Path:
    """Sub-grid rows of an entry."""
    return folder / FOLDER / f"{digest}.subgrids.parquet"


def read_atoms(folder: Path, digest: str) -> pa.Table:
    """Label points of an entry."""
    return read_table(atoms_path(folder, digest))


def read_subgrids(folder: Path, digest: str) -> pa.Table:
    """Sub-grid rows of an entry."""
    return read_table(subgrids_path(folder, digest))


def _path(folder: Path, digest: str) -> Path:
    return folder / FOLDER / f"{digest}.json"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
