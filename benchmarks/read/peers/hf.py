# requires: datasets pyarrow
"""Hugging Face `datasets`: Parquet streaming and Arrow, as arrays and as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.read.harness import Case, Loader, MapStyle, Setup, collate_raw, data_loader, raw
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch, Input

BUFFER = 512
"samples of the shuffle buffer"

ROWS = 64
"a row group of Parquet, a record batch of Arrow"

datasets.disable_progress_bars()
pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def as_arrays(box: int) -> datasets.Features:
    """Three columns of arrays."""
    return datasets.Features({key: datasets.Array3D((box,) * 3, dtype.name) for key, dtype in ARRAYS.items()})


def groups(opened: Input, maps: int, arrays: bool) -> Iterator[pa.Table]:
    """The sub-grids as tables of some rows."""
    features = as_arrays(opened.box)
    rows: list[Any] = []
    last = opened.count(maps) - 1
    for number, sample in enumerate(opened.samples(maps)):
        rows.append(sample if arrays else raw(sample))
        if len(rows) < ROWS and number < last:
            continue
        if arrays:
            columns = {key: [row[key] for row in rows] for key in ARRAYS}
            yield datasets.Dataset.from_dict(columns, features=features).data.table
        else:
            yield pa.table({"raw": pa.array(rows, pa.binary())})
        rows = []


def write_parquet(opened: Input, maps: int, folder: Path, arrays: bool) -> None:
    """A file a map would be usual; four are enough for four maps."""
    writer, written, files = None, 0, 0
    per_file = -(-opened.count(maps) // 4)
    for table in groups(opened, maps, arrays):
        if writer is None or written >= per_file:
            if writer is not None:
                writer.close()
            writer, written, files = pq.ParquetWriter(folder / f"{files}.parquet", table.schema), 0, files + 1
        writer.write_table(table)
        written += len(table)
    if writer is not None:
        writer.close()


def write_arrow(opened: Input, maps: int, folder: Path, arrays: bool) -> None:
    """The stream format that `datasets` maps into memory."""
    writer = None
    with pa.OSFile(str(folder / "data.arrow"), "wb") as file:
        for table in groups(opened, maps, arrays):
            writer = writer or pa.ipc.new_stream(file, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


class Streamed(Loader):
    """An IterableDataset with its shuffle buffer; its state does not hold the buffer's samples."""

    resumes = "state"

    def __init__(self, setup: Setup, kind: str, form: str) -> None:
        self.setup, self.form = setup, form
        if kind == "parquet":
            files = sorted(str(path) for path in setup.folder.glob("*.parquet"))
            data = datasets.load_dataset(
                "parquet", data_files=files, split="train", streaming=True, cache_dir=str(setup.folder.parent / "hf")
            )
        else:
            data = datasets.Dataset.from_file(str(setup.folder / "data.arrow")).to_iterable_dataset(num_shards=64)
        if form != "bytes":
            data = data.cast(as_arrays(setup.input.box)) if kind == "parquet" else data
            data = data.with_format(form)
        self.data = data.shuffle(seed=0, buffer_size=BUFFER)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Collated by PyTorch."""
        self.data.set_epoch(number)
        collate = (lambda rows: collate_raw([row["raw"] for row in rows])) if self.form == "bytes" else None
        return iter(
            data_loader(self.data, self.setup.workers, batch_size=self.setup.batch, drop_last=True, collate_fn=collate)
        )

    def state(self, batches: int) -> Any:
        """What the dataset says after so many batches."""
        rows = iter(self.data)
        for _ in range(batches * self.setup.batch):
            next(rows)
        return self.data.state_dict()

    def resume(self, state: Any) -> Iterator[Batch]:
        """By the state; the buffer is filled anew."""
        self.data.load_state_dict(state)
        return self.epoch(0)


def mapped(setup: Setup, form: str) -> Loader:
    """A Dataset in a memory map, by number."""
    data = datasets.Dataset.from_file(str(setup.folder / "data.arrow"))
    if form == "bytes":
        return MapStyle(data, setup, lambda rows: collate_raw([row["raw"] for row in rows]))
    return MapStyle(data.with_format(form), setup)


def _parquet(name: str, form: str) -> Case:
    arrays = form != "bytes"
    return Case(
        f"HF Parquet streaming, {name}",
        lambda s: Streamed(s, "parquet", form),
        lambda opened, maps, folder: write_parquet(opened, maps, folder, arrays),
        f"parquet-{'arrays' if arrays else 'bytes'}",
        reads="once",
    )


def _arrow(name: str, form: str, stream: bool) -> Case:
    arrays = form != "bytes"
    return Case(
        f"HF {'Arrow streaming' if stream else 'map-style'}, {name}",
        (lambda s: Streamed(s, "arrow", form)) if stream else (lambda s: mapped(s, form)),
        lambda opened, maps, folder: write_arrow(opened, maps, folder, arrays),
        f"arrow-{'arrays' if arrays else 'bytes'}",
        reads="once",
    )


CASES = (
    _parquet("numpy", "numpy"),
    _parquet("torch", "torch"),
    _parquet("bytes", "bytes"),
    _arrow("bytes", "bytes", True),
    _arrow("numpy", "numpy", False),
    _arrow("torch", "torch", False),
    _arrow("bytes", "bytes", False),
)

if __name__ == "__main__":
    main(CASES, ("datasets", "pyarrow"))
