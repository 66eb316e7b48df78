# requires: webdataset
"""WebDataset: tar shards of `.npy` members, or of one `.bin` a sub-grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds

from benchmarks.read.harness import Case, Loader, Setup, collate_raw, raw
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch, Input

BUFFER = 512
"samples of the shuffle buffer"

PER_SHARD = 512


def write(opened: Input, maps: int, folder: Path, arrays: bool) -> None:
    """Shards of about 100 MB."""
    with wds.ShardWriter(str(folder / "%04d.tar"), maxcount=PER_SHARD, verbose=0) as writer:
        for number, sample in enumerate(opened.samples(maps)):
            values = {f"{key}.npy": value for key, value in sample.items()} if arrays else {"bin": raw(sample)}
            writer.write({"__key__": f"{number:08d}", **values})


def stacked(items: list[tuple[Any, ...]]) -> Batch:
    """Samples of arrays as a batch."""
    columns = zip(*items, strict=True)
    return {key: torch.from_numpy(np.stack(column)) for key, column in zip(ARRAYS, columns, strict=True)}


def from_bytes(items: list[tuple[bytes]]) -> Batch:
    """Samples of bytes as a batch."""
    return collate_raw([item[0] for item in items])


class Tars(Loader):
    """Shards shuffled, then a buffer; there is no state to resume from."""

    def __init__(self, setup: Setup, arrays: bool) -> None:
        self.setup, self.arrays = setup, arrays

    def epoch(self, number: int) -> Iterator[Batch]:
        """Batches are made where samples are read, as the documentation advises."""
        urls = sorted(str(path) for path in self.setup.folder.glob("*.tar"))
        data = wds.WebDataset(urls, shardshuffle=len(urls), seed=number, empty_check=False).shuffle(BUFFER)
        fields = [f"{key}.npy" for key in ARRAYS] if self.arrays else ["bin"]
        data = (data.decode() if self.arrays else data).to_tuple(*fields)
        collate = stacked if self.arrays else from_bytes
        data = data.batched(self.setup.batch, partial=False, collation_fn=collate)
        return iter(wds.WebLoader(data, batch_size=None, num_workers=self.setup.workers))


def _case(name: str, arrays: bool) -> Case:
    return Case(
        f"WebDataset, {name}",
        lambda setup: Tars(setup, arrays),
        lambda opened, maps, folder: write(opened, maps, folder, arrays),
        name,
        reads="once",
    )


CASES = (_case(".npy", True), _case("one .bin", False))

if __name__ == "__main__":
    main(CASES, ("webdataset",))
