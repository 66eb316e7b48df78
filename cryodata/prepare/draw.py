"""Labels of a batch of boxes, written from points: positions first (shifted, rotated), then the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import IGNORE
from cryodata.prepare.around import Bounds, draw_gaussians, draw_spheres
from cryodata.prepare.points import CELL_START, BoxPoints
from cryodata.prepare.rules import LabelRule

OFFSET, OFFSET_MASK = "offset", "offset_mask"
"what the rule `offset` adds: A from voxel centre to atom, x, y, z; and 1 where there is an atom"


def draw(
    rule: LabelRule,
    groups: Sequence[BoxPoints],
    out: Mapping[str, npt.NDArray[Any]],
    voxel_size_zyx: npt.ArrayLike = 1.0,
    inside: Bounds | None = None,
    recipe: str = "floor",
) -> None:
    """Write the labels of a batch of boxes.

    groups: points by labels that the same atoms compete for, as `label_points` gives them. out: what is filled, by
    name: labels uint8 (n, nz, ny, nx), of a gaussian float32 (n, classes, nz, ny, nx), channel i for class i + 1;
    `offset` float32 (n, 3, nz, ny, nx) and `offset_mask` uint8 (n, nz, ny, nx), of the first label. Labels without an
    array in `out` are not drawn. voxel_size_zyx: A, one number, (3,) or (n, 3). inside: first voxels of the boxes that
    lie in their maps, and those after the last, int64 (n, 3) each; others stay 0 where a rule looks around an atom.
    recipe: `floor` or `nearest`, the rule of the stored labels.
    """
    if not out:
        return
    if not all(array.flags.c_contiguous for array in out.values()):
        raise ValueError("labels are written into arrays in C order")
    count = len(next(iter(out.values())))
    size = np.broadcast_to(np.asarray(voxel_size_zyx, dtype=np.float64), (count, 3))
    for number, points in enumerate(groups):
        mine = {name: out[name] for name in points.values if name in out}
        if rule.kind == "sphere":
            draw_spheres(rule, points, mine, size, inside)
        elif rule.kind == "gaussian":
            draw_gaussians(rule, points, mine, size, inside)
        else:
            draw_cells(rule.cell(recipe), points, mine)
            if rule.kind == "offset" and number == 0:
                draw_offsets(recipe, points, out, size)


def voxels_of(
    cell: str, points: BoxPoints, label: str, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Where a label of one voxel an atom is written in an array of a shape (n, nz, ny, nx): each place once, flat, and
    its value.
    """
    rows, place = _cells(cell, points, shape)
    # of several values for one place the last is the strongest
    last, index = np.unique(place[::-1], return_index=True)
    return last, points.values[label][rows][::-1][index]


def draw_cells(cell: str, points: BoxPoints, out: Mapping[str, npt.NDArray[Any]]) -> None:
    """Labels of one voxel an atom. cell: `floor` or `nearest`. out: uint8 (n, nz, ny, nx) by label."""
    for name, target in out.items():
        rows, place = _cells(cell, points, target.shape)
        target[...] = 0
        # of several values for one place NumPy leaves the last, the strongest
        target.reshape(-1)[place] = points.values[name][rows]


def draw_offsets(
    cell: str, points: BoxPoints, out: Mapping[str, npt.NDArray[Any]], size: npt.NDArray[np.float64]
) -> None:
    """`offset` and `offset_mask`, as far as `out` has them: from the voxels of the first label to their atoms.

    size: A, (n, 3).
    """
    values = next(iter(points.values.values()))
    if OFFSET_MASK in out:
        rows, place = _cells(cell, points, out[OFFSET_MASK].shape)
        out[OFFSET_MASK][...] = 0
        out[OFFSET_MASK].reshape(-1)[place] = (values[rows] > 0) & (values[rows] != IGNORE)
    if OFFSET in out:
        target = out[OFFSET]
        rows, place = _cells(cell, points, (target.shape[0], *target.shape[2:]))
        shift = points.place_zyx[rows] - np.floor(points.place_zyx[rows] - CELL_START[cell])
        shift = shift * size[points.sample[rows]] * ((values[rows] > 0) & (values[rows] != IGNORE))[:, None]
        target[...] = 0
        cells = int(np.prod(target.shape[2:]))
        first = place + points.sample[rows] * (2 * cells)  # place: sample * cells + cell
        for axis in range(3):
            target.reshape(-1)[first + axis * cells] = shift[:, 2 - axis]


def _cells(cell: str, points: BoxPoints, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], ...]:
    """Rows of the points with a voxel in their box, and that voxel, flat in (n, nz, ny, nx)."""
    z, y, x = np.floor(points.place_zyx.T - CELL_START[cell]).astype(np.int64)
    _, nz, ny, nx = shape
    rows = np.flatnonzero((z >= 0) & (z < nz) & (y >= 0) & (y < ny) & (x >= 0) & (x < nx))
    return rows, (((points.sample * nz + z) * ny + y) * nx + x)[rows]
