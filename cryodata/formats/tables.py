"""The tables of a dataset as Parquet files (pyarrow). The same rows give the same bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryodata.core.entry import LabelPoints, entry_id_fault
from cryodata.core.layout import FileDigest
from cryodata.core.schema import Schema
from cryodata.core.splits import SCHEMES
from cryodata.errors import DatasetError
from cryodata.formats.decoded_size import check_decoded

_ZYX = pa.list_(pa.field("element", pa.int32(), nullable=False), 3)
_XYZ = pa.list_(pa.field("element", pa.float64(), nullable=False), 3)

ATOMS = pa.schema(
    [
        pa.field("volume", pa.int32()),
        pa.field("chain", pa.string()),
        pa.field("label_seq_id", pa.int32()),
        pa.field("residue", pa.string()),
        pa.field("atom", pa.string()),
        pa.field("element", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("part", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("xyz", _XYZ),
        pa.field("voxel_zyx", _ZYX),
        pa.field("state", pa.uint8()),
        pa.field("state_ca", pa.uint8()),
        pa.field("secondary", pa.uint8()),
        pa.field("occupancy", pa.float32()),
        pa.field("b_factor", pa.float32()),
        pa.field("q_score", pa.float32()),
    ]
)
"a row per atom of the molecule; `volume` is the row of the entry in the entries table"

_SINCE = ("element", "kind", "part", "parent", "q_score")
FIRST_ATOMS = pa.schema([field for field in ATOMS if field.name not in _SINCE])
"columns of the first atoms tables, which held N, CA and C of protein alone"

SUBGRIDS = pa.schema(
    [
        pa.field("volume", pa.int32()),
        pa.field("start_zyx", _ZYX),
        pa.field("n_ca_core", pa.int32()),
        pa.field("n_ca_box", pa.int32()),
        pa.field("n_atom_box", pa.int32()),
        pa.field("occupied", pa.float32()),
        pa.field("density_max", pa.float32()),
    ]
)
"a row per sub-grid, sorted by volume and start"

REJECTED = pa.schema([(name, pa.string()) for name in ("entry_id", "code", "message")])
OBJECTS = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])

_SEQUENCE = pa.struct([(name, pa.string()) for name in ("chain", "kind", "modelled", "full", "alignment")])
_COUNT = pa.struct(
    [("label", pa.string()), ("name", pa.string())]
    + [(name, pa.int64()) for name in ("model", "written", "lost", "outside")]
)
_FACTS = {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64(), "float64[3]": _XYZ}

ENTRY_COLUMNS = (
    ("entry_id", pa.string()),
    ("emdb_id", pa.string()),
    ("pdb_id", pa.string()),
    ("resolution", pa.float64()),
    ("resolution_bin", pa.string()),
    ("contour_level", pa.float64()),
    *((f"split_{scheme}", pa.string()) for scheme in SCHEMES),
    ("shape_zyx", _ZYX),
    ("voxel_size_xyz", _XYZ),
    ("origin_xyz", _XYZ),
    ("n_subgrids", pa.int64()),
    ("volume", pa.string()),
    ("volume_bytes", pa.int64()),
    ("recipe_digest", pa.string()),
    ("source_sha256", pa.list_(pa.struct([("role", pa.string()), ("sha256", pa.string()), ("bytes", pa.int64())]))),
    ("sequences", pa.list_(_SEQUENCE)),
    ("label_counts", pa.list_(_COUNT)),
)
"columns of the entries table that every dataset has; facts of the builder and archive metadata follow"

_FORMER = {
    "split_sequence": (),
    "sequences": (pa.list_(pa.struct([field for field in _SEQUENCE if field.name != "alignment"])),),
}
"columns that datasets of format 1 made before they came lack, or have of another type"

MAX_ENTRIES, MAX_AXIS, MAX_VOXELS = 10**6, 2**15, 2**33
"bounds of what is believed of a dataset: the archive has 60,000 maps, the largest of some 10^9 voxels"

MAX_ROWS = 64 * MAX_ENTRIES
"rows of a table that is read whole; a volume has some ten objects"

VOLUME_PLACE = re.compile(r"volumes/[0-9a-f]{2}/[A-Za-z0-9._-]{1,80}-[0-9a-f]{12}\.zarr")

_WRITING = {"compression": "zstd", "compression_level": 3, "write_page_checksum": True}


def entries_schema(schema: Schema, metadata: Iterable[str]) -> pa.Schema:
    """Columns of the entries table: common ones, the builder's facts, then archive metadata as text, sorted."""
    facts = [(fact.name, _FACTS[fact.dtype]) for fact in schema.facts]
    return pa.schema([*ENTRY_COLUMNS, *facts, *((name, pa.string()) for name in sorted(metadata))])


def reserved_columns(schema: Schema) -> frozenset[str]:
    """Column names that a source list can't use for its own metadata."""
    return frozenset(entries_schema(schema, ()).names)


def required_columns() -> list[str]:
    """Columns of the entries table without which no dataset of this format is."""
    return [name for name, _ in ENTRY_COLUMNS if _FORMER.get(name) != ()]


def check_entries(table: pa.Table, where: str) -> pa.Table:
    """The entries table of a dataset as readers need it. Raises DatasetError for missing or other columns, missing
    values, shapes and places that no volume has."""
    for name, kind in ENTRY_COLUMNS:
        if name not in required_columns() and name not in table.schema.names:
            continue
        if name not in table.schema.names or table.schema.field(name).type not in (kind, *_FORMER.get(name, ())):
            raise DatasetError(f"{where}: column {name} is missing or of another type; expected {kind}")
    needed = ("entry_id", "shape_zyx", "voxel_size_xyz", "origin_xyz", "n_subgrids", "volume", "volume_bytes")
    empty = [name for name in needed if table[name].null_count]
    if empty or len(table) > MAX_ENTRIES:
        raise DatasetError(f"{where}: {len(table):,} rows, values missing in {', '.join(empty) or 'none'}")
    shapes, sizes = vectors(table["shape_zyx"]), vectors(table["voxel_size_xyz"])
    if np.any(shapes < 1) or np.any(shapes > MAX_AXIS) or np.any(shapes.prod(axis=1, dtype=np.float64) > MAX_VOXELS):
        raise DatasetError(f"{where}: a shape beyond {MAX_AXIS:,} voxels an axis or {MAX_VOXELS:,} in all")
    if not (np.all(np.isfinite(sizes)) and np.all(sizes > 0) and np.all(np.isfinite(vectors(table["origin_xyz"])))):
        raise DatasetError(f"{where}: a voxel size or origin that is no size or place")
    for entry_id, volume in zip(table["entry_id"].to_pylist(), table["volume"].to_pylist(), strict=True):
        if entry_id_fault(entry_id) is not None or not VOLUME_PLACE.fullmatch(volume):
            raise DatasetError(f"{where}: '{entry_id[:80]}' is no id, or '{volume[:80]}' no place of a volume")
    return table


def check_objects(table: pa.Table, where: str) -> pa.Table:
    """The table of objects as readers need it: complete, sorted, sizes of at least 0."""
    if any(table[name].null_count for name in OBJECTS.names) or (pc.min(table["bytes"]).as_py() or 0) < 0:
        raise DatasetError(f"{where}: an object without path, size or hash")
    paths = table["path"].combine_chunks()
    if not pc.all(pc.less(paths[:-1], paths[1:]), min_count=0).as_py():  # readers look them up by halves
        raise DatasetError(f"{where}: objects are not sorted by their paths, or one is there twice")
    return table


def points_table(points: LabelPoints) -> pa.Table:
    """The atoms table of one entry, without its `volume`."""
    model = points.model
    columns = {
        "chain": model.chain,
        "label_seq_id": model.label_seq_id,
        "residue": model.residue,
        "atom": model.atom,
        "element": model.element,
        "kind": points.kind,
        "part": points.part,
        "parent": model.parent,
        "xyz": pa.FixedSizeListArray.from_arrays(pa.array(model.xyz.reshape(-1)), type=_XYZ),
        "voxel_zyx": pa.FixedSizeListArray.from_arrays(pa.array(points.voxel_zyx.reshape(-1)), type=_ZYX),
        "state": points.state,
        "state_ca": points.state_ca,
        "secondary": model.secondary,
        "occupancy": model.occupancy,
        "b_factor": model.b_factor,
        "q_score": pa.array(points.q_score, mask=np.isnan(points.q_score)),  # not measured is null
    }
    return pa.table(columns, schema=pa.schema([field for field in ATOMS if field.name != "volume"]))


def subgrids_table(columns: Mapping[str, Any]) -> pa.Table:
    """The sub-grids table of one entry, without its `volume`; `start_zyx` is int32 (n, 3)."""
    starts = pa.FixedSizeListArray.from_arrays(pa.array(columns["start_zyx"].reshape(-1)), type=_ZYX)
    schema = pa.schema([field for field in SUBGRIDS if field.name != "volume"])
    return pa.table({**columns, "start_zyx": starts}, schema=schema)


def with_volume(table: pa.Table, volume: int) -> pa.Table:
    """The same rows with the number of their volume in front."""
    return table.add_column(0, pa.field("volume", pa.int32()), pa.array([volume] * len(table), pa.int32()))


def write_table(path: Path, table: pa.Table) -> None:
    """Write one table as one Parquet file."""
    pq.write_table(table, path, **_WRITING)


def write_groups(path: Path, schema: pa.Schema, groups: Iterable[pa.Table]) -> int:
    """Write tables one after the other, a row group each, in memory for one. Returns the number of rows."""
    rows = 0
    with pq.ParquetWriter(path, schema, **_WRITING) as writer:
        for table in groups:
            if len(table):
                writer.write_table(table, row_group_size=len(table))
                rows += len(table)
    return rows


def read_table(path: Path, schema: pa.Schema | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file. Raises DatasetError if it is missing, damaged, has other columns than `schema`, or would
    take too much memory."""
    with opened_table(path) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise DatasetError(f"{path.parent.name}/{path.name}: {file.metadata.num_rows:,} rows; {MAX_ROWS:,} at most")
        check_decoded(path, file, range(file.num_row_groups), columns)
        table = file.read(columns=list(columns) if columns is not None else None)
    if schema is not None:
        check_schema(path, table.schema, schema)
    return table


def check_schema(path: Path, found: pa.Schema, expected: pa.Schema) -> None:
    """Raise DatasetError, naming the columns, if a file is of another schema."""
    known = (ATOMS, FIRST_ATOMS) if expected is ATOMS else (expected,)
    if found.remove_metadata() not in known:
        raise DatasetError(
            f"{path.parent.name}/{path.name}: columns are {', '.join(found.names)}; "
            f"expected {', '.join(expected.names)} of format 1"
        )


def vectors(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of fixed-size lists as an array (n, 3). DatasetError if a row is missing."""
    if column.null_count:
        raise DatasetError(f"a column of vectors has {column.null_count} rows without one")
    return np.asarray(column.combine_chunks().flatten()).reshape(-1, 3)


def file_digest(path: Path, name: str) -> FileDigest:
    """(name, bytes, sha256) of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return name, path.stat().st_size, digest.hexdigest()


@contextmanager
def opened_table(
    path: Path, footer: pq.FileMetaData | None = None, encoded: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read from, its pages checked. DatasetError for one that is missing, damaged or no table.

    footer: what was read of it before. encoded: columns of text that are read as they are stored, each text once.
    """
    try:
        # not through the dataset machinery: it would take column values from folder names
        with pq.ParquetFile(
            path, metadata=footer, read_dictionary=list(encoded), page_checksum_verification=True
        ) as file:
            yield file
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:  # names in a footer may be no text
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DatasetError(f"{path.parent.name}/{path.name}: no readable Parquet table ({reason})") from None
