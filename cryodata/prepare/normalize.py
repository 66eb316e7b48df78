"""Bringing densities of all maps to one scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.errors import RejectedError

PERCENTILE = 95.0
"of the positive voxels (Cryo2StructData paper)"


def normalize_published(density: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Divide by the 95th percentile of the positive voxels and clip to [0, 1].

    density: float32 (nz, ny, nx); it is overwritten. Returns the same array and the percentile.
    Raises RejectedError `no_positive_density` if no voxel is above 0.
    """
    positive = density[density > 0]
    if not len(positive):
        raise RejectedError("no_positive_density", "no voxel of the map is above 0")
    divisor = percentile_in_place(positive, PERCENTILE)
    np.divide(density, np.float32(divisor), out=density)
    np.clip(density, 0.0, 1.0, out=density)
    return density, divisor


def percentile_in_place(values: npt.NDArray[np.float32], percent: float) -> float:
    """Percentile by linear interpolation, as `numpy.percentile` gives for float64.

    values: float32 (n,), reordered. numpy itself would place the index in float32 here, which is several voxels off
    for the maps of today (2^24 is where float32 stops counting).
    """
    place = percent / 100.0 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    values.partition((low, high))
    return float(values[low]) + (float(values[high]) - float(values[low])) * (place - low)
