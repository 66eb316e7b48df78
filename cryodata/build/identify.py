"""What decides whether work is needed: the recipe digest of an entry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryodata.build.admission import voxels_of
from cryodata.build.builder import Builder, settings_of
from cryodata.core.entry import Entry, Source
from cryodata.core.layout import FORMAT_VERSION, canonical_json
from cryodata.core.parameters import shaping
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc import TRAILING_BYTES, map_digest, read_hashed
from cryodata.formats.mrc_header import MapHeader, read_header
from cryodata.formats.structure import model_digest

MOST_ROOM = 8
"times the voxels of a map: it has at most 2 A"


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for every entry of a build; small, so that it travels to workers with each."""

    builder: str
    "name by which workers find the builder"

    recipe: str
    parameters: Mapping[str, Any]
    "resolved"

    folder: str
    "folder of the dataset: ROOT/NAME"

    keep_raw: bool = False
    "whether fetched maps stay when their entry is finished"

    memory: int = 0
    "bytes that the process that works on an entry may take; 0 for no limit"

    known_only: bool = False
    "whether nothing is worked on: entries are looked up"


def identify(
    entry: Entry, job: Job, builder: Builder, reading: bool = False
) -> tuple[Entry, dict[str, Any] | RejectedError]:
    """The entry with its sources hashed, and what the recipe digest covers besides the entry's name.

    reading: keep the map that is read on the way, so that it is inflated once, with room before it for what it will be
    resampled to. The second is the reason if a source can't be read to its end; making the sample may find an earlier
    one.
    """
    sources: dict[str, Source] = {}
    for role, source in entry.sources.items():
        path, held = Path(source.path), list[Volume]()
        try:
            if source.sha256:  # hashed as it came
                digest, size = source.sha256, source.size
                if not role.startswith("model"):
                    _check_size(read_header(path), size)
            elif role.startswith("model"):
                digest, size = model_digest(path)
            elif reading and role == "map":
                header = read_header(path)
                volume, digest, size = read_hashed(path, header, _room(header))
                held.append(volume)
            else:
                digest, size = map_digest(path, read_header(path))
        except RejectedError as error:
            return entry, error
        sources[role] = Source(source.path, digest, size, held)
    identified = replace(entry, sources=sources)
    return identified, covered_by(identified, job, builder)


def _room(header: MapHeader) -> int:
    """Voxels of a map after resampling; of some that would have very many more, none: who asks for so much memory, and
    may not need it, should do so later."""
    before, after = voxels_of(header)
    return after if after <= MOST_ROOM * before else 0


def covered_by(entry: Entry, job: Job, builder: Builder) -> dict[str, Any]:
    """What the recipe digest of an entry with known hashes covers, besides its name."""
    read = getattr(builder, "reads", {}).get(job.recipe, ())
    return {
        **({"fields": {name: getattr(entry, name) for name in read}} if read else {}),
        "format": FORMAT_VERSION,
        "builder": builder.name,
        "recipe": job.recipe,
        "revision": builder.recipes[job.recipe],
        "parameters": shaping(settings_of(builder), job.parameters),
        "sources": {role: source.sha256 for role, source in entry.sources.items()},
    }


def without_parent(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the manifest records them: the parent itself stands there, not how it was asked for."""
    return {key: value for key, value in parameters.items() if key != "parent"}


def digest_of(entry: Entry, covered: Mapping[str, Any]) -> str:
    """The recipe digest of an entry."""
    return hashlib.sha256(canonical_json({**covered, "entry_id": entry.entry_id})).hexdigest()


def _check_size(header: MapHeader, size: int) -> None:
    """Hold the decompressed bytes of a map against its header, as hashing it does."""
    claimed = header.data_offset + header.data_bytes
    if size < claimed:
        found = f"the header claims {claimed:,} bytes; it holds {size:,}"
        raise RejectedError("truncated_map", f"{header.file_name}: {found}")
    if size > claimed + TRAILING_BYTES:
        found = f"more than the {claimed + TRAILING_BYTES:,} bytes that it may hold"
        raise RejectedError("unreadable_map", f"{header.file_name}: {found}")
