"""How a volume is cut into overlapping boxes whose cores tile it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SubgridGrid:
    """Boxes of `box` voxels a side, centred on cores of `core` voxels a side that tile the volume.

    Core k of an axis covers the voxels core*k to core*(k+1) - 1; its box starts `margin` voxels earlier.
    Outside the volume a box is 0.
    """

    shape_zyx: Shape
    "voxels of the volume"

    box: int
    "voxels a side of what a model sees"

    core: int
    "voxels a side of what belongs to this box alone"

    @classmethod
    def uniform(cls, shape_zyx: Iterable[int], box: int = 32, core: int = 20) -> SubgridGrid:
        """A grid of equal boxes. Defaults: 32 and 20, the sub-grids of Cryo2StructData."""
        nz, ny, nx = (int(n) for n in shape_zyx)
        if min(nz, ny, nx) < 1:
            raise ValueError(f"a volume has at least one voxel on each axis, found {(nz, ny, nx)}")
        if not 1 <= core <= box:
            raise ValueError(f"core must be 1 to box, found core={core}, box={box}")
        if (box - core) % 2:
            raise ValueError(f"box - core must be even so that the core is centred, found box={box}, core={core}")
        return cls((nz, ny, nx), box, core)

    @property
    def margin(self) -> int:
        """Voxels of a box before its core."""
        return (self.box - self.core) // 2

    @property
    def counts_zyx(self) -> Shape:
        """Number of boxes along each axis."""
        nz, ny, nx = (-(-n // self.core) for n in self.shape_zyx)
        return nz, ny, nx

    @property
    def padded_zyx(self) -> Shape:
        """Voxels from the first of the first box to the last of the last one, along each axis."""
        nz, ny, nx = (self.core * (n - 1) + self.box for n in self.counts_zyx)
        return nz, ny, nx

    @property
    def inside(self) -> tuple[slice, slice, slice]:
        """Where the volume lies in `padded_zyx`."""
        nz, ny, nx = (slice(self.margin, self.margin + n) for n in self.shape_zyx)
        return nz, ny, nx

    def __len__(self) -> int:
        nz, ny, nx = self.counts_zyx
        return nz * ny * nx

    def starts_zyx(self) -> npt.NDArray[np.int32]:
        """First voxel of each box, int32 (n, 3), z slowest; negative where a box begins outside."""
        starts = np.empty((*self.counts_zyx, 3), dtype=np.int32)
        for axis, count in enumerate(self.counts_zyx):
            along = self.core * np.arange(count, dtype=np.int32) - self.margin
            starts[..., axis] = along.reshape([-1 if other == axis else 1 for other in range(3)])
        return starts.reshape(-1, 3)

    def start_of(self, number: int) -> tuple[int, int, int]:
        """First voxel of one box, by its place in `starts_zyx`; IndexError beyond the last."""
        if not 0 <= number < len(self):
            raise IndexError(f"box {number} of {len(self)}")
        _, ny, nx = self.counts_zyx
        z, rest = divmod(number, ny * nx)
        y, x = divmod(rest, nx)
        return self.core * z - self.margin, self.core * y - self.margin, self.core * x - self.margin

    def containing(
        self, voxel_zyx: npt.NDArray[np.integer[Any]], offset: int, size: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which cubes of `size` voxels, that begin `offset` voxels after each core, hold which voxels.

        voxel_zyx: integers (n, 3). Returns the voxels of each cube, cube after cube as in `starts_zyx`: the first place
        of each in the second array, int64 (cubes + 1,), and rows of `voxel_zyx`, ascending in each cube, int64 (m,).
        Boxes are `offset=-margin, size=box`.
        """
        # cube k of an axis holds v if core*k + offset <= v < core*k + offset + size
        last = np.minimum((voxel_zyx - offset) // self.core, np.asarray(self.counts_zyx) - 1)
        first = np.maximum(-((size - 1 + offset - voxel_zyx) // self.core), 0)
        held = np.maximum(last - first + 1, 0)
        rows, cubes = np.arange(len(voxel_zyx)), np.zeros(len(voxel_zyx), dtype=np.int64)
        for axis, count in enumerate(self.counts_zyx):  # each voxel as often as it is held along the axes so far
            each = held[rows, axis]
            begin = cubes * count + first[rows, axis] - (np.cumsum(each) - each)
            rows = np.repeat(rows, each)
            cubes = np.repeat(begin, each) + np.arange(len(rows))
        # the few values that 16 bits hold are sorted without comparing them
        order = np.argsort(cubes.astype(np.uint16) if len(self) <= 1 << 16 else cubes, kind="stable")
        return np.concatenate([[0], np.cumsum(np.bincount(cubes, minlength=len(self)))]), rows[order]

    def cut(self, data: npt.NDArray[Any], start_zyx: Iterable[int]) -> npt.NDArray[Any]:
        """A copy of one box of `data` (nz, ny, nx), zero outside it; shape (box, box, box), dtype of `data`."""
        return cut_box(data, start_zyx, self.box)

    def stitch(self, boxes: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """Put the cores of all boxes, in the order of `starts_zyx`, back into one volume: the inverse of `cut`."""
        volume = np.zeros(self.shape_zyx, dtype=dtype)
        low, high = self.margin, self.margin + self.core
        starts = self.starts_zyx()
        for start, box in zip(starts, boxes, strict=True):
            z, y, x = start + self.margin
            target = volume[z : z + self.core, y : y + self.core, x : x + self.core]
            target[...] = box[low:high, low:high, low:high][tuple(slice(0, n) for n in target.shape)]
        return volume


def counts_of(shapes_zyx: npt.NDArray[np.integer[Any]], core: int) -> npt.NDArray[np.int64]:
    """`SubgridGrid.counts_zyx` of many volumes at once; shapes (n, 3), counts int64 (n, 3)."""
    return -(-shapes_zyx.astype(np.int64) // core)


def cut_box(data: npt.NDArray[Any], start_zyx: Iterable[int], box: int) -> npt.NDArray[Any]:
    """A copy of the cube of `box` voxels that begins at `start_zyx`; 0 where it leaves `data` (nz, ny, nx)."""
    cube = np.empty((box, box, box), dtype=data.dtype)
    cut_into(cube, data, start_zyx)
    return cube


def cut_into(cube: npt.NDArray[Any], data: npt.NDArray[Any], start_zyx: Iterable[int]) -> None:
    """Fill a cube (box, box, box) with what begins at `start_zyx`; 0 where it leaves `data` (nz, ny, nx)."""
    source, target, whole = [], [], True
    for start, size, box in zip(start_zyx, data.shape, cube.shape, strict=True):
        first, last = max(int(start), 0), min(int(start) + box, size)
        if first >= last:
            cube[...] = 0
            return
        source.append(slice(first, last))
        target.append(slice(first - int(start), last - int(start)))
        whole = whole and last - first == box
    if not whole:
        cube[...] = 0
    cube[tuple(target)] = data[tuple(source)]
