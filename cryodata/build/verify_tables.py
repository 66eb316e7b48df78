"""Are the tables and objects of a version what its manifest says? Faults are collected, one sentence each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from cryodata.core.entry import is_content
from cryodata.core.layout import FileDigest, tree_digest
from cryodata.errors import DatasetError
from cryodata.formats.row_groups import table_rows
from cryodata.formats.tables import ATOMS, OBJECTS, SUBGRIDS, check_objects, file_digest, read_table, required_columns
from cryodata.formats.versions import DatasetVersion

Objects = Mapping[str, tuple[int, str]]
"bytes and sha256 of every object by its path"


def check_tables(opened: DatasetVersion, faults: list[str]) -> None:
    """Files of the tables folder: there, as long as said, with the bytes that were hashed, and with their rows."""
    for name, file in sorted(opened.manifest.files.items()):
        try:
            path = opened.table(name)
        except DatasetError as error:
            faults.append(str(error))
            continue
        sha256 = file_digest(path, name)[2]
        if sha256 != file.sha256:
            faults.append(f"{name}: sha256 {sha256}; expected {file.sha256}")
        if file.rows is not None:
            schema = ATOMS if name.startswith("atoms-") else SUBGRIDS if name.startswith("subgrids-") else None
            rows = table_rows(path, schema)
            if rows != file.rows:
                faults.append(f"{name}: {rows:,} rows; expected {file.rows:,}")


def read_objects(opened: DatasetVersion) -> dict[str, tuple[int, str]]:
    """Size and sha256 of every object of a version. DatasetError for a table with gaps."""
    table = check_objects(read_table(opened.table("objects.parquet"), OBJECTS), "objects.parquet")
    return {row["path"]: (row["bytes"], row["sha256"]) for row in table.to_pylist()}


def check_counts(opened: DatasetVersion, entries: pa.Table, rejected: pa.Table, faults: list[str]) -> None:
    """Counts of the manifest, ids and duplicates, held against the tables."""
    manifest, counts = opened.manifest, opened.manifest.counts
    schemes = (f"split_{scheme}" for scheme in manifest.schemes)
    missing = [name for name in (*required_columns(), *schemes) if name not in entries.schema.names]
    missing += [fact.name for fact in manifest.schema.facts if fact.name not in entries.schema.names]
    if missing:
        raise DatasetError(f"entries.parquet: no column {', '.join(missing)}; expected it by the schema")
    subgrids = {
        split: sum(manifest.files[name].rows or 0 for name in opened.tables(f"subgrids-{split}-"))
        for split in manifest.schemes[manifest.default_scheme]
    }
    found = {
        "entries": len(entries),
        "rejected": dict(Counter(rejected["code"].to_pylist())),
        "subgrids": subgrids,
        "voxels": sum(int(np.prod(shape)) for shape in entries["shape_zyx"].to_pylist()),
    }
    faults.extend(
        f"manifest: {key} is {counts[key]}; the tables say {value}"
        for key, value in found.items()
        if counts[key] != value
    )
    ids = [entry_id.casefold() for entry_id in entries["entry_id"].to_pylist()]
    repeated = sorted(entry_id for entry_id, times in Counter(ids).items() if times > 1)
    faults.extend(f"entries.parquet: the id {entry_id} is there more than once" for entry_id in repeated)
    pairs: dict[tuple[str, ...], str] = {}
    for row in entries.select(["entry_id", "source_sha256"]).to_pylist():
        pair = tuple(item["sha256"] for item in row["source_sha256"] if is_content(item["role"]))
        first = pairs.setdefault(pair, row["entry_id"])
        if first != row["entry_id"]:
            faults.append(f"{row['entry_id']}: duplicate of {first}: map and model are the same")


def check_all_objects(
    opened: DatasetVersion,
    objects: Objects,
    entries: pa.Table,
    held: frozenset[str] | None,
    faults: list[str],
    deep: bool,
) -> int:
    """Every object there and as long as said; every volume named by its content. Returns how many were hashed.

    held: volumes that a partial copy should have; None for a whole one.
    """
    hashed = 0
    by_volume: dict[str, list[FileDigest]] = {}
    for name, table in opened.manifest.files.items():
        listed = objects.get(f"{opened.manifest.tables}/{name}")
        if name != "objects.parquet" and listed != (table.bytes, table.sha256):
            faults.append(f"objects.parquet: {name} is {listed or 'not there'}; the manifest says {table}")
    for path, (size, sha256) in objects.items():
        volume, suffix, inner = path.partition(".zarr/")
        if suffix:
            by_volume.setdefault(f"{volume}.zarr", []).append((inner, size, sha256))
            if held is not None and f"{volume}.zarr" not in held:
                continue
        try:
            if not deep:
                opened.check(path, size)
                continue
            with opened.open(path, size, sha256) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            hashed += 1
            if found != sha256:
                faults.append(f"{path}: sha256 {found}; expected {sha256}")
        except DatasetError as error:
            faults.append(str(error))
    for row in entries.select(["entry_id", "volume"]).to_pylist():
        name = tree_digest(by_volume.get(row["volume"], []))
        if not row["volume"].endswith(f"/{row['entry_id']}-{name}.zarr"):
            faults.append(f"{row['entry_id']}: volume {row['volume']} holds {name}; expected its name to say so")
    return hashed
