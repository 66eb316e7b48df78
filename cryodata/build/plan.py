"""What a build would do: entries, bytes, voxels, memory, disk and time, without doing it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cryodata.build.disk import needed
from cryodata.build.request import Request, prepare
from cryodata.build.survey import survey
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry, Rejection
from cryodata.formats.manifest import list_versions
from cryodata.formats.tables import read_table, write_table
from cryodata.formats.versions import open_version


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would do. Numbers are extrapolated from the maps that were looked at; 0 if none could be."""

    catalogue: Path
    "Parquet table of all entries"

    entries: int
    refused: int
    looked_at: int
    fetch_bytes: int
    voxels: int
    "after resampling"

    peak_bytes: int
    "memory of the worker with the largest map that was looked at, an upper estimate"

    disk_bytes: int
    "of volumes, tables and fetched files, an upper estimate"

    seconds: float | None
    "of one worker, by the rate of this dataset's last version, without fetching; None if there is none"


def plan(request: Request) -> Plan:
    """Choose entries as `build` does, look at some of their maps, write the catalogue. Builds nothing."""
    known = prepare(request)
    folder, admitted, refused = Path(known.job.folder), known.admitted, known.refused
    with temporary_folder(folder) as temporary:
        found = survey(admitted, temporary)
        (folder / "source").mkdir(exist_ok=True)
        write_table(temporary / "catalogue", _catalogue(known.chosen, refused))
        os.replace(temporary / "catalogue", folder / "source/catalogue.parquet")
    rate = _rate(folder)
    return Plan(
        catalogue=folder / "source/catalogue.parquet",
        entries=len(admitted),
        refused=len(refused),
        looked_at=len(found.looks),
        fetch_bytes=found.fetch_bytes,
        voxels=found.voxels,
        peak_bytes=found.peak_bytes,
        disk_bytes=needed(found, admitted, known.job.parameters, request).total,
        seconds=None if rate is None else rate * found.voxels,
    )


def _catalogue(chosen: Sequence[Entry], refused: Sequence[Rejection]) -> pa.Table:
    codes = {item.entry_id: item.code for item in refused}
    rows = [
        {
            "entry_id": entry.entry_id,
            "emdb_id": entry.emdb_id,
            "pdb_id": entry.pdb_id,
            "resolution": entry.resolution,
            "contour_level": entry.contour_level,
            "refused": codes.get(entry.entry_id, ""),
            "map": entry.sources["map"].urls[0][0] if entry.sources["map"].urls else entry.sources["map"].path,
            **entry.metadata,
        }
        for entry in chosen
    ]
    return pa.Table.from_pylist(rows)


def _rate(folder: Path) -> float | None:
    """Seconds a voxel of the last version that was built here, one worker."""
    for version in reversed(list_versions(folder)):
        path = folder / "provenance" / f"{version}.json"
        if path.exists():
            seconds = json.loads(path.read_bytes())["entry_seconds"]
            table = read_table(open_version(folder.parent, folder.name, version).table("entries.parquet"))
            voxels = sum(math.prod(shape) for shape in table["shape_zyx"].to_pylist())
            return float(sum(seconds.values())) / voxels if voxels else None
    return None
