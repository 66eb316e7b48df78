"""Tables of many volumes, spread over files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from cryodata.build.receipts import Receipt, read_atoms, read_subgrids
from cryodata.core.entry import Entry
from cryodata.core.layout import manifest_path
from cryodata.core.splits import DEFAULT_SCHEME, split_names
from cryodata.formats.manifest import Manifest, read_manifest
from cryodata.formats.tables import ATOMS, SUBGRIDS, with_volume, write_groups

VOLUMES_PER_GROUP = 64
"volumes whose sub-grids share a row group"

ATOMS_PER_FILE = 64
"volumes whose atoms share a table file: its footer tells of each, and is parsed to read one (of 64 in 1 ms)"

FORMER_PER_FILE = 1024
"volumes whose atoms shared one in versions that were built before"

SUBGRIDS_PER_FILE = 1024
"volumes whose sub-grids share a table file"


def atoms_per_file(folder: Path, version: str) -> int:
    """Volumes in an atoms file of a version: as many as there are in those of one that is there already, since the same
    command gives the same bytes. DatasetError if its manifest can't be read."""
    path = folder / manifest_path(version)
    if not path.exists():
        return ATOMS_PER_FILE
    made = Manifest.from_bytes(read_manifest(path), f"{folder.name}/{manifest_path(version)}")
    files = sum(name.startswith("atoms-") for name in made.files)
    return ATOMS_PER_FILE if files == max(1, -(-made.counts["entries"] // ATOMS_PER_FILE)) else FORMER_PER_FILE


def write_atoms(made: Path, folder: Path, accepted: Sequence[tuple[Entry, Receipt]], per_file: int) -> dict[str, int]:
    """Label points, a row group a volume, so that a reader takes just those of the volume it opens. Rows by file."""
    rows = {}
    parts = [range(i, min(i + per_file, len(accepted))) for i in range(0, len(accepted), per_file)]
    for number, part in enumerate(parts or [range(0)]):
        name = f"atoms-{number:05d}-of-{max(1, len(parts)):05d}.parquet"
        groups = (with_volume(read_atoms(folder, accepted[i][1].digest), i) for i in part)
        rows[name] = write_groups(made / name, ATOMS, groups)
    return rows


def write_subgrids(
    made: Path, folder: Path, accepted: Sequence[tuple[Entry, Receipt]], splits: Mapping[str, Mapping[str, str]]
) -> dict[str, int]:
    """Sub-grid rows by split of the default scheme; a split without any has one empty file."""
    rows = {}
    for split in split_names(DEFAULT_SCHEME):
        volumes = [i for i, (entry, _) in enumerate(accepted) if splits[DEFAULT_SCHEME][entry.entry_id] == split]
        parts = [volumes[i : i + SUBGRIDS_PER_FILE] for i in range(0, len(volumes), SUBGRIDS_PER_FILE)] or [[]]
        for number, part in enumerate(parts):
            name = f"subgrids-{split}-{number:05d}-of-{len(parts):05d}.parquet"
            rows[name] = write_groups(made / name, SUBGRIDS, _subgrid_groups(folder, accepted, part))
    return rows


def _subgrid_groups(
    folder: Path, accepted: Sequence[tuple[Entry, Receipt]], volumes: Sequence[int]
) -> Iterator[pa.Table]:
    for first in range(0, len(volumes), VOLUMES_PER_GROUP):
        group = volumes[first : first + VOLUMES_PER_GROUP]
        yield pa.concat_tables(
            [with_volume(read_subgrids(folder, accepted[i][1].digest), i) for i in group]
        ).combine_chunks()
