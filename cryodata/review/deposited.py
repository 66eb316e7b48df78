"""The map that an entry was made from, found again in a source folder and known by its hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryodata.build.catalog import read_source_folder
from cryodata.core.volume import Volume
from cryodata.errors import UsageError
from cryodata.formats.mrc import read_hashed
from cryodata.formats.mrc_header import read_header


def deposited_map(source: Path, row: Mapping[str, Any]) -> Volume:
    """The map of an entry. Raises UsageError if the folder has no such entry, or another map under its id.

    source: a folder with entries.csv. row: of the entries table.
    """
    entry_id = row["entry_id"]
    listed = {entry.entry_id: entry for entry in read_source_folder(source)}
    if entry_id not in listed:
        raise UsageError(f"--source {source}: its entries.csv has no entry '{entry_id}'; the picture can do without")
    path = Path(listed[entry_id].sources["map"].path)
    volume, sha256, _ = read_hashed(path, read_header(path))
    expected = [item["sha256"] for item in row["source_sha256"] if item["role"] == "map"]
    if expected != [sha256]:
        raise UsageError(f"--source {source}: {path.name} is another map than '{entry_id}' was made from")
    return volume
