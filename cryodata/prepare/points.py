"""The atoms of a volume as points that labels can be written from in any box, shifted and rotated without a rounding.

Two things make the result exact. Places are multiples of 2^-36 voxel, rounded down: whole voxels can be added, places
can be subtracted from the size of a box and halves added, all without an error, so an atom is on the same side of a
voxel's face in every box. And points come weakest first: where two claim a voxel, the later one gets it, so writing in
order settles every collision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import Schema
from cryodata.core.subgrids import Shape, SubgridGrid
from cryodata.prepare.labels import OUTSIDE, UNLABELLED, VOXEL_RULES, Columns, carried, ranks
from cryodata.prepare.rules import LabelRule

STEP = 2.0**-36
"what places are multiples of, voxels: 1.5e-11 of one"

FARTHEST = 2.0**16
"places below it are exact in float64, sums of two as well; no grid is as large, and atoms beyond are left out"

CELL_START = {"floor": 0.0, "nearest": -0.5}
"where the cell of a voxel begins, from its centre: an atom in it has this voxel"


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Atoms that labels are written from, the weakest first."""

    place_zyx: npt.NDArray[np.float64]
    "fractional index, multiples of STEP, float64 (n, 3); 0 is the centre of voxel 0 of the volume"

    values: Mapping[str, npt.NDArray[np.uint8]]
    "class by label, 0 where the atom has none, uint8 (n,)"

    def near(self, start_zyx: npt.ArrayLike, shape_zyx: npt.ArrayLike, margin: int) -> npt.NDArray[np.int64]:
        """Rows of the points in a box or up to `margin` voxels around it, weakest first; int64 (k,)."""
        low = np.asarray(start_zyx) - margin
        return np.flatnonzero(
            np.all((self.place_zyx >= low) & (self.place_zyx < low + np.asarray(shape_zyx) + 2 * margin), axis=1)
        )

    def by_subgrid(self, grid: SubgridGrid, margin: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """`near` of every box of a grid: first place of each in the second array, int64 (boxes + 1,), and the rows."""
        voxel = np.floor(self.place_zyx).astype(np.int32)
        return grid.containing(voxel, -grid.margin - margin, grid.box + 2 * margin)


@dataclass(frozen=True, slots=True, eq=False)
class BoxPoints:
    """The points of a batch of boxes, box after box, the weakest of a box first."""

    place_zyx: npt.NDArray[np.float64]
    "fractional index in the box, float64 (m, 3)"

    sample: npt.NDArray[np.int64]
    "box of each point, int64 (m,), never falling"

    values: Mapping[str, npt.NDArray[np.uint8]]
    "class by label, 0 where the atom has none, uint8 (m,)"

    @classmethod
    def gather(cls, parts: Sequence[tuple[Points, npt.NDArray[np.int64], npt.ArrayLike]]) -> BoxPoints:
        """Of points of volumes, the rows for each box, and the first voxel z, y, x of each box."""
        sample = np.repeat(np.arange(len(parts)), [len(rows) for _, rows, _ in parts])
        places = [points.place_zyx[rows] - np.asarray(start) for points, rows, start in parts]
        names = parts[0][0].values if parts else ()
        values = {name: np.concatenate([points.values[name][rows] for points, rows, _ in parts]) for name in names}
        return cls(np.concatenate([np.zeros((0, 3)), *places]), sample, values)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the voxels of a volume are."""

    shape_zyx: Shape
    origin_xyz: npt.ArrayLike
    "centre of voxel 0, A"
    voxel_size_xyz: npt.ArrayLike


def label_points(
    schema: Schema,
    columns: Columns,
    values: Mapping[str, npt.NDArray[np.uint8]],
    grid: Grid,
    rule: LabelRule,
) -> tuple[Points, ...]:
    """The points of a volume for a rule, labels that the same atoms compete for together, in the order of the schema.

    columns: of the atoms table by name, `xyz` float64 (n, 3) and `voxel_zyx` int32 (n, 3) among them. values:
    `class_values` by label. By voxel, all atoms that labels take compete (C-alphas among themselves where it says so),
    atoms outside the grid left out; else the atoms that carry the label, wherever they are.
    """
    place = np.asarray(columns["xyz"], dtype=np.float64) - np.asarray(grid.origin_xyz, dtype=np.float64)
    place = snapped((place / np.asarray(grid.voxel_size_xyz, dtype=np.float64))[:, ::-1])
    usable = np.all(np.abs(place) < FARTHEST, axis=1)  # what is not finite is not
    if rule.by_voxel:
        voxel = _voxels(columns, grid, rule)
        place = within_cells(place, voxel, rule.cell(schema.voxel_rule))
        usable &= np.all((voxel >= 0) & (voxel < np.asarray(grid.shape_zyx)), axis=1)
    order = _weakest_first(columns, schema.collisions)
    rows: dict[object, npt.NDArray[np.int64]] = {}
    groups: dict[object, dict[str, npt.NDArray[np.uint8]]] = {}
    for array in schema.labels:
        by_state = rule.by_voxel or array.state == "state_ca"
        who = array.state if by_state else (array.atoms, array.kinds, array.parts)
        if who not in rows:
            mask = columns[array.state] != UNLABELLED if by_state else carried(array, columns)
            rows[who] = order[(usable & mask)[order]]
        groups.setdefault(who, {})[array.name] = values[array.name][rows[who]]
    return tuple(Points(place[rows[who]], classes) for who, classes in groups.items())


def snapped(place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Places rounded down to multiples of STEP: none crosses a whole number, nor a half."""
    return np.asarray(np.floor(place / STEP) * STEP)


def within_cells(
    place_zyx: npt.NDArray[np.float64], voxel_zyx: npt.NDArray[np.integer[Any]], cell: str
) -> npt.NDArray[np.float64]:
    """Places moved, no farther than needed, into the cells of their voxels.

    At 1 A a voxel the published formula is `floor` of the index, and nothing moves. At other sizes it also moves atoms
    between voxels; the moved place then stands for the atom in rotated boxes too.
    """
    first = voxel_zyx + CELL_START[cell]
    return np.clip(place_zyx, first, first + (1.0 - STEP))


def _voxels(columns: Columns, grid: Grid, rule: LabelRule) -> npt.NDArray[np.int32]:
    if rule.kind in VOXEL_RULES:
        return VOXEL_RULES[rule.kind](columns["xyz"], grid.origin_xyz, grid.voxel_size_xyz)
    voxel = np.asarray(columns["voxel_zyx"], dtype=np.int32)
    return np.where((columns["state"] == OUTSIDE)[:, None], -1, voxel).astype(np.int32)


def _weakest_first(columns: Columns, collisions: str) -> npt.NDArray[np.int64]:
    """Rows, those that lose a voxel before those that win it: by rank, and the first or the last of equals wins."""
    rank, row = ranks(columns, collisions), np.arange(len(columns["atom"]))
    return np.lexsort((-row if collisions == "last" else row, rank))[::-1]
