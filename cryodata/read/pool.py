"""Decoded volumes of the blocks that are being served, and of those that come next, decoded ahead by threads.

Each volume is decoded once for each block that needs it. At most two blocks a stream are held: the bound is stated
before the start and does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.order import Block, EpochOrder
from cryodata.core.schema import ArraySpec
from cryodata.core.subgrids import Copy, SubgridGrid, cut_into
from cryodata.read.decode import DecodedVolume, Volumes

DECODE_THREADS = 2
"decoding releases the interpreter: two threads keep a second core busy and do no harm on one"


@dataclass(frozen=True, slots=True, eq=False)
class PooledVolume:
    """A decoded volume with its label points sorted by the sub-grids that they fall into."""

    decoded: DecodedVolume
    grid: SubgridGrid
    points: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]]
    "by label: first point of each sub-grid (n + 1,), place in the box (m,), value (m,)"

    def cut(self, array: ArraySpec, number: int, cube: npt.NDArray[Any], copy: Copy = np.copyto) -> None:
        """Fill a cube (box, box, box) with one array of one sub-grid."""
        if array.role != "label":
            cut_into(cube, self.decoded.density, self.grid.start_of(number), copy)
            return
        first, place, values = self.points[array.name]
        cube[...] = 0
        rows = slice(int(first[number]), int(first[number + 1]))
        cube.reshape(-1)[place[rows]] = values[rows]


def pooled(decoded: DecodedVolume, box: int, core: int) -> PooledVolume:
    """Sort the label points of a volume by sub-grid; a point lies in up to eight of them."""
    nz, ny, nx = decoded.density.shape
    grid = SubgridGrid.uniform((nz, ny, nx), box, core)
    starts = grid.starts_zyx()
    points = {}
    for name, (voxel, values) in decoded.labels.items():
        rows, numbers = grid.containing(voxel, -grid.margin, box)
        order = np.argsort(numbers, kind="stable")
        rows, numbers = rows[order], numbers[order]
        place = np.asarray(np.ravel_multi_index((voxel[rows] - starts[numbers]).T, (box, box, box)), dtype=np.int64)
        first = np.searchsorted(numbers, np.arange(len(grid) + 1))
        points[name] = (first, place, values[rows])
    return PooledVolume(decoded, grid, points)


class Pool:
    """Hands out the volumes of a block and begins to decode those of the next; one reader at a time."""

    def __init__(
        self, volumes: Volumes, rows: npt.NDArray[np.int32], order: EpochOrder, rule: str, box: int, core: int
    ) -> None:
        self.volumes = volumes
        self.rows = rows
        self.order = order
        self.rule, self.box, self.core = rule, box, core
        self.decodes = 0
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="cryodata-decode")
        self._held: dict[tuple[int, int], tuple[Block, dict[int, Future[PooledVolume]]]] = {}
        self._serving: dict[int, tuple[int, dict[int, PooledVolume], Block]] = {}

    def block(self, stream: int, block: int) -> tuple[dict[int, PooledVolume], Block]:
        """Volumes of a block by their number in the order, and what is served of them; waits until they are decoded."""
        if self._serving.get(stream, (None,))[0] != block:
            for kept in [key for key in self._held if key[0] == stream and key[1] < block]:
                del self._held[kept]
            self.begin(stream, block)
            if block + 1 < self.order.blocks(stream):
                self.begin(stream, block + 1)
            served, volumes = self._held[stream, block]
            decoded = {number: future.result() for number, future in volumes.items()}
            self._serving[stream] = (block, decoded, served)
        _, decoded, served = self._serving[stream]
        return decoded, served

    def close(self) -> None:
        """Stop decoding and let go of everything."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._held.clear()
        self._serving.clear()

    def begin(self, stream: int, block: int) -> None:
        """Begin to decode a block, unless that was begun."""
        if (stream, block) in self._held:
            return
        served = self.order.block(stream, block)
        self.decodes += len(served.volumes)
        volumes = {number: self._threads.submit(self._decode, number) for number in served.volumes.tolist()}
        self._held[stream, block] = (served, volumes)

    def _decode(self, number: int) -> PooledVolume:
        return pooled(self.volumes.decode(int(self.rows[number]), self.rule), self.box, self.core)
