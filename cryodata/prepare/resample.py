"""Resampling onto a grid of equal spacing, the origin kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops
from cryodata.core.volume import Volume

SIZE_SLACK = 1e-4
"voxels: 105.0000 computed as 104.99999 is still 105"

SAME_SPACING = 1e-6
"relative difference below which an axis is left as it is"

EDGE_SLACK = 1e-9
"voxels by which a point may lie beyond the last grid point through rounding alone"

ROWS = 64
"of a plane that are interpolated at a time"

Taps = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def resampled_size(count: int, voxel_size: float, spacing: float) -> int:
    """Points of an axis after resampling: floor(n v / s), or n if the spacing is the same already."""
    if abs(voxel_size / spacing - 1.0) < SAME_SPACING:
        return count
    return math.floor(count * voxel_size / spacing + SIZE_SLACK)


def resampled_shape(volume_shape_zyx: tuple[int, int, int], voxel_size_xyz: npt.ArrayLike, spacing: float) -> list[int]:
    """Shape (nz, ny, nx) after resampling."""
    sizes_zyx = np.asarray(voxel_size_xyz, dtype=np.float64)[::-1]
    return [resampled_size(n, float(v), spacing) for n, v in zip(volume_shape_zyx, sizes_zyx, strict=True)]


def resample(volume: Volume, spacing: float = 1.0, overwrite: bool = False) -> Volume:
    """Trilinear interpolation at the points origin + i * spacing.

    volume: float32 (nz, ny, nx). spacing: A. overwrite: where there is room, the result lies in the memory of `volume`,
    whose values are lost; if that is the end of a longer array (n,), in all of it. Returns float32; beyond the last
    grid point the value is exactly 0. Coordinates and sums are float64, taken plane by plane of z, so the memory is
    that of the result, if any, and a few planes. Raises ValueError if an axis would have no point left.
    """
    shape = resampled_shape(volume.shape_zyx, volume.voxel_size_xyz, spacing)
    if min(shape) < 1:
        raise ValueError(f"a volume of {volume.shape_zyx} voxels is smaller than one step of {spacing:g} A")
    taps_z, taps_y, taps_x = (
        _taps(count, new, float(size), spacing)
        for count, new, size in zip(volume.shape_zyx, shape, volume.voxel_size_xyz[::-1], strict=True)
    )
    data = volume.data
    memory = _memory_of(data) if overwrite else data[:0].reshape(-1)
    if _fits(len(memory), data.shape, shape, taps_z):
        result = memory[: math.prod(shape)].reshape(shape)
    else:
        result = np.empty(shape, dtype=np.float32)
    planes = _Planes(data, (shape[1], shape[2]), taps_y, taps_x)
    lower, weight, inside = taps_z
    for z in range(shape[0]):
        if not inside[z]:
            result[z] = 0.0
        elif weight[z] == 0.0:
            result[z] = planes.at(int(lower[z]))
        else:
            planes.between(int(lower[z]), weight[z], result[z])
    return Volume(result, np.full(3, spacing), volume.origin_xyz)


def _memory_of(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The array (n,) that a map is the end of, or all of; of none if that can't be written."""
    if not (data.flags.c_contiguous and data.flags.writeable):
        return data[:0].reshape(-1)
    base = data.base
    if (
        isinstance(base, np.ndarray)
        and base.ndim == 1
        and base.dtype == data.dtype
        and base.flags.c_contiguous
        and base.ctypes.data + base.nbytes == data.ctypes.data + data.nbytes
    ):
        return base
    return data.reshape(-1)


def _fits(room: int, before: Sequence[int], after: Sequence[int], taps_z: Taps) -> bool:
    """Whether each plane of the result, written from the front of so many values, ends before those planes of the map,
    at their end, that are still to be read."""
    lower, weight, _ = taps_z
    read = np.minimum(lower + 1 + (weight > 0), before[0])
    ends = np.arange(1, after[0] + 1) * math.prod(after[1:])
    return bool(np.all(ends <= room - (before[0] - read) * math.prod(before[1:])))


def _taps(count: int, new: int, voxel_size: float, spacing: float) -> Taps:
    """For each new point: the grid point below, the share of the one above, and whether it lies in the grid."""
    if abs(voxel_size / spacing - 1.0) < SAME_SPACING:
        return np.arange(count), np.zeros(count), np.ones(count, dtype=np.bool_)
    place = np.arange(new) * spacing / voxel_size
    inside = place <= count - 1 + EDGE_SLACK
    place = np.minimum(place, count - 1)
    lower = np.floor(place).astype(np.int64)
    return lower, place - lower, inside


class _Planes:
    """The planes of a map, each interpolated along y, then x, in float64, and once.

    They are asked for in rising order; the last two are kept, in memory that serves again. Where numba is installed the
    loops run compiled (`prepare/volume_kernels.py`), with equal bytes; without it by rows that stay in the caches.
    """

    def __init__(self, data: npt.NDArray[np.float32], after: tuple[int, int], taps_y: Taps, taps_x: Taps) -> None:
        self._data, self._inside = data, (taps_y[2], taps_x[2])
        self._taps = [
            (*_ends(lower, n), share) for (lower, share, _), n in zip((taps_y, taps_x), data.shape[1:], strict=True)
        ]
        self._kept = [(-1, np.empty(after)) for _ in range(2)]
        self._rows = [np.empty((ROWS, width)) for width in (data.shape[2], data.shape[2], after[1], after[1])]
        self._loops = loops("cryodata.prepare.volume_kernels")

    def at(self, number: int) -> npt.NDArray[np.float64]:
        """The plane of that number (ny, nx); valid until two others are asked for."""
        for kept, plane in self._kept:
            if kept == number:
                return plane
        plane = self._kept.pop(0)[1]  # the one that was asked for first
        self._kept.append((number, plane))
        values, ((lower_y, upper_y, share_y), (lower_x, upper_x, share_x)) = self._data[number], self._taps
        if self._loops is not None:
            row = self._rows[0][0]
            self._loops.interpolate(values, lower_y, upper_y, share_y, lower_x, upper_x, share_x, row, plane)
        else:
            for here in _blocks(len(plane)):
                below, above, _, other = (rows[: here.stop - here.start] for rows in self._rows)
                below[...] = values[lower_y[here]]
                above[...] = values[upper_y[here]]
                _mix(below, above, share_y[here, None])
                # "raise" would copy once more; all are inside
                np.take(below, lower_x, axis=1, out=plane[here], mode="clip")
                np.take(below, upper_x, axis=1, out=other, mode="clip")
                _mix(plane[here], other, share_x)
        inside_y, inside_x = self._inside
        plane[~inside_y] = 0.0
        plane[:, ~inside_x] = 0.0
        return plane

    def between(self, number: int, weight: float, out: npt.NDArray[np.float32]) -> None:
        """What lies the share `weight` above the plane of that number, into `out` (ny, nx)."""
        below, above = self.at(number), self.at(number + 1)
        if self._loops is not None:
            self._loops.mix(below, above, weight, out)
            return
        for here in _blocks(len(out)):
            mixed, other = (rows[: here.stop - here.start] for rows in self._rows[2:])
            np.copyto(mixed, below[here])
            np.copyto(other, above[here])
            _mix(mixed, other, weight)
            out[here] = mixed


def _ends(lower: npt.NDArray[np.int64], count: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The grid points on both sides, of so many. Unsigned: a compiled loop need not ask whether they count from the
    end."""
    return lower.astype(np.uint64), np.minimum(lower + 1, count - 1).astype(np.uint64)


def _blocks(count: int) -> list[slice]:
    """Rows that are worked on at a time."""
    return [slice(first, min(first + ROWS, count)) for first in range(0, count, ROWS)]


def _mix(
    below: npt.NDArray[np.float64], above: npt.NDArray[np.float64], share: npt.NDArray[np.float64] | float
) -> None:
    """`below` becomes what lies the share `share` on the way from it to `above`, which is overwritten."""
    below *= 1.0 - share
    above *= share
    below += above
