"""How much disk a build needs, and whether there is as much, before it begins."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryodata.build.builder import Builder
from cryodata.build.fetch import recalled
from cryodata.build.identify import Job, covered_by, digest_of
from cryodata.build.receipts import has_receipt
from cryodata.build.request import Prepared, Request
from cryodata.build.survey import Survey, survey
from cryodata.build.transfer import SPARE
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry
from cryodata.core.layout import canonical_json
from cryodata.errors import CryodataError, RejectedError

PER_VOXEL = {"uint16": 1.5, "float16": 1.7, "float32": 3.8}
"""Bytes a voxel after resampling: volume, label volumes, receipt, tables. Measured where noise is in every voxel
(benchmarks/results/build.json: 1.35 to 1.43 for uint16, and 1.0 with codec=zstd); masked maps take a third."""

MODEL = 1 << 20
"bytes of a fetched model, gzip: 30,000 atoms of about 20 bytes, and more; models stay until the build ends"

AMPLE = 1 << 30
"free bytes for each entry that is not done, above which nobody asks how large maps are: 500 cubed takes 0.7 GB, kept"


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of disk that a build needs."""

    made: int
    "volumes, receipts, tables"

    fetched: int
    "files from afar, while they are needed"

    @property
    def total(self) -> int:
        """Of both."""
        return self.made + self.fetched


def needed(found: Survey, entries: Sequence[Entry], parameters: Mapping[str, Any], request: Request) -> Need:
    """What the entries of a survey need. Maps go when their entry is done, unless they are kept."""
    per_voxel = PER_VOXEL.get(str(parameters.get("density")), max(PER_VOXEL.values()))
    at_once = min(len(entries), max(1, request.crew.workers))
    maps = found.fetch_bytes if request.keep_raw else at_once * found.largest_fetch
    models = {
        source.path
        for entry in entries
        for role, source in entry.sources.items()
        if role.startswith("model") and source.urls
    }
    return Need(round(per_voxel * found.voxels), maps + MODEL * len(models))


def check_disk(request: Request, known: Prepared) -> None:
    """CryodataError if the disk of the root has too little room for what is not done yet.

    Maps afar are asked for their size only if there is not ample room anyway.
    """
    folder, entries = Path(known.job.folder), known.admitted
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if request.finish or not request.disk_check or free >= AMPLE * len(entries):
        return
    entries = unfinished(entries, known.job, known.builder)
    if free >= AMPLE * len(entries):
        return
    with temporary_folder(folder) as temporary:
        need = needed(survey(entries, temporary), entries, known.job.parameters, request)
    spare = SPARE if need.fetched else 0
    if need.total + spare > free:
        with suppress(OSError):  # nothing was begun
            folder.rmdir()
        raise CryodataError(
            f"{folder}: {len(entries):,} entries need about {_size(need.total)} of disk, {_size(need.made)} for volumes"
            f" and tables, {_size(need.fetched)} for what is fetched, and {_size(free)} are free; make room, take"
            " fewer entries (--limit, --ids), or try all the same with --no-disk-check"
        )


def unfinished(entries: Sequence[Entry], job: Job, builder: Builder) -> list[Entry]:
    """Entries that are not known to be done, as far as that can be told without reading their maps."""
    done: dict[str, set[bytes | None]] = {}
    for path in (Path(job.folder) / "volumes").glob("*/*.zarr/zarr.json"):
        done.setdefault(path.parent.name.rpartition("-")[0], set()).add(_covers(path))

    def made(entry: Entry) -> bool:
        mine = canonical_json({**covered_by(entry, job, builder), "sources": None})
        return mine in done.get(entry.entry_id, ()) or _has_receipt(entry, job, builder)

    return [entry for entry in entries if not made(entry)]


def _has_receipt(entry: Entry, job: Job, builder: Builder) -> bool:
    """Whether an entry from afar was finished, or refused, by an earlier run."""
    try:
        known = recalled(entry)
    except RejectedError:
        return True
    return known is not None and has_receipt(Path(job.folder), digest_of(entry, covered_by(known, job, builder)))


def _covers(path: Path) -> bytes | None:
    """What the recipe digest of a volume covers, but for its sources; None if it does not say."""
    try:
        return canonical_json({**json.loads(path.read_bytes())["attributes"]["cryodata"], "sources": None})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
