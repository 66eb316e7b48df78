"""Change a dataset as somebody would who knows its format: every hash fits what was changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cryodata.core.layout import CHECKSUM, sealed

VERSION = "versions/0.1.0.json"


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the manifest of a dataset says, but for its checksum."""
    value = json.loads((folder / VERSION).read_bytes())
    del value[CHECKSUM]
    return dict(value)


def write_manifest(folder: Path, value: dict[str, Any]) -> None:
    (folder / VERSION).write_bytes(sealed(value))


def write_file(folder: Path, name: str, raw: bytes, rows: int | None) -> None:
    """Put other bytes in the place of a file of the tables folder, and say so in the manifest."""
    value = manifest_of(folder)
    (folder / value["tables"] / name).write_bytes(raw)
    value["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "rows": rows}
    write_manifest(folder, value)


def table_of(folder: Path, name: str) -> pa.Table:
    with pq.ParquetFile(folder / manifest_of(folder)["tables"] / name) as file:
        return file.read()


def _groups(folder: Path, name: str) -> list[Any]:
    with pq.ParquetFile(folder / manifest_of(folder)["tables"] / name) as file:
        return [file.metadata.row_group(number) for number in range(file.num_row_groups)]


def rewrite(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table; its row groups stay where no row came or went."""
    sizes = [group.num_rows for group in _groups(folder, name)]
    table, sink, first = change(table_of(folder, name)), pa.BufferOutputStream(), 0
    with pq.ParquetWriter(sink, table.schema, write_page_checksum=True) as writer:
        for size in sizes if sum(sizes) == len(table) else [len(table)]:
            writer.write_table(table.slice(first, size), row_group_size=max(size, 1))
            first += size
    write_file(folder, name, sink.getvalue().to_pybytes(), len(table))


def replaced(name: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    """The table with another value in one column of a row."""

    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row] = value
        return table.set_column(table.schema.names.index(name), name, pa.array(values, table[name].type))

    return change


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
