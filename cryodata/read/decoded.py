"""A decoded volume: its density, and the points that its labels are written from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import ArraySpec, Schema
from cryodata.core.subgrids import Shape, cut_box
from cryodata.core.volume import LabelVoxels
from cryodata.errors import DatasetError
from cryodata.formats.row_groups import LABELLING
from cryodata.prepare.draw import OFFSET, OFFSET_MASK, draw
from cryodata.prepare.labels import VOXEL_RULES, WRITTEN, Columns, class_values, settle_all, voxel_columns
from cryodata.prepare.points import BoxPoints, Grid, Points, label_points
from cryodata.prepare.rules import LabelRule
from cryodata.read.columns import ArrayColumn

SLAB = 16
"planes of a whole volume whose labels are drawn together, so that what is kept of the search stays small"


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLabels:
    """What the labels of a volume are written from by a rule."""

    rule: LabelRule
    recipe: str
    "`floor` or `nearest`, the rule of the stored labels"

    grid: Grid
    voxels: Mapping[str, LabelVoxels]
    "by label, sorted by z, where an atom has one voxel; else none"

    points: tuple[Points, ...]
    "atoms by labels that the same of them compete for; none where `voxels` say all"

    @property
    def drawn(self) -> bool:
        """Whether more than `voxels` is asked for."""
        return looks_around(self.rule)

    @property
    def voxel_size_zyx(self) -> npt.NDArray[np.float64]:
        """A, (3,)."""
        return np.asarray(self.grid.voxel_size_xyz, dtype=np.float64)[::-1]

    def margin(self, box: int, turned: bool = False) -> int:
        """Voxels around a box within which atoms count; turned: after any rotation."""
        return self.rule.margin(float(self.voxel_size_zyx.min()), box, turned)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedVolume:
    """Density as stored, and what labels are written from by a rule."""

    density: npt.NDArray[Any]
    "(nz, ny, nx), in the type it is stored in"

    labels: VolumeLabels

    def cut(self, column: ArrayColumn, start_zyx: tuple[int, int, int], box: int) -> npt.NDArray[Any]:
        """One array of one sub-grid, (box, box, box) after the channels, in the type that the column declares."""
        if column.name in self.labels.voxels:
            return self._scatter(column, np.asarray(start_zyx), (box, box, box))
        if not self._is_drawn(column):
            return cut_box(self.density, start_zyx, box).astype(column.dtype, copy=False)
        cube = np.empty(column.shape((box, box, box)), dtype=column.dtype)
        self._draw(column, start_zyx, cube)
        return cube

    def whole(self, column: ArrayColumn) -> npt.NDArray[Any]:
        """One array of the whole volume."""
        if column.name in self.labels.voxels:
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
        return column.role == "label" or (self.labels.rule.kind == "offset" and column.name in (OFFSET, OFFSET_MASK))

    def _draw(self, column: ArrayColumn, start_zyx: tuple[int, int, int], out: npt.NDArray[Any]) -> None:
        """Draw a box of the shape of `out`."""
        start, shape = np.asarray(start_zyx), np.asarray(out.shape[-3:])
        labels = self.labels
        points = next((points for points in labels.points if column.name in points.values), labels.points[0])
        near = points.near(start, shape, labels.margin(int(shape.max())))
        inside = np.maximum(0, -start)[None], (np.asarray(self.density.shape) - start)[None]
        groups = [BoxPoints.gather([(points, near, start)])]
        draw(labels.rule, groups, {column.name: out[None]}, labels.voxel_size_zyx, inside, labels.recipe)

    def _scatter(
        self, column: ArrayColumn, start: npt.NDArray[np.integer[Any]], shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        voxel, values = self.labels.voxels[column.name]
        first, last = np.searchsorted(voxel[:, 0], [start[0], start[0] + shape[0]])
        place = voxel[first:last] - start
        inside = np.all((place >= 0) & (place < np.asarray(shape)), axis=1)
        result = np.zeros(shape, dtype=column.dtype)
        result[tuple(place[inside].T)] = values[first:last][inside]
        return result


def looks_around(rule: LabelRule) -> bool:
    """Whether a rule writes more than one voxel an atom."""
    return not rule.by_voxel or rule.kind == "offset"


@dataclass(frozen=True, slots=True)
class LabelsAsked:
    """Which labels of a volume are to be written, and how."""

    schema: Schema
    rule: LabelRule
    names: frozenset[str] | None = None
    "of the labels; None: all. Those that are drawn from points come all together"

    rotated: bool = False
    "points are needed whatever the rule"

    @property
    def points(self) -> bool:
        """Whether more is needed than the voxels of atoms."""
        return self.rotated or looks_around(self.rule)

    @property
    def labels(self) -> tuple[ArraySpec, ...]:
        """The labels."""
        every = self.names is None or self.points
        return tuple(array for array in self.schema.labels if every or array.name in (self.names or ()))

    @property
    def columns(self) -> Collection[str]:
        """Columns of the atoms table that they are written from."""
        return voxel_columns(self.labels) if self.rule.kind == "stored" and not self.points else LABELLING


def volume_labels(asked: LabelsAsked, columns: Columns, row: Mapping[str, Any]) -> VolumeLabels:
    """Labels of a volume from its atoms.

    columns: of the atoms table, (n,) or (n, 3) each; atoms that no label takes may be left out. row: of the entries
    table. Raises DatasetError for a label point outside the volume.
    """
    grid = Grid(_shape(row), row["origin_xyz"], row["voxel_size_xyz"])
    values = {array.name: class_values(array, columns) for array in asked.labels}
    voxels: Mapping[str, LabelVoxels] = {}
    if asked.rule.by_voxel:
        voxels = _label_voxels(asked, columns, values, grid, row["entry_id"])
    points = label_points(asked.schema, columns, values, grid, asked.rule) if asked.points else ()
    return VolumeLabels(asked.rule, asked.schema.voxel_rule, grid, voxels, points)


def _label_voxels(
    asked: LabelsAsked,
    columns: Columns,
    values: Mapping[str, npt.NDArray[np.uint8]],
    grid: Grid,
    entry_id: str,
) -> dict[str, LabelVoxels]:
    voxel, states = columns["voxel_zyx"], {name: columns[name] for name in ("state", "state_ca")}
    if asked.rule.kind in VOXEL_RULES:
        voxel = VOXEL_RULES[asked.rule.kind](columns["xyz"], grid.origin_xyz, grid.voxel_size_xyz)
        states = settle_all(voxel, columns, grid.shape_zyx, asked.schema.collisions)
    result = {}
    for array in asked.labels:
        rows = np.flatnonzero((states[array.state] == WRITTEN) & (values[array.name] > 0))
        taken = voxel[rows]
        if len(rows) and (taken.min() < 0 or np.any(taken.max(axis=0) >= grid.shape_zyx)):
            raise DatasetError(f"entry {entry_id}: a label point claims a voxel outside {grid.shape_zyx}")
        plane = taken[:, 0]
        # the few values that 16 bits hold are sorted without comparing them
        order = np.argsort(plane.astype(np.uint16) if grid.shape_zyx[0] <= 1 << 16 else plane, kind="stable")
        result[array.name] = (taken[order], values[array.name][rows[order]])
    return result


def _shape(row: Mapping[str, Any]) -> Shape:
    nz, ny, nx = row["shape_zyx"]
    return nz, ny, nx
