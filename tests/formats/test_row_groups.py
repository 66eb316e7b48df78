"""Label points of several volumes, read and looked at together, are those of each volume."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryodata.errors import DatasetError
from cryodata.formats import decoded_size
from cryodata.formats.row_groups import LABELLING, NO_LABEL, iterate_groups, labelled_columns
from cryodata.formats.tables import ATOMS, write_groups

DATA = Path(__file__).parents[1] / "data"
FILES = sorted(path for path in DATA.rglob("atoms-*.parquet"))


def expected(table: pa.Table, name: str) -> list[object]:
    """A column of the atoms that a label takes."""
    states = zip(table["state"].to_pylist(), table["state_ca"].to_pylist(), strict=True)
    taken = [any(state != NO_LABEL for state in both) for both in states]
    return [value for value, is_taken in zip(table[name].to_pylist(), taken, strict=True) if is_taken]


def differing(path: Path) -> list[pa.Table]:
    """Row groups of which no two have the same names in the same order."""
    (file,) = (DATA / "format-2").rglob("atoms-*.parquet")
    table = next(iterate_groups(file))
    backwards = table.take(list(range(len(table) - 1, -1, -1)))
    tables = [table.slice(7, 50), backwards.slice(3, 40), table.slice(20, 1)]
    write_groups(path, ATOMS, tables)
    return tables


def test_volumes_with_other_names_are_told_apart(tmp_path: Path) -> None:
    tables = differing(tmp_path / "atoms.parquet")

    found = labelled_columns(tmp_path / "atoms.parquet", [2, 0, 1])

    for table, columns in zip([tables[number] for number in (2, 0, 1)], found, strict=True):
        assert columns.keys() == set(LABELLING)
        for name, column in columns.items():
            assert repr(np.asarray(column).tolist()) == repr(expected(table, name)).replace("None", "nan")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DATA).parts[0])
def test_volumes_of_every_release_are_read_together(path: Path) -> None:
    tables = list(iterate_groups(path))

    found = labelled_columns(path, [*range(len(tables))], ["atom", "voxel_zyx"])

    assert len(tables) > 1
    for table, columns in zip(tables, found, strict=True):
        assert np.asarray(columns["atom"]).tolist() == expected(table, "atom")
        assert np.asarray(columns["voxel_zyx"]).tolist() == expected(table, "voxel_zyx")


def test_volumes_that_are_believed_one_by_one_may_be_too_large_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "atoms.parquet"
    differing(path)
    alone = decoded_size.MAX_DECODED
    for bound in range(8, 40):  # the least power of two that each is believed by
        monkeypatch.setattr(decoded_size, "MAX_DECODED", alone := 1 << bound)
        try:
            labelled_columns(path, [0])
            labelled_columns(path, [1])
        except DatasetError:
            continue
        break
    labelled_columns(path, [0])

    with pytest.raises(DatasetError, match=rf"decoded it takes [\d,]+ bytes; {alone:,} at most are believed"):
        labelled_columns(path, [0, 1] * 8)


@pytest.mark.parametrize("claimed", [0, 49, 51, 60])
def test_a_footer_that_miscounts_the_rows_of_a_volume_moves_none_to_another(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "atoms.parquet"
    rows = len(differing(path)[0])
    (_, expected, _) = labelled_columns(path, [0, 1, 2])
    raw = bytearray(path.read_bytes())
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")

    for at in range(footer, len(raw) - 8):  # thrift has twice the number in one byte, and not in this place alone
        if raw[at] != 2 * rows:
            continue
        path.write_bytes(raw[:at] + bytes([2 * claimed]) + raw[at + 1 :])
        with suppress(OSError, pa.ArrowException):
            metadata = pq.read_metadata(path)
            if [metadata.row_group(group).num_rows for group in range(3)] == [claimed, 40, 1]:
                break
    else:
        pytest.fail("the number was not found in the footer")
    (_, found, _) = labelled_columns(path, [0, 1, 2])

    assert all(np.array_equal(np.asarray(found[name]), np.asarray(expected[name])) for name in ("xyz", "atom"))


def test_an_atom_whose_name_is_none_of_its_dictionary_is_refused(tmp_path: Path) -> None:
    (table, *_) = differing(tmp_path / "atoms.parquet")
    place, path = table.schema.get_field_index("atom"), tmp_path / "t" / "crafted.parquet"
    path.parent.mkdir()
    names = pa.array(["N", "CA", *["C"] * (len(table) - 2)])
    pq.write_table(table.set_column(place, table.field(place), names), path, compression="none")
    metadata = pq.read_metadata(path).row_group(0)
    column = next(c for c in map(metadata.column, range(metadata.num_columns)) if c.path_in_schema == "atom")
    raw = bytearray(path.read_bytes())
    last = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    assert raw[last] == 2  # the run of the third name
    raw[last] = 3
    path.write_bytes(raw)

    with pytest.raises(DatasetError, match=r"t/crafted\.parquet: no readable Parquet table \(.*indices invalid"):
        labelled_columns(path, [0])
