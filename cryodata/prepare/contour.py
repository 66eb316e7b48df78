"""Normalisation by what lies inside and outside the contour of a map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.errors import RejectedError
from cryodata.prepare.normalize import percentile_of, pieces

CONTOUR_SD = 3.0
"standard deviations above the mean: the contour where nobody recommends one"

TOP = 99.9
"percentile inside the contour that becomes 1"

FLOOR_SD = 0.5
"standard deviations of the voxels outside, above their mean, that become 0; measured in benchmarks/recipes"


@dataclass(frozen=True, slots=True)
class Scale:
    """What becomes 0 and what becomes 1, in units of the map."""

    low: float
    high: float
    contour: float
    source: str
    "where the contour comes from: entry or map"


def normalize_refined(density: npt.NDArray[np.float32], contour: float | None) -> tuple[npt.NDArray[np.float32], Scale]:
    """(d - m) / (q - m), clipped to [0, 1]: m half a standard deviation above the mean of the voxels below the contour,
    q the 99.9th percentile of the others.

    density: float32 (nz, ny, nx); it is overwritten. contour: recommended level in units of the map; without one, or
    with one that has no voxel on one of its sides, mean + 3 sd. Raises RejectedError `no_contrast` for a map without
    any.
    """
    scale = None
    if contour is not None:
        scale = _scale(density, contour, "entry")
    if scale is None:
        mean, sd = _moments(density)
        scale = _scale(density, mean + CONTOUR_SD * sd, "map")
    if scale is None:
        raise RejectedError("no_contrast", "no voxel of the map stands out: none is 3 sd above the mean")
    np.subtract(density, np.float32(scale.low), out=density)
    np.divide(density, np.float32(scale.high - scale.low), out=density)
    np.clip(density, 0.0, 1.0, out=density)
    return density, scale


def _scale(density: npt.NDArray[np.float32], contour: float, source: str) -> Scale | None:
    """Both ends; None where nothing is inside, nothing outside, or no room between the ends."""
    values = density[density >= np.float32(contour)]
    if not 0 < len(values) < density.size:
        return None
    mean, sd = _moments(density, contour)
    low, high = mean + FLOOR_SD * sd, percentile_of(values, TOP)
    return Scale(low, high, contour, source) if 0 < np.float32(high - low) < np.inf else None


def _moments(density: npt.NDArray[np.float32], below: float = np.inf) -> tuple[float, float]:
    """Mean and standard deviation in float64 of the voxels below a level, piece by piece."""
    level = np.float32(below)
    sums = [(len(part), part.sum(dtype=np.float64)) for part in _parts(density, level)]
    count = sum(number for number, _ in sums)
    mean = float(sum(total for _, total in sums)) / count
    square = sum(float(np.square(part - mean).sum()) for part in _parts(density, level)) / count
    return mean, float(np.sqrt(square))


def _parts(density: npt.NDArray[np.float32], level: np.float32) -> Iterator[npt.NDArray[np.float64]]:
    for piece in pieces(density):
        yield piece[piece < level].astype(np.float64)
