"""Decoded volumes of the blocks that are being served, and of those that come next, decoded ahead by threads.

Each volume is decoded once for each block that needs it, into a slot that is used again: the memory of an epoch is
stated before it starts and does not grow.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.order import EpochOrder
from cryodata.core.subgrids import SubgridGrid
from cryodata.read.decode import volumes_of
from cryodata.read.kernels import Numbers
from cryodata.read.slots import Slots
from cryodata.read.sources import SubgridSource

DECODE_THREADS = 2
"decoding releases the interpreter: two threads keep a second core busy"

BLOCKS_HELD = 2
"blocks of a stream in memory: the one that is served and the next"

Voxels = Mapping[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]]
"by label: voxels int32 (m, 3) of a volume and their values uint8 (m,)"

Points = tuple[Numbers, Numbers, Numbers, npt.NDArray[np.uint8]]
"of a label: first and last point of each box (n,); place in the box and value of each point (m,)"


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What a stream serves of a block, sub-grid by sub-grid in the order of the epoch; ready to be cut."""

    row: Numbers
    "row of the entries table, (n,)"

    start_zyx: npt.NDArray[np.int32]
    "first voxel of the box in its volume, (n, 3)"

    first: Numbers
    "where the box begins in the voxels of the slots, (n,)"

    strides: Numbers
    "how far the next z, y and x lie there, (n, 3)"

    labels: Mapping[str, Points]


class Pool:
    """Makes the blocks of some streams ready to be cut, and begins with the next; one reader at a time."""

    def __init__(self, source: SubgridSource, order: EpochOrder, streams: tuple[int, ...], slots: Slots) -> None:
        self.source, self.order, self.streams, self.slots = source, order, streams, slots
        self.store = volumes_of(source.key)
        self.labels = [array for array in source.arrays if array.role == "label"]
        self.density = len(source.arrays) > len(self.labels)
        self._shapes = self.store.entries["shape_zyx"].take(source.volumes).to_pylist()
        self._threads = ThreadPoolExecutor(DECODE_THREADS, "cryodata-decode") if _cores() > 1 else None
        self._begun: dict[tuple[int, int], list[Future[Voxels | None] | None]] = {}
        self._serving: dict[int, tuple[int, Served]] = {}

    def block(self, stream: int, block: int) -> Served:
        """A block, ready; waits until its volumes are decoded. Blocks before it are let go."""
        serving = self._serving.get(stream)
        if serving is None or serving[0] != block:
            self._serving.pop(stream, None)
            for passed in [key for key in self._begun if key[0] == stream and key[1] < block]:
                self._release(passed)
            self.begin(stream, block)
            if self._threads is not None and block + 1 < self.order.blocks(stream):
                self.begin(stream, block + 1)
            self._serving[stream] = serving = (block, self._ready(stream, block))
        return serving[1]

    def begin(self, stream: int, block: int) -> None:
        """Begin to decode a block, unless that was begun; on a single core that waits until the block is asked for."""
        if (stream, block) in self._begun:
            return
        volumes = self.order.volumes_of_block(stream, block).tolist()
        self._begun[stream, block] = [
            self._threads.submit(self._decode, stream, block, place, False) if self._threads is not None else None
            for place in range(len(volumes))
        ]

    def close(self) -> None:
        """Stop decoding and let go of everything."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for begun in list(self._begun):
            self._release(begun)
        self._serving.clear()

    def _release(self, begun: tuple[int, int]) -> None:
        for place in range(len(self._begun.pop(begun))):
            self.slots.release(self._slot(*begun, place))

    def _slot(self, stream: int, block: int, place: int) -> int:
        turn = self.streams.index(stream) * BLOCKS_HELD + block % BLOCKS_HELD
        return turn * self.order.block_volumes + place

    def _decode(self, stream: int, block: int, place: int, wait: bool) -> Voxels | None:
        """Have a volume in its slot; the voxels of its labels, or None if the slot is not free yet."""
        volume = int(self.order.volumes_of_block(stream, block)[place])
        row, grid = int(self.source.volumes[volume]), self._grid(volume)

        def fill(voxels: npt.NDArray[Any]) -> None:
            self.store.decode_density(row, framed(voxels, grid))

        if self.density:
            content = (self.order.epoch, stream, block, volume)
            if not self.slots.hold(self._slot(stream, block, place), content, fill, wait):
                return None
        return self.store.voxels_of_labels(row, self.source.rule) if self.labels else {}

    def _grid(self, volume: int) -> SubgridGrid:
        return SubgridGrid.uniform(self._shapes[volume], self.source.box, self.source.core)

    def _ready(self, stream: int, block: int) -> Served:
        served, source = self.order.block(stream, block), self.source
        count = len(served.volume)
        first, strides = np.zeros(count, dtype=np.int64), np.zeros((count, 3), dtype=np.int64)
        start = np.zeros((count, 3), dtype=np.int32)
        points: dict[str, list[tuple[Numbers, Points]]] = {array.name: [] for array in self.labels}
        for place, (volume, ahead) in enumerate(zip(served.volumes.tolist(), self._begun[stream, block], strict=True)):
            voxels = None if ahead is None else ahead.result()
            if voxels is None:
                voxels = self._decode(stream, block, place, wait=True) or {}
            grid, mine = self._grid(volume), np.flatnonzero(served.volume == volume)
            number = source.places(volume, served.place[mine])
            start[mine] = grid.starts_zyx()[number]
            _, ny, nx = grid.padded_zyx
            strides[mine] = (ny * nx, nx, 1)
            inside = ((start[mine] + grid.margin) * strides[mine]).sum(axis=1)
            first[mine] = self.slots.begin_of(self._slot(stream, block, place)) + inside
            for name, found in points.items():
                found.append((mine, points_of(*voxels[name], grid, number)))
        row = source.volumes[served.volume].astype(np.int64)
        return Served(row, start, first, strides, {name: _joined(found, count) for name, found in points.items()})


def framed(voxels: npt.NDArray[Any], grid: SubgridGrid) -> npt.NDArray[Any]:
    """Where a volume lies in a slot: a frame of zeros around it holds whatever its boxes reach beyond it."""
    padded = voxels[: math.prod(grid.padded_zyx)].reshape(grid.padded_zyx)
    inside = tuple(slice(grid.margin, grid.margin + n) for n in grid.shape_zyx)
    for axis, span in enumerate(inside):
        before = (slice(None),) * axis
        padded[(*before, slice(0, span.start))] = 0
        padded[(*before, slice(span.stop, None))] = 0
    return padded[inside]


def points_of(
    voxel: npt.NDArray[np.int32], values: npt.NDArray[np.uint8], grid: SubgridGrid, number: Numbers
) -> Points:
    """The points of a volume that fall into the boxes `number` (n,); a point lies in up to eight."""
    rows, boxes = grid.containing(voxel, -grid.margin, grid.box)
    order = np.argsort(boxes, kind="stable")
    rows, boxes = rows[order], boxes[order]
    inside = (voxel[rows] - grid.starts_zyx()[boxes]).astype(np.int64)
    place = (inside[:, 0] * grid.box + inside[:, 1]) * grid.box + inside[:, 2]
    return np.searchsorted(boxes, number), np.searchsorted(boxes, number, side="right"), place, values[rows]


def _joined(parts: list[tuple[Numbers, Points]], count: int) -> Points:
    """The points of several volumes as those of the `count` sub-grids that are served."""
    first, last = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    places, values, before = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint8)], 0
    for mine, (begin, end, place, value) in parts:
        first[mine], last[mine] = begin + before, end + before
        places.append(place)
        values.append(value)
        before += len(place)
    return first, last, np.concatenate(places), np.concatenate(values)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
