"""Pairs of points that are near each other, by a grid of cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.errors import RejectedError

MOST = 1000
"points around each on average beyond which they are no molecule: within 4 A there are some 12 heavy atoms"

Rows = npt.NDArray[np.int64]


def near_rows(points: npt.NDArray[np.float64], wanted: Rows, reach: float) -> tuple[Rows, Rows]:
    """For each wanted point the others that are nearer than `reach`.

    points: float64 (n, 3), A. wanted: rows, int64 (k,). reach: A, above 0. Returns the first place of each wanted point
    in the second array, int64 (k + 1,), and the rows of what is near it, rising, int64 (m,). Memory goes with the
    number of pairs. Raises RejectedError `unreadable_model` if the points lie on top of each other.
    """
    low = points.min(axis=0, initial=np.inf)
    cell = np.floor((points - low) / reach).astype(np.int64) + 1
    size = cell.max(axis=0, initial=0) + 2  # an empty layer around, so that no neighbour wraps
    number = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    order = np.argsort(number, kind="stable")
    sorted_numbers = number[order]
    found: list[tuple[Rows, Rows]] = []
    for step in np.ndindex(3, 3, 3):
        dx, dy, dz = np.array(step) - 1
        target = number[wanted] + (dx * size[1] + dy) * size[2] + dz
        first = np.searchsorted(sorted_numbers, target, "left")
        count = np.searchsorted(sorted_numbers, target, "right") - first
        if count.sum() > MOST * max(1, len(wanted)):
            raise RejectedError(
                "unreadable_model", f"{len(points):,} atoms lie on top of each other, more than {MOST} in {reach:g} A"
            )
        mine = np.repeat(np.arange(len(wanted)), count)
        inner = np.arange(len(mine)) - np.repeat(np.cumsum(count) - count, count)
        other = order[first[mine] + inner]
        apart = points[other] - points[wanted[mine]]
        near = (np.square(apart).sum(axis=1) < reach * reach) & (other != wanted[mine])
        found.append((mine[near], other[near]))
    mine, other = (np.concatenate(part) for part in zip(*found, strict=True))
    by_mine = np.lexsort((other, mine))
    return np.searchsorted(mine[by_mine], np.arange(len(wanted) + 1)), other[by_mine]
