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
    planes: dict[int, npt.NDArray[np.float64]] = {}
    for z in np.flatnonzero(inside):
        low = int(lower[z])
        needed = [low] if weight[z] == 0.0 else [low, low + 1]
        # neighbouring output planes share input planes: keep those that the next one needs
        planes = {i: planes[i] if i in planes else _plane(volume.data[i], taps_y, taps_x) for i in needed}
        plane = planes[low]
        if len(needed) == 2:
            plane = plane * (1.0 - weight[z]) + planes[low + 1] * weight[z]
        result[z] = plane
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


def _plane(plane: npt.NDArray[np.float32], taps_y: Taps, taps_x: Taps) -> npt.NDArray[np.float64]:
    """One plane (ny, nx) interpolated along y, then x; float64."""
    return _along_first(_along_first(plane.astype(np.float64), taps_y).T, taps_x).T


def _along_first(values: npt.NDArray[np.float64], taps: Taps) -> npt.NDArray[np.float64]:
    lower, weight, inside = taps
    upper = np.minimum(lower + 1, len(values) - 1)
    share = weight[:, None]
    result = values[lower] * (1.0 - share) + values[upper] * share
    result[~inside] = 0.0
    return result
