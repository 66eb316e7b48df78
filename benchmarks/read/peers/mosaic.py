# requires: mosaicml-streaming
"""MosaicML streaming: MDS shards of arrays or bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

# torchvision's own build does not load beside a PyTorch without CUDA; these two names are all that its import misses
_operators = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import streaming  # noqa: E402

from benchmarks.read.harness import Case, Loader, Setup, collate_raw, raw  # noqa: E402
from benchmarks.read.measure import main  # noqa: E402
from benchmarks.read.source import ARRAYS, Batch, Input  # noqa: E402


def write(opened: Input, maps: int, folder: Path, arrays: bool) -> None:
    """Shards of the default size."""
    shape = ",".join([str(opened.box)] * 3)
    columns = {key: f"ndarray:{dtype.name}:{shape}" for key, dtype in ARRAYS.items()} if arrays else {"raw": "bytes"}
    with streaming.MDSWriter(out=str(folder), columns=columns) as writer:
        for sample in opened.samples(maps):
            writer.write(sample if arrays else {"raw": raw(sample)})


def from_bytes(items: list[dict[str, bytes]]) -> Batch:
    """Samples of bytes as a batch."""
    return collate_raw([item["raw"] for item in items])


class Shards(Loader):
    """StreamingDataset under its StreamingDataLoader, the default shuffle (py1e)."""

    resumes = "state"

    def __init__(self, setup: Setup, arrays: bool) -> None:
        streaming.base.util.clean_stale_shared_memory()
        self.setup = setup
        self.data = streaming.StreamingDataset(
            local=str(setup.folder), shuffle=True, shuffle_seed=0, batch_size=setup.batch
        )
        self.loader = streaming.StreamingDataLoader(
            self.data,
            batch_size=setup.batch,
            num_workers=setup.workers,
            drop_last=True,
            collate_fn=None if arrays else from_bytes,
        )

    def epoch(self, number: int) -> Iterator[Batch]:
        """The dataset counts epochs itself."""
        return iter(self.loader)

    def state(self, batches: int) -> Any:
        """Made from the place alone."""
        return self.data.state_dict(batches * self.setup.batch, from_beginning=True)

    def resume(self, state: Any) -> Iterator[Batch]:
        """By the state."""
        self.data.load_state_dict({**state, "epoch": 0})
        return iter(self.loader)


CASES = (
    Case("MosaicML MDS, ndarray", lambda s: Shards(s, True), lambda i, m, f: write(i, m, f, True), "arrays"),
    Case("MosaicML MDS, bytes", lambda s: Shards(s, False), lambda i, m, f: write(i, m, f, False), "bytes"),
)

if __name__ == "__main__":
    main(CASES, ("mosaicml-streaming",))
