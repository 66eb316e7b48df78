# requires: litdata
"""litData: optimized chunks of arrays, tensors or bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litdata
import torch
from litdata.streaming.writer import BinaryWriter

from benchmarks.read.harness import Case, Loader, Setup, collate_raw, raw
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch, Input

CHUNK = 64 << 20
"bytes: the default size of `optimize`"


def write(opened: Input, maps: int, folder: Path, form: str) -> None:
    """What `optimize` writes, by its writer."""
    writer = BinaryWriter(str(folder), chunk_bytes=CHUNK)
    for number, sample in enumerate(opened.samples(maps)):
        writer.add_item(number, item(sample, form))
    writer.done()
    writer.merge(1)


def item(sample: dict[str, Any], form: str) -> Any:
    """A sub-grid in one of the three forms."""
    if form == "bytes":
        return raw(sample)
    return {key: torch.from_numpy(value) if form == "tensor" else value for key, value in sample.items()}


class Chunks(Loader):
    """StreamingDataset under its StreamingDataLoader."""

    resumes = "state"

    def __init__(self, setup: Setup, form: str) -> None:
        self.setup = setup
        data = litdata.StreamingDataset(str(setup.folder), shuffle=True, drop_last=True, seed=0)
        options = {"collate_fn": collate_raw} if form == "bytes" else {}
        self.loader = litdata.StreamingDataLoader(
            data, batch_size=setup.batch, num_workers=setup.workers, drop_last=True, **options
        )

    def epoch(self, number: int) -> Iterator[Batch]:
        """The loader counts epochs itself."""
        for batch in self.loader:
            yield {key: torch.as_tensor(batch[key]) for key in ARRAYS}

    def state(self, batches: int) -> Any:
        """What the loader says after so many batches."""
        batch = iter(self.loader)
        for _ in range(batches):
            next(batch)
        return self.loader.state_dict()

    def resume(self, state: Any) -> Iterator[Batch]:
        """By the state."""
        self.loader.load_state_dict(state)
        return self.epoch(0)


def _case(form: str) -> Case:
    return Case(
        f"litData, {form}",
        lambda setup: Chunks(setup, form),
        lambda opened, maps, folder: write(opened, maps, folder, form),
        form,
        reads="once",
    )


CASES = tuple(_case(form) for form in ("numpy", "tensor", "bytes"))

if __name__ == "__main__":
    os.environ.setdefault("DISABLE_VERSION_CHECK", "1")
    main(CASES, ("litdata",))
