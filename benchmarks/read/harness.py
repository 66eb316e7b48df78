"""What the peers and ours have in common: cases, loaders, and the truth that a batch is compared with.

Imported in every peer's own environment: nothing but the standard library, NumPy and PyTorch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.read.source import ARRAYS, Batch, Input

BATCH = 64


class Loader:
    """A loader, opened: epochs of batches. `resumes` says by which means it goes on in the middle."""

    resumes = "skip"
    "state: its own state; sampler: the same sampler from there; skip: reads again what it drops; none"

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        raise NotImplementedError

    def state(self, batches: int) -> Any:
        """What the loader itself would have stored after so many batches."""
        return batches

    def resume(self, state: Any) -> Iterator[Batch]:
        """The rest of epoch 0 from a state: by default, what comes first is read and dropped."""
        rest = self.epoch(0)
        for _ in range(state):
            next(rest)
        return rest


@dataclass(frozen=True)
class Setup:
    """What a case is opened with."""

    input: Input
    folder: Path
    "of the layout that the case wrote"

    maps: int
    "that the layout holds"

    workers: int
    batch: int = BATCH


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    open: Callable[[Setup], Loader]
    write: Callable[[Input, int, Path], None] | None = None
    "lays out so many maps in an empty folder; None if the case reads the dataset itself"

    layout: str = ""
    "name of what `write` makes; cases of a peer may share one"

    maps: int = 4
    "maps that the layout holds at most; its bytes are scaled to all"

    reads: str = "read"
    "read: bytes are counted in /proc/self/io; once: computed, each stored byte once an epoch; memory: all held"

    touched: Callable[[Input], float] | None = None
    "bytes that one sub-grid needs of mapped files, if that is more than its own"

    workers: tuple[int, ...] = (0, 1, 2)
    "worker counts that are tried"

    whole: bool = False
    "whether whole epochs are timed, first batches included: a loader that decodes ahead must not be let off"

    crops: bool = False
    "whether positions are random, not those of the grid"

    pinned: bool = True
    "to one core"

    compared: bool = True
    "whether the first batch is compared with the volumes"


class MapStyle(Loader):
    """A map-style dataset under PyTorch's DataLoader, shuffled by a permutation."""

    resumes = "sampler"

    def __init__(self, dataset: Any, setup: Setup, collate: Callable[[Any], Batch] | None = None) -> None:
        self.dataset, self.setup, self.collate = dataset, setup, collate

    def epoch(self, number: int) -> Iterator[Batch]:
        """Whole batches only."""
        return self._from(number, 0)

    def resume(self, state: int) -> Iterator[Batch]:
        """The permutation from a place on: nothing is read twice."""
        return self._from(0, state)

    def _from(self, number: int, batch: int) -> Iterator[Batch]:
        order = np.random.Generator(np.random.PCG64(number)).permutation(len(self.dataset))[batch * self.setup.batch :]
        return iter(
            data_loader(
                self.dataset,
                self.setup.workers,
                batch_size=self.setup.batch,
                sampler=order.tolist(),
                drop_last=True,
                collate_fn=self.collate,
            )
        )


def data_loader(dataset: Any, workers: int, **options: Any) -> torch.utils.data.DataLoader[Any]:
    """PyTorch's DataLoader with so many workers."""
    return torch.utils.data.DataLoader(dataset, num_workers=workers, **options)


def raw(sample: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """A sub-grid as one run of bytes: density, atom, amino."""
    return b"".join(sample[key].tobytes() for key in ARRAYS)


def collate_raw(items: Sequence[Any]) -> Batch:
    """A batch of samples that are bytes, each copied once into its place."""
    values = [np.frombuffer(item, dtype=np.uint8) for item in items]
    side = round((len(values[0]) / sum(dtype.itemsize for dtype in ARRAYS.values())) ** (1 / 3))
    batch, first = {}, 0
    for key, dtype in ARRAYS.items():
        size = side**3 * dtype.itemsize
        target = np.empty((len(values), side, side, side), dtype=dtype)
        flat = target.reshape(len(values), -1).view(np.uint8)
        for row, value in zip(flat, values, strict=True):
            row[:] = value[first : first + size]
        batch[key] = torch.from_numpy(target)
        first += size
    return batch
