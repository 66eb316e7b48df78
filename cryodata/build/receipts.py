"""What a build knows of an entry it has finished: local, never published, found by the recipe digest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryodata.build.workspace import write_json
from cryodata.core.entry import Entry, Rejection
from cryodata.core.layout import CHECKSUM, FORMAT_VERSION, FileDigest, checksum, parse_json, sealed, volume_path
from cryodata.formats.tables import file_digest, read_table, write_table

FOLDER = "receipts"
TABLES = ("atoms", "subgrids")

REQUIRED = {
    "files", "shape_zyx", "voxel_size_xyz", "origin_xyz", "n_subgrids", "sources", "sequences", "label_counts", "facts"
}  # fmt: skip
"what the receipt of an accepted entry says"


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


def read_receipt(folder: Path, entry: Entry, digest: str, hashed: bool) -> Receipt | None:
    """The receipt of an entry, if there is a sound one, with the tables that it speaks of and its volume.

    hashed: read every byte of the volume; without, its files have the right sizes.
    """
    try:
        content = parse_json(_path(folder, digest).read_bytes())
        if content.pop(CHECKSUM) != checksum(content):
            return None
        if content["format"] != FORMAT_VERSION or content["digest"] != digest:
            return None
        receipt = Receipt(digest, content)
        if not receipt.accepted:
            receipt.rejection(entry.entry_id)
            return receipt
        volume = folder / receipt.volume(entry.entry_id)
        whole = not volume.is_symlink() and all(
            file_digest(volume / path, path) == (path, size, sha256)
            if hashed
            else (volume / path).stat().st_size == size
            for path, size, sha256 in receipt.volume_files
        )
        whole = whole and all(
            file_digest(_table_path(folder, digest, name), name)[2] == content["tables"][name] for name in TABLES
        )
        told = content.keys() >= REQUIRED and all("alignment" in item for item in content["sequences"])
        return receipt if whole and told else None
    # whatever somebody made of it: the entry is worked on again
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def has_receipt(folder: Path, digest: str) -> bool:
    """Whether somebody wrote a receipt; `read_receipt` says whether it holds."""
    return _path(folder, digest).exists()


def write_receipt(
    folder: Path, temporary: Path, digest: str, content: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> Receipt:
    """Write a receipt; the JSON comes last and makes it valid. tables: `atoms` and `subgrids`, or none."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name, table in tables.items():
        write_table(temporary / name, table)
        hashes[name] = file_digest(temporary / name, name)[2]
        os.replace(temporary / name, _table_path(folder, digest, name))
    content = {"format": FORMAT_VERSION, "digest": digest, "tables": hashes, **content}
    (temporary / "receipt").write_bytes(sealed(content))
    os.replace(temporary / "receipt", _path(folder, digest))
    return Receipt(digest, content)


def write_failure(folder: Path, entry_id: str, code: str, message: str) -> None:
    """Note how an entry failed that may not fail again; whoever only looks entries up reports it so."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    write_json(_failure_path(folder, entry_id), {"code": code, "message": message})


def read_failure(folder: Path, entry_id: str) -> tuple[str, str] | None:
    """How an entry failed when it was last worked on: code and message; None if it did not."""
    try:
        found = json.loads(_failure_path(folder, entry_id).read_bytes())
        return str(found["code"]), str(found["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clear_failure(folder: Path, entry_id: str) -> None:
    """Forget it: the entry is finished."""
    _failure_path(folder, entry_id).unlink(missing_ok=True)


def read_atoms(folder: Path, digest: str) -> pa.Table:
    """Label points of an entry."""
    return read_table(_table_path(folder, digest, "atoms"))


def read_subgrids(folder: Path, digest: str) -> pa.Table:
    """Sub-grid rows of an entry."""
    return read_table(_table_path(folder, digest, "subgrids"))


def _table_path(folder: Path, digest: str, name: str) -> Path:
    return folder / FOLDER / f"{digest}.{name}.parquet"


def _failure_path(folder: Path, entry_id: str) -> Path:
    return folder / FOLDER / f"{entry_id}.failed"


def _path(folder: Path, digest: str) -> Path:
    return folder / FOLDER / f"{digest}.json"
