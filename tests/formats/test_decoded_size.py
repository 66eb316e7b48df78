"""A table says how much memory it takes before it is decoded, and one that would take too much is refused."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryodata.build.dataset import Report
from cryodata.errors import DatasetError
from cryodata.formats import decoded_size
from cryodata.formats.row_groups import iterate_groups, read_group
from cryodata.formats.tables import read_table

READ = """
import sys
from pathlib import Path
from cryodata.formats.tables import read_table
from cryodata.errors import DatasetError
try:
    read_table(Path(sys.argv[1]))
except DatasetError as error:
    print(error)
"""


def write(path: Path, table: pa.Table, **how: Any) -> Path:
    """As somebody writes it who hides what it was made of."""
    pq.write_table(table, path, store_schema=False, **{"compression": "zstd", "row_group_size": 1 << 26, **how})
    return path


def repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text]))


def listed(values: pa.Array) -> pa.Array:
    """All of them in a list, in one row."""
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


BOMBS = {
    "long text": pa.table({"x": repeated("a" * 100_000, 1000)}),
    "long text in a list": pa.table({"x": listed(repeated("a" * 100_000, 1000))}),
    "long text in a struct": pa.table(
        {"x": listed(pa.StructArray.from_arrays([repeated("a" * 100_000, 1000)], ["inner"]))}
    ),
    "rows": pa.table({"x": pa.array(np.zeros(20_000_000, np.int64))}),
    "a list": pa.table({"x": listed(pa.array(np.zeros(20_000_000, np.int64)))}),
    "nothing": pa.table({"x": pa.nulls(20_000_000, pa.int64())}),
    "one long text": pa.table({"x": pa.array(["a" * 100_000_000])}),
}
"what takes 100 MB or more, and little on disk"


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_takes_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    path = write(tmp_path / "bomb.parquet", BOMBS[bomb])
    monkeypatch.setattr(decoded_size, "MAX_DECODED", 50_000_000)

    assert path.stat().st_size < 1_000_000
    for read in (
        lambda: read_table(path),
        lambda: read_table(path, columns=["x"]),
        lambda: list(iterate_groups(path)),
        lambda: read_group(path, 0, ["x"]),
    ):
        with pytest.raises(DatasetError, match="no readable Parquet table .decoded it takes .* 50,000,000 at most"):
            read()


def test_eighty_gigabytes_in_a_few_bytes_are_never_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.parquet", pa.table({"x": repeated("a" * 40_000_000, 2000)}))

    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
        timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert path.stat().st_size < 100_000
    assert "decoded it takes 80,0" in done.stdout, done.stderr


ENCODINGS = [
    {},
    {"use_dictionary": False},
    {"data_page_version": "2.0"},
    {"data_page_size": 1000, "dictionary_pagesize_limit": 2000},
    *({"compression": name} for name in ("none", "snappy", "gzip", "brotli", "lz4")),
    {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY", "number": "DELTA_BINARY_PACKED"}},
    {"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY", "real": "BYTE_STREAM_SPLIT"}},
]


@pytest.mark.parametrize("how", ENCODINGS, ids=str)
def test_no_table_takes_more_than_its_headers_say_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    random = np.random.Generator(np.random.PCG64(5))
    texts = ["".join(random.choice(list("ACDE"), size)) for size in random.integers(0, 300, 50)]
    table = pa.table(
        {
            "text": [texts[i] if i else None for i in random.integers(0, 50, 5000)],
            "number": random.integers(0, 9, 5000),
            "real": random.normal(size=5000),
            "lists": [[texts[i]] * (i % 3) for i in random.integers(0, 50, 5000)],
        }
    )
    path = write(tmp_path / "table.parquet", table, **how)

    monkeypatch.setattr(decoded_size, "MAX_DECODED", table.nbytes - 1)
    with pytest.raises(DatasetError, match="decoded it takes"):
        read_table(path)
    delta = "DELTA_BYTE_ARRAY" in str(how)  # texts may share almost all with the one before
    monkeypatch.setattr(decoded_size, "MAX_DECODED", (4000 if delta else 4) * table.nbytes)

    assert read_table(path).num_rows == 5000


def test_what_builds_write_is_believed(simulated: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where texts are of very different lengths: then they are looked up."""
    tables = sorted(simulated.folder.glob("tables/*/*.parquet"))

    assert len(tables) > 5
    for path in tables:
        with pq.ParquetFile(path) as file:
            size = file.read().nbytes
        monkeypatch.setattr(decoded_size, "MAX_DECODED", 4 * size + 20_000)
        read_table(path)


def test_texts_of_different_lengths_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 of 3 letters and one of 10,000: no 100 MB."""
    texts = pa.DictionaryArray.from_arrays(
        pa.array(np.r_[np.zeros(10_000, np.int32), np.int32(1)]), pa.array(["abc", "x" * 10_000])
    )
    path = write(tmp_path / "table.parquet", pa.table({"x": texts}))
    monkeypatch.setattr(decoded_size, "MAX_DECODED", 200_000)

    assert read_table(path).num_rows == 10_001


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_page_header_is_an_error_of_the_dataset(tmp_path: Path, seed: int) -> None:
    path = write(tmp_path / "table.parquet", pa.table({"x": ["a", "b"] * 100, "y": range(200)}))
    raw = bytearray(path.read_bytes())
    random = np.random.Generator(np.random.PCG64(seed))
    for place in random.integers(4, 120, 3):
        raw[place] = int(random.integers(0, 256))
    path.write_bytes(raw)

    try:
        found = read_table(path).num_rows
    except DatasetError as error:
        found = str(error)

    assert found == 200 or "no readable Parquet table" in str(found)
