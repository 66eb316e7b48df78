"""What a build would do: entries, bytes, voxels, memory, disk and time, without doing it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cryodata.build.admission import memory_for, voxels_of
from cryodata.build.http import FetchError, NotThereError, Patience, TransientError, opened
from cryodata.build.request import Request, prepare
from cryodata.build.transfer import CONTENT_RANGE
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry, Rejection, Source
from cryodata.errors import RejectedError
from cryodata.formats.manifest import list_versions
from cryodata.formats.mrc_header import read_header
from cryodata.formats.tables import read_table, write_table
from cryodata.formats.versions import open_version

SAMPLE = 40
"maps that are looked at, spread evenly over the ids; the rest is taken to be like them"

HEAD = 64 << 10
"bytes of a map that are fetched to read its header"


@dataclass(frozen=True, slots=True)
class Look:
    """What the beginning of a map says."""

    size: int
    "bytes of the file"

    before: int
    "voxels as deposited"

    after: int
    "voxels after resampling"

    remote: bool


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
    "of volumes before compression, and of fetched files while they are needed"

    seconds: float | None
    "of one worker, by the rate of this dataset's last version, without fetching; None if there is none"


def plan(request: Request) -> Plan:
    """Choose entries as `build` does, look at some of their maps, write the catalogue. Builds nothing."""
    known = prepare(request)
    folder, admitted, refused = Path(known.job.folder), known.admitted, known.refused
    step = max(1, math.ceil(len(admitted) / SAMPLE))
    with temporary_folder(folder) as temporary:
        looks = [found for entry in admitted[::step] if (found := _look(entry.sources["map"], temporary / "map"))]
        (folder / "source").mkdir(exist_ok=True)
        write_table(temporary / "catalogue", _catalogue(known.chosen, refused))
        os.replace(temporary / "catalogue", folder / "source/catalogue.parquet")
    times = len(admitted) / len(looks) if looks else 0.0
    fetch = round(times * sum(look.size for look in looks if look.remote))
    voxels = round(times * sum(look.after for look in looks))
    largest = max((look.size for look in looks if look.remote), default=0)
    rate = _rate(folder)
    return Plan(
        catalogue=folder / "source/catalogue.parquet",
        entries=len(admitted),
        refused=len(refused),
        looked_at=len(looks),
        fetch_bytes=fetch,
        voxels=voxels,
        peak_bytes=max((memory_for(look.before, look.after) for look in looks), default=0),
        # float16
        disk_bytes=2 * voxels + (fetch if request.keep_raw else max(1, request.crew.workers) * largest),
        seconds=None if rate is None else rate * voxels,
    )


def _look(source: Source, place: Path) -> Look | None:
    """Size and header of a map, here or afar; None if they can't be had. place: for its first bytes."""
    path, remote = Path(source.path), bool(source.urls)
    try:
        if remote:
            path = _begin(source.urls[0], place)
        header = read_header(path)
    except (TransientError, NotThereError, FetchError, RejectedError):
        return None
    return Look(path.stat().st_size, *voxels_of(header), remote)


def _begin(mirrors: Sequence[str], place: Path) -> Path:
    """A file of the right length that holds no more than the beginning of the map."""
    patience = Patience.of_environment()
    for failures in range(1, int(patience.attempts) + 1):
        try:
            with opened(mirrors[failures % len(mirrors)], {"Range": f"bytes=0-{HEAD - 1}"}, patience) as response:
                content = response.read(HEAD)
                told = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
                length = told[2] if told else response.headers.get("Content-Length", "")
                if length.isdecimal():
                    place.write_bytes(content)
                    os.truncate(place, int(length))
                    return place
                raise FetchError("the server does not say how long the file is")
        except TransientError as error:
            patience.sleep(failures, error.wait)
    raise FetchError("no answer")


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
