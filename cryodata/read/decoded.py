"""A decoded volume: its density, and the points that its labels are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import ArraySpec
from cryodata.core.subgrids import Shape, cut_box
from cryodata.errors import DatasetError, UsageError
from cryodata.prepare.draw import OFFSET, OFFSET_MASK, draw
from cryodata.prepare.labels import VOXEL_RULES, WRITTEN, class_values, settle_all
from cryodata.prepare.points import BoxPoints, Columns, Grid, Points, label_points
from cryodata.prepare.rules import LabelRule
from cryodata.read.columns import ArrayColumn

SLAB = 16
"planes of a whole volume whose labels are drawn together, so that what is kept of the search stays small"

LabelVoxels = Mapping[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedVolume:
    """Density as stored, and what labels are written from by a rule."""

    density: npt.NDArray[Any]
    "(nz, ny, nx), in the type it is stored in"

    rule: LabelRule
    recipe: str
    "`floor` or `nearest`, the rule of the stored labels"

    grid: Grid
    points: tuple[Points, ...]
    "atoms by labels that the same of them compete for, for rotations and for rules that look around an atom"

    voxels: LabelVoxels
    "by label, where an atom has one voxel: voxels int32 (n, 3), sorted by z, and their values uint8 (n,); else none"

    @property
    def labels(self) -> LabelVoxels:
        """`voxels`, for readers that know no other labels. Raises UsageError for the rules that need more."""
        if self.rule.kind not in ("stored", *VOXEL_RULES):
            raise UsageError(f"labels='{self.rule}' is not for the keyed order; use stored, {', '.join(VOXEL_RULES)}")
        return self.voxels

    def cut(self, column: ArrayColumn, start_zyx: tuple[int, int, int], box: int) -> npt.NDArray[Any]:
        """One array of one sub-grid, (box, box, box) after the channels, in the type that the column declares."""
        if column.name in self.voxels:
            return self._scatter(column, np.asarray(start_zyx), (box, box, box))
        if not self._is_drawn(column):
            return cut_box(self.density, start_zyx, box).astype(column.dtype, copy=False)
        cube = np.empty(column.shape((box, box, box)), dtype=column.dtype)
        self._draw(column, start_zyx, cube)
        return cube

    def whole(self, column: ArrayColumn) -> npt.NDArray[Any]:
        """One array of the whole volume."""
        if column.name in self.voxels:
            return self._scatter(column, np.zeros(3, dtype=np.int64), self.density.shape)
        if not self._is_drawn(column):
            return self.density.astype(column.dtype)
        volume = np.empty(column.shape(self.density.shape), dtype=column.dtype)
        if column.channels:
            self._draw(column, (0, 0, 0), volume)
        else:
            for z in range(0, len(volume), SLAB):
                self._draw(column, (z, 0, 0), volume[z : z + SLAB])
        return volume

    def _is_drawn(self, column: ArrayColumn) -> bool:
        return column.role == "label" or (self.rule.kind == "offset" and column.name in (OFFSET, OFFSET_MASK))

    def _draw(self, column: ArrayColumn, start_zyx: tuple[int, int, int], out: npt.NDArray[Any]) -> None:
        """Draw a box of the shape of `out`."""
        start, shape = np.asarray(start_zyx), np.asarray(out.shape[-3:])
        size = np.asarray(self.grid.voxel_size_xyz, dtype=np.float64)[::-1]
        points = next((points for points in self.points if column.name in points.values), self.points[0])
        near = points.near(start, shape, self.rule.margin(float(size.min()), int(shape.max())))
        inside = np.maximum(0, -start)[None], (np.asarray(self.density.shape) - start)[None]
        groups = [BoxPoints.gather([(points, near, start)])]
        draw(self.rule, groups, {column.name: out[None]}, size, inside, self.recipe)

    def _scatter(
        self, column: ArrayColumn, start: npt.NDArray[np.integer[Any]], shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        voxel, values = self.voxels[column.name]
        first, last = np.searchsorted(voxel[:, 0], [start[0], start[0] + shape[0]])
        place = voxel[first:last] - start
        inside = np.all((place >= 0) & (place < np.asarray(shape)), axis=1)
        result = np.zeros(shape, dtype=column.dtype)
        result[tuple(place[inside].T)] = values[first:last][inside]
        return result


def decoded_volume(
    density: npt.NDArray[Any],
    labels: Sequence[ArraySpec],
    columns: Columns,
    row: Mapping[str, Any],
    rule: str,
    recipe: str,
) -> DecodedVolume:
    """Put density and atoms together.

    columns: of the atoms table, `xyz` (n, 3) and `voxel_zyx` (n, 3) among them. row: of the entries table. Raises
    DatasetError for a label point outside the volume.
    """
    parsed, shape = LabelRule.parse(rule), _shape(row)
    grid = Grid(shape, row["origin_xyz"], row["voxel_size_xyz"])
    values = {array.name: class_values(array, columns) for array in labels}
    points = label_points(labels, columns, values, grid, parsed, recipe)
    voxels: LabelVoxels = {}
    if parsed.by_voxel:
        voxels = _label_voxels(labels, columns, values, grid, parsed, row["entry_id"])
    return DecodedVolume(density, parsed, recipe, grid, points, voxels)


def _label_voxels(
    labels: Sequence[ArraySpec],
    columns: Columns,
    values: Mapping[str, npt.NDArray[np.uint8]],
    grid: Grid,
    rule: LabelRule,
    entry_id: str,
) -> LabelVoxels:
    voxel, states = columns["voxel_zyx"], {name: columns[name] for name in ("state", "state_ca")}
    if rule.kind in VOXEL_RULES:
        voxel = VOXEL_RULES[rule.kind](columns["xyz"], grid.origin_xyz, grid.voxel_size_xyz)
        states["state"], states["state_ca"] = settle_all(voxel, columns["atom"], grid.shape_zyx)
    result = {}
    for array in labels:
        rows = np.flatnonzero((states[array.state] == WRITTEN) & (values[array.name] > 0))
        if np.any((voxel[rows] < 0) | (voxel[rows] >= np.asarray(grid.shape_zyx))):
            raise DatasetError(f"entry {entry_id}: a label point claims a voxel outside {grid.shape_zyx}")
        rows = rows[np.argsort(voxel[rows, 0], kind="stable")]
        result[array.name] = (np.ascontiguousarray(voxel[rows]), values[array.name][rows])
    return result


def _shape(row: Mapping[str, Any]) -> Shape:
    nz, ny, nx = row["shape_zyx"]
    return nz, ny, nx
