"""The order of an epoch as a function: what lies at a position follows from (seed, epoch, position) alone.

Nothing here is as long as the epoch. Memory is a few numbers per volume, and per block while it is being served.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cryodata.core.keyed import keyed_bits
from cryodata.errors import UsageError

Indices = npt.NDArray[np.int64]


def keyed_permutation(count: int, *key: int | str) -> Indices:
    """A permutation of 0 to count - 1 that depends on the key alone, on every machine; int64 (count,).

    Positions are sorted by their `keyed_bits`.
    """
    return np.argsort(keyed_bits(np.arange(count), *key), kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The sub-grids of some volumes, in the order in which a stream serves them."""

    volumes: Indices
    "volumes that must be decoded, (k,)"

    volume: Indices
    "volume of each sub-grid, (n,)"

    place: Indices
    "place of each sub-grid among the kept ones of its volume, (n,)"


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """Where the sub-grids of one epoch go: to `streams` streams of about equal length, each served in blocks."""

    counts: Indices
    "kept sub-grids of each volume, volumes sorted by entry id; int64 (volumes,)"

    seed: int
    epoch: int
    streams: int
    "streams that the epoch is divided into, whatever the number of ranks"

    block_volumes: int = 1
    "volumes whose sub-grids are mixed with each other"

    shuffle: bool = True
    "without, volumes and sub-grids keep their order"

    def __post_init__(self) -> None:
        if self.streams < 1 or self.block_volumes < 1:
            raise UsageError(f"streams={self.streams}, block_volumes={self.block_volumes}; expected at least 1")

    @cached_property
    def volumes(self) -> Indices:
        """Volumes in the order of this epoch."""
        if not self.shuffle:
            return np.arange(len(self.counts), dtype=np.int64)
        return keyed_permutation(len(self.counts), "volumes", self.seed, self.epoch)

    @cached_property
    def ends(self) -> Indices:
        """Sub-grids up to and including each volume of `volumes`; int64 (volumes,)."""
        return np.cumsum(self.counts[self.volumes], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def span(self, stream: int) -> tuple[int, int]:
        """First position of a stream, and the one after its last: floor(cN/C) to floor((c+1)N/C)."""
        return stream * len(self) // self.streams, (stream + 1) * len(self) // self.streams

    def length(self, stream: int) -> int:
        """Sub-grids of a stream."""
        first, last = self.span(stream)
        return last - first

    def blocks(self, stream: int) -> int:
        """Number of blocks of a stream."""
        low, high = self._volume_span(stream)
        return -(-(high - low) // self.block_volumes)

    def block_span(self, stream: int, block: int) -> tuple[int, int]:
        """Positions within the stream that a block serves: first, and the one after the last."""
        low, high = self._volume_span(stream)
        first, last = self.span(stream)
        begin, end = low + block * self.block_volumes, min(low + (block + 1) * self.block_volumes, high)
        start = max(first, self._start(begin))
        return start - first, min(last, int(self.ends[end - 1])) - first

    def block_of(self, stream: int, position: int) -> int:
        """Block that serves a position of a stream."""
        low, _ = self._volume_span(stream)
        volume = int(np.searchsorted(self.ends, self.span(stream)[0] + position, side="right"))
        return (volume - low) // self.block_volumes

    def volumes_of_block(self, stream: int, block: int) -> Indices:
        """Volumes that must be decoded for a block, (k,)."""
        low, high = self._volume_span(stream)
        begin = low + block * self.block_volumes
        rows = np.arange(begin, min(begin + self.block_volumes, high))
        volumes: Indices = self.volumes[rows]
        return volumes[self.counts[volumes] > 0]  # nothing of an empty volume is served: never decoded

    def block(self, stream: int, block: int) -> Block:
        """What a block serves, in order."""
        offset = self.span(stream)[0]
        start, stop = (offset + position for position in self.block_span(stream, block))
        positions = np.arange(start, stop, dtype=np.int64)
        if self.shuffle:
            positions = positions[keyed_permutation(len(positions), "block", self.seed, self.epoch, stream, block)]
        row = np.searchsorted(self.ends, positions, side="right")
        volume = self.volumes[row]
        return Block(self.volumes_of_block(stream, block), volume, positions - (self.ends[row] - self.counts[volume]))

    def _volume_span(self, stream: int) -> tuple[int, int]:
        """Rows of `volumes` that a stream takes sub-grids from: first, and the one after the last."""
        first, last = self.span(stream)
        if first == last:
            return 0, 0
        low = int(np.searchsorted(self.ends, first, side="right"))
        return low, int(np.searchsorted(self.ends, last - 1, side="right")) + 1

    def _start(self, row: int) -> int:
        return int(self.ends[row - 1]) if row else 0
