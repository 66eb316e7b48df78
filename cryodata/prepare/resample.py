"""Resampling onto a grid of equal spacing, the origin kept."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cryodata.core.volume import Volume

SIZE_SLACK = 1e-4
"voxels: 105.0000 computed as 104.99999 is still 105"

SAME_SPACING = 1e-6
"relative difference below which an axis is left as it is"

EDGE_SLACK = 1e-9
"voxels by which a point may lie beyond the last grid point through rounding alone"

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


def resample(volume: Volume, spacing: float = 1.0) -> Volume:
    """Trilinear interpolation at the points origin + i * spacing.

    volume: float32 (nz, ny, nx). spacing: A. Returns float32; beyond the last grid point the value is exactly 0.
    Coordinates and sums are float64, taken slab by slab of z, so the memory is that of the result and a few planes.
    Raises ValueError if an axis would have no point left.
    """
    shape = resampled_shape(volume.shape_zyx, volume.voxel_size_xyz, spacing)
    if min(shape) < 1:
        raise ValueError(f"a volume of {volume.shape_zyx} voxels is smaller than one step of {spacing:g} A")
    sizes_zyx = volume.voxel_size_xyz[::-1]
    taps_z, taps_y, taps_x = (
        _taps(count, new, float(size), spacing)
        for count, new, size in zip(volume.shape_zyx, shape, sizes_zyx, strict=True)
    )
    result = np.zeros(shape, dtype=np.float32)
    lower, weight, inside = taps_z
    flat = _Plane(volume.shape_zyx[1:], (shape[1], shape[2]), taps_y, taps_x)
    planes: dict[int, npt.NDArray[np.float64]] = {}
    mixed, other = (np.empty((shape[1], shape[2])) for _ in range(2))
    for z in np.flatnonzero(inside):
        low = int(lower[z])
        needed = [low] if weight[z] == 0.0 else [low, low + 1]
        # neighbouring output planes share input planes: keep those that the next one needs
        spare = [planes.pop(i) for i in list(planes) if i not in needed]
        for i in needed:
            if i not in planes:
                planes[i] = flat.interpolate(volume.data[i], spare.pop() if spare else np.empty_like(mixed))
        if len(needed) == 1:
            result[z] = planes[low]
            continue
        np.multiply(planes[low], 1.0 - weight[z], out=mixed)
        np.multiply(planes[low + 1], weight[z], out=other)
        np.add(mixed, other, out=mixed)
        result[z] = mixed
    return Volume(result, np.full(3, spacing), volume.origin_xyz)


def _taps(count: int, new: int, voxel_size: float, spacing: float) -> Taps:
    """For each new point: the grid point below, the share of the one above, and whether it lies in the grid."""
    if abs(voxel_size / spacing - 1.0) < SAME_SPACING:
        return np.arange(count), np.zeros(count), np.ones(count, dtype=np.bool_)
    place = np.arange(new) * spacing / voxel_size
    inside = place <= count - 1 + EDGE_SLACK
    place = np.minimum(place, count - 1)
    lower = np.floor(place).astype(np.int64)
    return lower, place - lower, inside


class _Plane:
    """Interpolates planes (ny, nx) along y, then x, in float64 and in memory of its own: fresh memory would cost more
    than the arithmetic."""

    def __init__(self, before: tuple[int, ...], after: tuple[int, int], taps_y: Taps, taps_x: Taps) -> None:
        self._wide = np.empty(before)
        self._along_y, self._above_y = (np.empty((after[0], before[1])) for _ in range(2))
        self._above_x = np.empty(after)
        self._taps_y, self._taps_x = taps_y, taps_x

    def interpolate(self, plane: npt.NDArray[np.float32], out: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """One plane, written into `out`."""
        self._wide[...] = plane
        _along(self._wide, 0, self._taps_y, self._along_y, self._above_y)
        _along(self._along_y, 1, self._taps_x, out, self._above_x)
        return out


def _along(
    values: npt.NDArray[np.float64],
    axis: int,
    taps: Taps,
    out: npt.NDArray[np.float64],
    scratch: npt.NDArray[np.float64],
) -> None:
    lower, weight, inside = taps
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    share = weight[:, None] if axis == 0 else weight
    np.take(values, lower, axis=axis, out=out, mode="clip")  # "raise" would copy once more; all are inside
    np.take(values, upper, axis=axis, out=scratch, mode="clip")
    out *= 1.0 - share
    scratch *= share
    out += scratch
    if not inside.all():
        out[(slice(None),) * axis + (~inside,)] = 0.0
