"""How many sub-grids a second does each layout deliver, shuffled, as torch batches of float32 density and uint8 labels?

One core, one thread, decoding and shuffling included, page cache warm: the peers' files have just been written. Peers:
the published layout (one compressed .npz of float64 a sub-grid), one plain .npy each, and Hugging Face `datasets` over
Parquet (streaming) and Arrow (map-style), both in torch format. Ours: `SubgridStream`, `load_dataset` with whole
batches, and `load_dataset` sample by sample in torch format. Rates are medians of several epochs (the first batch of
each left in), and ratios are of this run. Shows nothing of cold disks, where layouts 15 times as large wait 15 times as
long, nor of several cores.

    python -m benchmarks.read.loaders ROOT NAME          result kept
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch

from benchmarks.record import record
from cryodata import load_dataset
from cryodata.torch import SubgridStream

BATCH = 64
COLUMNS = ["density", "atom", "amino"]
Batches = Iterator[dict[str, torch.Tensor]]


def samples(name: str, root: Path) -> Iterator[dict[str, Any]]:
    """Every training sub-grid, in order."""
    return iter(load_dataset(name, split="train", streaming=True, root=root, columns=COLUMNS))


def stacked(files: list[Path], load: Callable[[Path], dict[str, Any]], dtypes: dict[str, Any]) -> Batches:
    """Batches of shuffled files, as a DataLoader without workers makes them."""
    shuffled = random.sample(files, len(files))
    for first in range(0, len(shuffled) - BATCH + 1, BATCH):
        items = [load(path) for path in shuffled[first : first + BATCH]]
        yield {
            key: torch.from_numpy(np.stack([np.asarray(item[key], dtype=dtype) for item in items]))
            for key, dtype in dtypes.items()
        }


def peers(name: str, root: Path, folder: Path) -> dict[str, tuple[Callable[[], Batches], int, float]]:
    """Each peer's batches, bytes on disk and seconds to write."""
    dtypes = {"density": np.float32, "atom": np.uint8, "amino": np.uint8}
    made: dict[str, tuple[Callable[[], Batches], int, float]] = {}
    for layout in ("npz", "npy"):
        (folder / layout).mkdir()
        began, files = time.perf_counter(), []
        for number, item in enumerate(samples(name, root)):
            path = folder / layout / f"{number}.{layout}"
            if layout == "npz":
                np.savez_compressed(path, **{key: item[key].astype(np.float64) for key in COLUMNS})
            else:
                rows = [(np.asarray(item[key]).reshape(-1).view(np.uint8)) for key in COLUMNS]
                np.save(path, np.concatenate(rows))
            files.append(path)
        seconds = time.perf_counter() - began

        def read_npz(path: Path) -> dict[str, Any]:
            with np.load(path) as archive:
                return {key: archive[key] for key in COLUMNS}

        def read_npy(path: Path) -> dict[str, Any]:
            raw, n = np.load(path), 32**3
            shape = (32, 32, 32)
            return {
                "density": raw[: 4 * n].view(np.float32).reshape(shape),
                "atom": raw[4 * n : 5 * n].reshape(shape),
                "amino": raw[5 * n :].reshape(shape),
            }

        reader = read_npz if layout == "npz" else read_npy
        size = sum(path.stat().st_size for path in files)
        made[layout] = (lambda files=files, reader=reader: stacked(files, reader, dtypes), size, seconds)
    began = time.perf_counter()
    features = datasets.Features({key: datasets.Array3D((32, 32, 32), np.dtype(dtypes[key]).name) for key in COLUMNS})
    table = datasets.Dataset.from_generator(
        samples, gen_kwargs={"name": name, "root": root}, features=features, cache_dir=str(folder / "hf")
    )
    table.to_parquet(folder / "all.parquet")
    seconds, size = time.perf_counter() - began, (folder / "all.parquet").stat().st_size

    def parquet() -> Batches:
        opened = datasets.load_dataset("parquet", data_files=str(folder / "all.parquet"), split="train", streaming=True)
        stream = opened.cast(features).with_format("torch").shuffle(seed=0, buffer_size=256)
        return iter(torch.utils.data.DataLoader(stream, batch_size=BATCH, drop_last=True))

    def arrow() -> Batches:
        loader = torch.utils.data.DataLoader(table.with_format("torch"), batch_size=BATCH, shuffle=True, drop_last=True)
        return iter(loader)

    made["HF Parquet streaming, torch format"] = (parquet, size, seconds)
    made["HF map-style, torch format"] = (
        arrow,
        sum(p.stat().st_size for p in (folder / "hf").rglob("*.arrow")),
        seconds,
    )
    return made


def ours(name: str, root: Path) -> dict[str, Callable[[], Batches]]:
    """The doors of cryodata."""
    options = {"split": "train", "root": root, "columns": COLUMNS}
    stream = SubgridStream(name, batch_size=BATCH, streams=1, pool_volumes=6, **options)
    whole = load_dataset(name, streaming=True, batch_size=BATCH, shuffle=0, **options)
    single = load_dataset(name, streaming=True, shuffle=0, **options).with_format("torch")
    return {
        "SubgridStream": lambda: iter(stream),
        "load_dataset(shuffle=, batch_size=)": lambda: (
            {key: torch.from_numpy(value) for key, value in batch.items()} for batch in whole
        ),
        "load_dataset(shuffle=), torch format, by sample": lambda: iter(
            torch.utils.data.DataLoader(single, batch_size=BATCH, drop_last=True)
        ),
    }


def rate(batches: Callable[[], Batches], seconds: float) -> float:
    """Sub-grids a second: median over passes that together last at least so long."""
    rates: list[float] = []
    spent = 0.0
    while spent < seconds or len(rates) < 2:
        began, count = time.perf_counter(), 0
        for batch in batches():
            count += len(batch["density"])
            if time.perf_counter() - began > seconds:
                break
        rates.append(count / (time.perf_counter() - began))
        spent += time.perf_counter() - began
    return statistics.median(rates)


def main(root: Path, name: str, seconds: float = 4.0) -> list[dict[str, Any]]:
    """Measure all, print a table; ratios are of ours to each."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        measured = peers(name, root, Path(folder))
        rows += [{"loader": key, "rate": rate(one, seconds), "bytes": size} for key, (one, size, _) in measured.items()]
        rows += [{"loader": key, "rate": rate(one, seconds), "bytes": None} for key, one in ours(name, root).items()]
    best = next(row["rate"] for row in rows if row["loader"] == "SubgridStream")
    for row in rows:
        row["stream is times as fast"] = round(best / row["rate"], 2)
        print(f"{row['loader']:50s} {row['rate']:10,.0f}/s   SubgridStream is {best / row['rate']:6.2f} x")
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    result = main(Path(sys.argv[1]), sys.argv[2])
    print(record("loaders", ("datasets", "torch", "numpy", "numcodecs", "pyarrow"), result))
