"""Bringing densities of all maps to one scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cryodata.errors import RejectedError

PIECE = 1 << 18
"values"

PERCENTILE = 95.0
"of the positive voxels (Cryo2StructData paper)"

SAMPLE, MARGIN = 1 << 18, 4.0
"values that tell where a percentile lies, and by how many standard deviations of a rank it may be off"


def normalize_published(density: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Divide by the 95th percentile of the positive voxels and clip to [0, 1].

    density: float32 (nz, ny, nx); it is overwritten. Returns the same array and the percentile.
    Raises RejectedError `no_positive_density` if no voxel is above 0.
    """
    count = sum(int(np.count_nonzero(piece > 0)) for piece in pieces(density))
    if not count:
        raise RejectedError("no_positive_density", "no voxel of the map is above 0")
    divisor = percentile_above_0(density, count, PERCENTILE)
    return _scaled(density, divisor), divisor


def normalize_released(density: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Divide by the 95th percentile of all voxels but exact zeros, negative ones too, and clip to [0, 1].

    What the released scripts do. density: float32 (nz, ny, nx); it is overwritten. Returns the same array and the
    percentile. Raises RejectedError `no_positive_percentile` where that is not above 0: the scripts turn such a map
    inside out.
    """
    values = density[density != 0]
    divisor = percentile_of(values, PERCENTILE) if len(values) else 0.0
    if not np.float32(divisor) > 0:
        found = f"the {PERCENTILE:g}th percentile of the non-zero voxels is {divisor:g}"
        raise RejectedError("no_positive_percentile", f"{found}; expected a number above 0")
    return _scaled(density, divisor), divisor


def _scaled(density: npt.NDArray[np.float32], divisor: float) -> npt.NDArray[np.float32]:
    """The same array, divided and clipped to [0, 1]."""
    for piece in pieces(density):
        np.divide(piece, np.float32(divisor), out=piece)
        np.clip(piece, 0.0, 1.0, out=piece)
    return density


def percentile_of(values: npt.NDArray[np.float32], percent: float) -> float:
    """Percentile by linear interpolation, as `numpy.percentile` gives for float64. values: (n,), n > 0; reordered."""
    place = percent / 100.0 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    values.partition((low, high))
    return float(values[low]) + (float(values[high]) - float(values[low])) * (place - low)


def pieces(values: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    """All values, so many at a time that what is computed of them stays in the caches; what is written into them is
    written into the array, planes of it where its values do not lie in a row."""
    if values.ndim > 1 and not values.flags.c_contiguous:
        yield from values
        return
    flat = values.reshape(-1)
    for first in range(0, len(flat), PIECE):
        yield flat[first : first + PIECE]


def percentile_above_0(values: npt.NDArray[np.float32], count: int, percent: float) -> float:
    """Percentile of the values above 0 by linear interpolation, as `numpy.percentile` gives for float64.

    values: float32, any shape; count: how many are above 0, at least one. numpy itself would place the index in
    float32 here, which is several voxels off for the maps of today (2^24 is where float32 stops counting). Exact: a
    sample only tells between which values to look, so that few are sorted.
    """
    place = percent / 100.0 * (count - 1)
    low = int(place)
    high = min(low + 1, count - 1)
    flat = values.reshape(-1)
    sample = flat[:: max(1, len(flat) // SAMPLE)]
    sample = np.sort(sample[sample > 0])
    margin = int(MARGIN * np.sqrt(len(sample))) + 1
    at = int(place / count * len(sample))
    floor = sample[at - margin] if at - margin >= 0 else np.float32(0)
    ceiling = sample[at + margin] if at + margin < len(sample) else np.float32(np.inf)
    found, below = [], count
    for piece in pieces(flat):
        above = piece > floor
        below -= int(np.count_nonzero(above))
        found.append(piece[above & (piece <= ceiling)])
    between = np.concatenate(found)
    if not (below <= low and high < below + len(between)):  # an uneven sample
        between, below = flat[flat > 0], 0
    between.partition((low - below, high - below))
    first, second = float(between[low - below]), float(between[high - below])
    return first + (second - first) * (place - low)
