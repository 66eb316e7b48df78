"""Tables read a row group at a time: a dataset's tables may be larger than memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryodata.core.model import MAX_NAME
from cryodata.core.schema import LABEL_COLUMNS
from cryodata.core.texts import Texts
from cryodata.errors import DatasetError
from cryodata.formats.decoded_size import check_believed, check_decoded
from cryodata.formats.tables import ATOMS, FIRST_ATOMS, SUBGRIDS, check_schema, opened_table, vectors

LABELLING = (*LABEL_COLUMNS, "state", "state_ca", "q_score", "xyz", "voxel_zyx")
"columns of the atoms table that labels are written from"

STATES = ("state", "state_ca")
"columns that say which atoms labels take"

TEXTS = frozenset(field.name for field in ATOMS if field.type == pa.string())
"columns of few different texts, which are read as they are stored: each text once"

KEPT_FOOTERS, KEPT_FOOTER = 8, 256 << 10
"atoms files whose parsed footers are kept, and bytes of a footer up to which one is: parsed it takes 7 times as much"

NO_LABEL = 255
"state of an atom that no label takes"


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
            yield _decoded(path, file, group, columns)


def _decoded(path: Path, file: pq.ParquetFile, group: int, columns: Sequence[str] | None = None) -> pa.Table:
    """A row group, once it is known to take no more memory than one can. ValueError if not."""
    check_decoded(path, file, [group], columns)
    return file.read_row_group(group, columns=list(columns) if columns is not None else None)


def iterate_subgrids(path: Path) -> Iterator[pa.Table]:
    """Row groups of a table of sub-grids. Raises DatasetError if it is damaged, has other columns, or gaps."""
    for group in iterate_groups(path):
        yield _complete(path, group, SUBGRIDS)


def _complete(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    check_schema(path, table.schema, schema)
    return _without_gaps(path, table)


def _without_gaps(path: Path, table: pa.Table) -> pa.Table:
    gaps = [name for name in table.schema.names if name != "q_score" and table[name].null_count]
    if gaps:
        raise DatasetError(f"{path.parent.name}/{path.name}: values missing in {', '.join(gaps)}")
    return table


def volumes_of_groups(path: Path) -> list[tuple[int, int]]:
    """First and last volume of each row group of a table sorted by volume, by the statistics of its footer."""
    return [(first, last) for first, last, _ in _groups(path)]


def group_of_volume(path: Path) -> dict[int, int]:
    """Row group of each volume in an atoms file."""
    return {volume: group for volume, (group, _) in groups_and_rows(path).items()}


def groups_and_rows(path: Path) -> dict[int, tuple[int, int]]:
    """Row group of each volume in an atoms file, and how many rows it has."""
    groups = _groups(path)
    if any(first != last for first, last, _ in groups):
        raise DatasetError(f"{path.parent.name}/{path.name}: a row group holds several volumes; expected one each")
    return {volume: (group, rows) for group, (volume, _, rows) in enumerate(groups)}


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
        return _decoded(path, file, group, columns)


def read_points(path: Path, group: int) -> pa.Table:
    """Atoms of one volume: a row group of an atoms file. DatasetError if it is damaged or has gaps."""
    with opened_table(path) as file:
        table = _decoded(path, file, group)
    if table.schema.remove_metadata() == FIRST_ATOMS:
        table = _as_now(_complete(path, table, FIRST_ATOMS))
    return _complete(path, table, ATOMS)


def _as_now(table: pa.Table) -> pa.Table:
    """The first atoms tables with the columns that came later: their atoms are N, CA and C of protein."""
    atom, count = table["atom"], len(table)
    added = {
        "element": pc.utf8_slice_codeunits(atom, 0, 1),
        "kind": pa.array(["protein"] * count, pa.string()),
        "part": pa.array(["backbone"] * count, pa.string()),
        "parent": table["residue"],
        "q_score": pa.nulls(count, pa.float32()),
    }
    columns = [added[name] if name in added else table[name] for name in ATOMS.names]
    return pa.table(columns, schema=ATOMS)


def labelled_columns(
    path: Path | None, groups: Sequence[int], columns: Collection[str] = LABELLING
) -> list[dict[str, npt.NDArray[Any] | Texts]]:
    """What labels are written from, of the atoms of each of some volumes that a label takes, by column: arrays, and of
    text `Texts`; of none without a file. columns: those that are needed; the states come with them. What is done for
    all together costs as much as for one small volume. DatasetError as `read_points`."""
    wanted = tuple(name for name in LABELLING if name in columns or name in STATES)
    table, rows = _labelling(path, groups, wanted) if path is not None else (ATOMS.empty_table(), [0] * len(groups))
    states = [table[name].to_numpy() != NO_LABEL for name in STATES]
    taken = np.flatnonzero(np.logical_or(*states))
    ends = np.searchsorted(taken, np.cumsum([0, *rows])).tolist()
    found = {name: _rows(table[name], taken) for name in wanted}
    return [{name: column[first:last] for name, column in found.items()} for first, last in pairwise(ends)]


def _labelling(path: Path, groups: Sequence[int], wanted: tuple[str, ...]) -> tuple[pa.Table, list[int]]:
    """Columns of some row groups, one after the other, and the rows of each."""
    known = _known(path, _identity(path))
    if not known.is_of_today:
        tables = [read_points(path, group) for group in groups]
        return pa.concat_tables(tables), [len(table) for table in tables]
    with opened_table(path, known.footer, [name for name in wanted if name in TEXTS]) as file:
        for group in groups:
            if (group, wanted) not in known.sizes:
                known.sizes[group, wanted] = check_decoded(path, file, [group], wanted)
        check_believed(sum(known.sizes[group, wanted] for group in groups))
        # one by one: how many rows a group has, its pages say, and not the footer
        tables = [file.read_row_group(group, columns=list(wanted)) for group in groups]
        table = _without_gaps(path, pa.concat_tables(tables))
        for name in TEXTS.intersection(wanted):
            table[name].validate(full=True)  # nothing else looks whether a dictionary has what is asked of it
        return table, [len(part) for part in tables]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What was found out of an atoms file of which a row group at a time is read, again and again."""

    is_of_today: bool
    "whether its columns are those of ATOMS"

    footer: pq.FileMetaData | None
    "None for a large one, which is parsed each time"

    sizes: dict[tuple[int, tuple[str, ...]], int]
    "bytes that row groups, and columns of them, take at most once they are decoded"


@lru_cache(maxsize=KEPT_FOOTERS)
def _known(path: Path, identity: tuple[int, ...]) -> _Known:
    with opened_table(path) as file:
        footer, is_of_today = file.metadata, file.schema_arrow.remove_metadata() == ATOMS
    return _Known(is_of_today, footer if footer.serialized_size <= KEPT_FOOTER else None, {})


def _identity(path: Path) -> tuple[int, ...]:
    """What differs between a file and another that took its place; of a file that is not there, nothing."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _rows(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any] | Texts:
    """Some rows of a column of numbers, of vectors of them or of text."""
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        return _texts(column)[rows]
    return (vectors(column) if pa.types.is_fixed_size_list(column.type) else np.asarray(column.to_numpy()))[rows]


def _texts(column: pa.ChunkedArray) -> Texts:
    whole = column.unify_dictionaries().combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    longest = pc.max(pc.utf8_length(encoded.dictionary)).as_py() or 0
    if longest > MAX_NAME:
        raise DatasetError(f"a column of the atoms table holds a name of {longest:,} letters; {MAX_NAME} at most")
    return Texts(np.array(encoded.dictionary.to_pylist() or [""], dtype=np.str_), np.asarray(encoded.indices))
