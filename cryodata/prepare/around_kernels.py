"""The loops of `prepare/around.py` compiled by numba: the same sums in the same order, so the same bytes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Squares = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def nearest(
    first: Indices, z: Squares, y: Squares, x: Squares, sample: Indices, shape: tuple[int, ...], most: float
) -> tuple[Indices, Indices]:
    """As `nearest_by_numpy`."""
    count, nz, ny, nx = shape
    pairs = min(count * nz * ny * nx, len(first) * z.shape[1] * y.shape[1] * x.shape[1])
    place, row = np.empty(pairs, dtype=np.int64), np.empty(pairs, dtype=np.int64)
    found = _nearest(first, z, y, x, sample, (nz, ny, nx), most, place, row)
    return place[:found], row[:found]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest(
    first: Any, z: Any, y: Any, x: Any, sample: Any, shape: tuple[int, int, int], most: float, place: Any, row: Any
) -> int:
    nz, ny, nx = shape
    cells = nz * ny * nx
    best = np.full(cells, np.inf)
    winner = np.full(cells, -1, np.int32)
    found = 0
    for point in range(len(first)):
        for i in range(z.shape[1]):
            for j in range(y.shape[1]):
                plane = z[point, i] + y[point, j]
                if not plane <= most:
                    continue
                start = ((first[point, 0] + i) * ny + first[point, 1] + j) * nx + first[point, 2]
                for k in range(x.shape[1]):
                    distance = plane + x[point, k]
                    if distance <= most and distance <= best[start + k]:
                        best[start + k] = distance
                        winner[start + k] = point
        if point + 1 == len(first) or sample[point + 1] != sample[point]:
            for cell in range(cells):
                if winner[cell] >= 0:
                    place[found] = sample[point] * cells + cell
                    row[found] = winner[cell]
                    found += 1
                    best[cell] = np.inf
                    winner[cell] = -1
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def highest(
    flat: Any, first: Any, z: Any, y: Any, x: Any, by_z: Any, by_y: Any, by_x: Any, channel: Any, most: float
) -> None:
    """As `highest_by_numpy`."""
    for point in range(len(first)):
        box = flat[channel[point]]
        for i in range(z.shape[1]):
            for j in range(y.shape[1]):
                plane = z[point, i] + y[point, j]
                if not plane <= most:
                    continue
                factor = by_z[point, i] * by_y[point, j]
                row = box[first[point, 0] + i, first[point, 1] + j]
                for k in range(x.shape[1]):
                    if plane + x[point, k] <= most:
                        value = np.float32(factor * by_x[point, k])
                        if value > row[first[point, 2] + k]:
                            row[first[point, 2] + k] = value
