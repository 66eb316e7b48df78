"""Tables on disk: the same rows, the same bytes; others open them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryodata.build.dataset import Report
from cryodata.errors import DatasetError
from cryodata.formats.row_groups import group_of_volume
from cryodata.formats.tables import ATOMS, SUBGRIDS, read_table, write_groups, write_table


def tables(simulated: Report) -> Path:
    return simulated.folder / simulated.manifest.tables


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    for name in ("one", "two"):
        write_table(tmp_path / name, table)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_flipped_bit_in_a_page_is_noticed(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pa.table({"a": list(range(1000))}))
    raw = bytearray((tmp_path / "t.parquet").read_bytes())
    raw[60] ^= 1
    (tmp_path / "t.parquet").write_bytes(raw)

    with pytest.raises(DatasetError, match=r"/t\.parquet: no readable Parquet table"):
        read_table(tmp_path / "t.parquet")


def test_other_columns_than_the_format_says_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pa.table({"a": [1]}))

    with pytest.raises(DatasetError, match=r"/t\.parquet: columns are a; expected volume, start_zyx, "):
        read_table(tmp_path / "t.parquet", SUBGRIDS)


def test_a_row_group_is_one_table_and_none_is_a_file_with_columns(tmp_path: Path) -> None:
    schema = pa.schema([("volume", pa.int32())])
    groups = [pa.table({"volume": pa.array([i] * (i + 1), pa.int32())}) for i in range(3)]

    assert write_groups(tmp_path / "t", schema, groups) == 6
    assert group_of_volume(tmp_path / "t") == {0: 0, 1: 1, 2: 2}
    assert write_groups(tmp_path / "empty", schema, []) == 0
    assert read_table(tmp_path / "empty").schema == schema


def test_sub_grids_are_sorted_by_entry_and_start_and_counted_by_split(simulated: Report) -> None:
    counts = {}
    for path in sorted(tables(simulated).glob("subgrids-*")):
        rows = [(row["volume"], *row["start_zyx"]) for row in read_table(path, SUBGRIDS).to_pylist()]
        assert rows == sorted(rows)
        counts[path.name.split("-")[1]] = len(rows)

    assert simulated.manifest.counts["subgrids"] == counts
    assert counts["test"] == 0


def test_atoms_have_a_row_group_a_volume(simulated: Report) -> None:
    (path,) = tables(simulated).glob("atoms-*")

    assert list(group_of_volume(path)) == [0, 1, 2, 3]
    assert read_table(path, ATOMS)["volume"].to_pylist() == sorted(read_table(path)["volume"].to_pylist())


@pytest.mark.parametrize(
    "name", ["entries", "rejected", "objects", "atoms-00000-of-00001", "subgrids-train-00000-of-00001"]
)
def test_pandas_and_duckdb_open_every_table(simulated: Report, name: str) -> None:
    path = tables(simulated) / f"{name}.parquet"
    expected = pq.ParquetFile(path).metadata.num_rows

    assert len(pd.read_parquet(path)) == expected
    assert duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall() == [(expected,)]


def test_datasets_opens_the_tables_by_their_card(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    for name, split in (("entries", "train"), ("atoms-*", "train"), ("subgrids-validation-*", "train")):
        files = str(tables(simulated) / f"{name}.parquet")
        found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path), split=split)
        assert len(found) == sum(
            pq.ParquetFile(path).metadata.num_rows for path in tables(simulated).glob(f"{name}.parquet")
        )
