"""Tables read a row group at a time: a dataset's tables may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from cryodata.errors import DatasetError
from cryodata.formats.tables import ATOMS, SUBGRIDS, check_schema, opened_table


def table_rows(path: Path, schema: pa.Schema | None) -> int:
    """Number of rows of a Parquet file, every page read. Raises DatasetError as `read_table`."""
    rows = 0
    for group in iterate_groups(path):
        if schema is not None:
            check_schema(path, group.schema, schema)
        rows += len(group)
    return rows


def iterate_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Row groups of a Parquet file one by one. Raises DatasetError if it is damaged."""
    with opened_table(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns) if columns is not None else None)


def iterate_subgrids(path: Path) -> Iterator[pa.Table]:
    """Row groups of a table of sub-grids. Raises DatasetError if it is damaged, has other columns, or gaps."""
    for group in iterate_groups(path):
        yield _complete(path, group, SUBGRIDS)


def _complete(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    check_schema(path, table.schema, schema)
    gaps = [name for name in table.schema.names if table[name].null_count]
    if gaps:
        raise DatasetError(f"{path.parent.name}/{path.name}: values missing in {', '.join(gaps)}")
    return table


def volumes_of_groups(path: Path) -> list[tuple[int, int]]:
    """First and last volume of each row group of a table sorted by volume, by the statistics of its footer."""
    return [(first, last) for first, last, _ in _groups(path)]


def group_of_volume(path: Path) -> dict[int, int]:
    """Row group of each volume in an atoms file."""
    return {first: number for number, (first, _, _) in enumerate(_one_volume_each(path))}


def rows_of_volume(path: Path) -> dict[int, int]:
    """Number of rows of each volume in an atoms file."""
    return {first: rows for first, _, rows in _one_volume_each(path)}


def _one_volume_each(path: Path) -> list[tuple[int, int, int]]:
    groups = _groups(path)
    if any(first != last for first, last, _ in groups):
        raise DatasetError(f"{path.parent.name}/{path.name}: a row group holds several volumes; expected one each")
    return groups


def _groups(path: Path) -> list[tuple[int, int, int]]:
    """First and last volume and rows of each row group, by the footer."""
    with opened_table(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        told = [(group.column(0).statistics, group.num_rows) for group in groups]
    if not all(found is not None and isinstance(found.min, int) and isinstance(found.max, int) for found, _ in told):
        raise DatasetError(f"{path.parent.name}/{path.name}: row groups do not tell their volumes")
    return [(found.min, found.max, rows) for found, rows in told]


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Some columns of one row group. Raises DatasetError if it is damaged."""
    with opened_table(path) as file:
        return file.read_row_group(group, columns=list(columns))


def read_points(path: Path, group: int) -> pa.Table:
    """Label points of one volume: a row group of an atoms file. DatasetError if it is damaged or has gaps."""
    with opened_table(path) as file:
        table = file.read_row_group(group)
    return _complete(path, table, ATOMS)
