"""The two rules that look around an atom: the nearest within a radius, and gaussians.

Where numba is installed the loops run compiled (`prepare/around_kernels.py`), with equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops
from cryodata.prepare.points import BoxPoints
from cryodata.prepare.rules import LabelRule

PAIRS = 1 << 20
"pairs of atom and voxel that are looked at together where there is no numba"

SLACK = 1e-9
"voxels by which the search around an atom is wider than its reach: the distance decides, not the search"

_loops = partial(loops, "cryodata.prepare.around_kernels")

Bounds = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"first voxels of boxes that may be written, and those after the last, int64 (n, 3) each"


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """The voxels around each point, a range an axis."""

    first: npt.NDArray[np.int64]
    "first voxel, (m, 3)"

    squares: tuple[npt.NDArray[np.float64], ...]
    "for z, y, x: squared distance along it from the first voxel on, A^2, (m, width); infinite beyond the range"

    def chunks(self) -> list[slice]:
        """Points that can be looked at together."""
        step = max(1, PAIRS // max(1, int(np.prod([square.shape[1] for square in self.squares]))))
        return [slice(low, low + step) for low in range(0, len(self.first), step)]

    def within(self, rows: slice, most: float) -> tuple[npt.NDArray[np.float64], tuple[npt.NDArray[np.int64], ...]]:
        """Of some points, squared distances of at most `most`, and where they are: point, steps along z, y, x."""
        z, y, x = (square[rows] for square in self.squares)
        distance = z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :]
        found = np.nonzero(distance <= most)
        return distance[found], found


def _windows(
    rule: LabelRule, points: BoxPoints, shape: tuple[int, ...], size: npt.NDArray[np.float64], inside: Bounds | None
) -> _Windows:
    low, high = inside if inside is not None else (np.zeros((shape[0], 3)), np.tile(shape[-3:], (shape[0], 1)))
    place, size = points.place_zyx, size[points.sample]
    reach = rule.reach / size + SLACK
    first = np.maximum(np.ceil(place - reach), np.maximum(low, 0)[points.sample]).astype(np.int64)
    last = np.minimum(np.floor(place + reach), np.minimum(high, shape[-3:])[points.sample] - 1).astype(np.int64)
    width = np.max(last - first + 1, axis=0, initial=0)
    squares = []
    for axis in range(3):
        voxel = first[:, axis, None] + np.arange(width[axis])
        square = ((voxel - place[:, axis, None]) * size[:, axis, None]) ** 2
        squares.append(np.where(voxel <= last[:, axis, None], square, np.inf))
    return _Windows(first, tuple(squares))


def draw_spheres(
    rule: LabelRule,
    points: BoxPoints,
    out: Mapping[str, npt.NDArray[Any]],
    size: npt.NDArray[np.float64],
    inside: Bounds | None,
) -> None:
    """Each voxel the class of the nearest point within R. out: uint8 (n, nz, ny, nx) by label. size: A, (n, 3)."""
    if not out:
        return
    shape = next(iter(out.values())).shape
    windows = _windows(rule, points, shape, size, inside)
    compiled = _loops()
    if compiled is not None:
        place, rows = compiled.nearest(windows.first, *windows.squares, points.sample, shape, rule.size**2)
    else:
        place, rows = nearest_by_numpy(windows, points.sample, shape, rule.size**2)
    for name, target in out.items():
        target[...] = 0
        target.reshape(-1)[place] = points.values[name][rows]


def nearest_by_numpy(
    windows: _Windows, sample: npt.NDArray[np.int64], shape: tuple[int, ...], most: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Voxels, flat in (n, nz, ny, nx), with a point within the root of `most`, and the row of the nearest of them."""
    best, winner = np.full(int(np.prod(shape)), np.inf), np.full(int(np.prod(shape)), -1)
    slot = np.empty(len(best), dtype=np.int64)
    for rows in windows.chunks():
        distance, found = windows.within(rows, most)
        point = found[0] + rows.start
        place = _flat(windows, sample, shape, point, found[1:])
        order = np.argsort(-distance, kind="stable")  # the nearest last, of equals the strongest
        slot[place[order]] = order
        chosen = np.flatnonzero(slot[place] == np.arange(len(place)))
        chosen = chosen[distance[chosen] <= best[place[chosen]]]
        best[place[chosen]], winner[place[chosen]] = distance[chosen], point[chosen]
    hit = np.flatnonzero(winner >= 0)
    return hit, winner[hit]


def draw_gaussians(
    rule: LabelRule,
    points: BoxPoints,
    out: Mapping[str, npt.NDArray[Any]],
    size: npt.NDArray[np.float64],
    inside: Bounds | None,
) -> None:
    """For each class the highest gaussian. out: float32 (n, classes, nz, ny, nx) by label. size: A, (n, 3)."""
    for name, target in out.items():
        target[...] = 0
        count, classes = target.shape[:2]
        kept = np.flatnonzero((points.values[name] > 0) & (points.values[name] <= classes))
        mine = BoxPoints(points.place_zyx[kept], points.sample[kept], {})
        channel = mine.sample * classes + points.values[name][kept] - 1
        windows = _windows(rule, mine, target.shape, size, inside)
        # a product of one factor an axis: the compiled path and this one then multiply the same numbers
        factors = tuple(np.exp(square / (-2 * rule.size**2)) for square in windows.squares)
        flat = target.reshape(count * classes, *target.shape[2:])
        compiled = _loops()
        if compiled is not None:
            compiled.highest(flat, windows.first, *windows.squares, *factors, channel, rule.reach**2)
        else:
            highest_by_numpy(flat, windows, factors, channel, rule.reach**2)


def highest_by_numpy(
    flat: npt.NDArray[np.float32],
    windows: _Windows,
    factors: tuple[npt.NDArray[np.float64], ...],
    channel: npt.NDArray[np.int64],
    most: float,
) -> None:
    """Raise channels (c, nz, ny, nx) to the product of the factors of each of their points, where it is near enough."""
    for rows in windows.chunks():
        _, found = windows.within(rows, most)
        point = found[0] + rows.start
        value = factors[0][point, found[1]] * factors[1][point, found[2]] * factors[2][point, found[3]]
        place = _flat(windows, channel, flat.shape, point, found[1:])
        np.maximum.at(flat.reshape(-1), place, value.astype(np.float32))


def _flat(
    windows: _Windows,
    outer: npt.NDArray[np.int64],
    shape: tuple[int, ...],
    point: npt.NDArray[np.int64],
    steps: tuple[npt.NDArray[np.int64], ...],
) -> npt.NDArray[np.int64]:
    z, y, x = (windows.first[point, axis] + steps[axis] for axis in range(3))
    return np.asarray(((outer[point] * shape[-3] + z) * shape[-2] + y) * shape[-1] + x)
