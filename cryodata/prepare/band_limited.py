"""Band-limited resampling: a windowed sinc, widened where the new grid is coarser so that nothing is aliased."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.volume import Volume
from cryodata.prepare.resample import EDGE_SLACK, SAME_SPACING, resampled_shape

LOBES = 3
"lobes of the sinc to either side (Lanczos 3); measured in benchmarks/recipes"

WEIGHT_STEP = 2.0**-20
"weights are multiples of it, so that the last bits of a processor's sine change no map"

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """For each new point of an axis, the old ones that it is a weighted mean of."""

    index: npt.NDArray[np.int64]
    "(new, k), within the axis"

    weight: npt.NDArray[np.float32]
    "(new, k), sums of 1; 0 throughout for points beyond the last old one"


def taps_of(count: int, new: int, voxel_size: float, spacing: float, lobes: int = LOBES) -> Taps:
    """Taps of an axis. Where the new spacing is the larger one the kernel is as much wider, so it also is the filter
    against aliasing; at the same spacing nothing changes."""
    if abs(voxel_size / spacing - 1.0) < SAME_SPACING:
        return Taps(np.arange(count)[:, None], np.ones((count, 1), dtype=np.float32))
    place = np.arange(new) * spacing / voxel_size
    width = max(1.0, spacing / voxel_size)
    reach = math.ceil(lobes * width)
    index = np.floor(place).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = (place[:, None] - index) / width
    weight = np.where(np.abs(distance) < lobes, np.sinc(distance) * np.sinc(distance / lobes), 0.0)
    weight = np.round(weight / weight.sum(axis=1, keepdims=True) / WEIGHT_STEP) * WEIGHT_STEP
    nearest = np.abs(distance).argmin(axis=1)
    weight[np.arange(new), nearest] += 1.0 - weight.sum(axis=1)  # exact: all are multiples of the step
    weight[place > count - 1 + EDGE_SLACK] = 0.0
    # beyond its ends the map goes on as it ends
    return Taps(np.clip(index, 0, count - 1), weight.astype(np.float32))


def resample_band_limited(volume: Volume, spacing: float = 1.0, lobes: int = LOBES) -> Volume:
    """A windowed sinc along each axis, at the points origin + i * spacing of `resample`.

    volume: float32 (nz, ny, nx). spacing: A. Returns float32; beyond the last grid point the value is exactly 0. Memory
    is that of the result and of some planes.
    """
    shape = resampled_shape(volume.shape_zyx, volume.voxel_size_xyz, spacing)
    if min(shape) < 1:
        raise ValueError(f"a volume of {volume.shape_zyx} voxels is smaller than one step of {spacing:g} A")
    along_z, along_y, along_x = (
        taps_of(count, new, float(size), spacing, lobes)
        for count, new, size in zip(volume.shape_zyx, shape, volume.voxel_size_xyz[::-1], strict=True)
    )
    result = np.zeros(shape, dtype=np.float32)
    planes: OrderedDict[int, Plane] = OrderedDict()
    for z in range(shape[0]):
        for index, weight in zip(along_z.index[z].tolist(), along_z.weight[z], strict=True):
            if weight == 0.0:
                continue
            if index not in planes:
                planes[index] = _along(_along(volume.data[index], 0, along_y), 1, along_x)
            result[z] += weight * planes[index]
        while planes and next(iter(planes)) < along_z.index[z, 0]:  # indices rise: it is not needed again
            planes.popitem(last=False)
    return Volume(result, np.full(3, spacing), volume.origin_xyz)


def _along(values: Plane, axis: int, taps: Taps) -> Plane:
    """A plane resampled along one axis."""
    shape = list(values.shape)
    shape[axis] = len(taps.index)
    result = np.zeros(shape, dtype=np.float32)
    for number in range(taps.index.shape[1]):
        weight = taps.weight[:, number]
        result += np.take(values, taps.index[:, number], axis=axis) * (weight[:, None] if axis == 0 else weight)
    return result
