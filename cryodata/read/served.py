"""What a stream serves of a block, computed once for all of its sub-grids: a batch is a few slices of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.order import Block
from cryodata.core.rotations import AXES, SIGNS, rotation_numbers, uniform_rotations
from cryodata.core.subgrids import SubgridGrid
from cryodata.prepare.points import Points
from cryodata.read.decoded import VolumeLabels
from cryodata.read.frame import frame_zyx
from cryodata.read.kernels import Numbers
from cryodata.read.sources import SubgridSource


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Voxels that a label fills, box by box."""

    first: Numbers
    "first point of each box, (n,)"

    last: Numbers
    "the one after its last, (n,)"

    place: Numbers
    "place in the box, flat, (m,)"

    values: npt.NDArray[np.uint8]
    "(m,)"


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Atoms in and around the boxes that labels are drawn from, box by box, the weakest first."""

    first: Numbers
    last: Numbers
    "bounds of each box in `rows`, (n,)"

    rows: Numbers
    "of the atoms, (m,)"

    place_zyx: npt.NDArray[np.float64]
    "fractional index of each atom in its volume, (atoms, 3)"

    values: Mapping[str, npt.NDArray[np.uint8]]
    "class of each atom by label, (atoms,)"


@dataclass(frozen=True, slots=True, eq=False)
class PoolVolume:
    """A volume of a block that is decoded."""

    voxels: npt.NDArray[Any]
    "its slot: the volume in a frame of zeros, shape `frame_zyx`; without density, of no use"

    begin: int
    "where that begins in the voxels of all slots"

    grid: SubgridGrid
    labels: VolumeLabels | None = None
    "of the volumes of a block together, once all are decoded"


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Sub-grids of a block in the order of the epoch, ready to be cut."""

    row: Numbers
    "row of the entries table, (n,)"

    start_zyx: npt.NDArray[np.int32]
    "first voxel of the box in its volume, (n, 3)"

    first: Numbers
    "where the box, rotated, begins in the voxels of the slots, (n,)"

    strides: Numbers
    "how far its next z, y and x lie there, (n, 3)"

    volumes: Sequence[PoolVolume]
    volume: Numbers
    "which of `volumes`, (n,)"

    turn: npt.NDArray[Any] | None
    "number of one of the 24 rotations int64 (n,), or any rotations float64 (n, 3, 3); None for none"

    probability: npt.NDArray[np.float64] | None
    "expected number of draws of each, (n,), where not every sub-grid comes once"

    written: Mapping[str, Written]
    "labels of one voxel an atom, where nothing is rotated"

    near: Sequence[Near]
    "what the others are drawn from"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of what is served, and where it goes."""

    arrays: Mapping[str, Any]
    "of a batch, (n, ...) each"

    there: slice
    "which of its samples"

    served: Served
    here: slice
    "which of what is served"


@dataclass(frozen=True, slots=True)
class Turning:
    """How samples are rotated: by what, and what decides."""

    rotate: bool | str
    seed: int
    epoch: int
    stream: int

    def of(self, position: Numbers) -> npt.NDArray[Any] | None:
        """Rotations of the samples at positions of the stream."""
        if not self.rotate:
            return None
        choose = uniform_rotations if self.rotate == "so3" else rotation_numbers
        return choose(position, self.seed, self.epoch, self.stream)


def serve(
    block: Block,
    volumes: Sequence[PoolVolume],
    source: SubgridSource,
    turning: Turning,
    begin: int,
    probability: npt.NDArray[np.float64] | None,
) -> Served:
    """Make a block ready. begin: position of its first sub-grid in the stream."""
    count = len(block.volume)
    first, which = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    strides, start = np.zeros((count, 3), dtype=np.int64), np.zeros((count, 3), dtype=np.int32)
    turn = turning.of(np.arange(begin, begin + count))
    drawn = turn is not None or any(volume.labels and volume.labels.drawn for volume in volumes)
    written: dict[str, list[tuple[Numbers, Written]]] = {}
    near: list[list[tuple[Numbers, Near]]] = []
    for place, (number, volume) in enumerate(zip(block.volumes.tolist(), volumes, strict=True)):
        grid, mine = volume.grid, np.flatnonzero(block.volume == number)
        box = source.places(number, block.place[mine])
        which[mine], start[mine] = place, grid.starts_zyx()[box]
        _, ny, nx = frame_zyx(grid)
        strides[mine] = (ny * nx, nx, 1)
        first[mine] = volume.begin + ((start[mine] + grid.margin) * strides[mine]).sum(axis=1)
        if volume.labels is None:
            continue
        if drawn:
            margin = volume.labels.margin(grid.box, turned=turning.rotate == "so3")
            near.append([(mine, near_of(points, grid, box, margin)) for points in volume.labels.points])
        else:
            for name, (voxel, values) in volume.labels.voxels.items():
                written.setdefault(name, []).append((mine, written_of(voxel, values, grid, box)))
    if turning.rotate is True and turn is not None:
        axes, signs = AXES[turn], SIGNS[turn]
        strides = np.take_along_axis(strides, axes, axis=1)
        first = first + np.where(signs < 0, (source.box - 1) * strides, 0).sum(axis=1)
        strides = signs * strides
    return Served(
        source.volumes[block.volume].astype(np.int64), start, first, strides, volumes, which, turn, probability,
        {name: _joined_written(parts, count) for name, parts in written.items()},
        [_joined_near(parts, count) for parts in zip(*near, strict=True)],
    )  # fmt: skip


def written_of(voxel: npt.NDArray[np.int32], values: npt.NDArray[np.uint8], grid: SubgridGrid, box: Numbers) -> Written:
    """The voxels of a label that fall into boxes, given by number (n,); one may lie in several."""
    ends, rows = grid.containing(voxel, -grid.margin, grid.box)
    steps = np.array([grid.box**2, grid.box, 1])
    # flat: where the voxel is, less where its box begins
    place = (voxel @ steps)[rows] - np.repeat(grid.starts_zyx() @ steps, np.diff(ends))
    return Written(ends[box], ends[box + 1], place, values[rows])


def near_of(points: Points, grid: SubgridGrid, box: Numbers, margin: int) -> Near:
    """The atoms in boxes, given by number (n,), and up to `margin` voxels around them."""
    ends, rows = points.by_subgrid(grid, margin)
    return Near(ends[box], ends[box + 1], rows, points.place_zyx, points.values)


def _joined_written(parts: Sequence[tuple[Numbers, Written]], count: int) -> Written:
    first, last = _joined_bounds([(mine, part.first, part.last, len(part.place)) for mine, part in parts], count)
    return Written(
        first, last, np.concatenate([p.place for _, p in parts]), np.concatenate([p.values for _, p in parts])
    )


def _joined_near(parts: Sequence[tuple[Numbers, Near]], count: int) -> Near:
    first, last = _joined_bounds([(mine, part.first, part.last, len(part.rows)) for mine, part in parts], count)
    before = np.cumsum([0, *(len(part.place_zyx) for _, part in parts)])
    rows = np.concatenate([part.rows + shift for (_, part), shift in zip(parts, before, strict=False)])
    places = np.concatenate([part.place_zyx for _, part in parts])
    names = parts[0][1].values
    return Near(first, last, rows, places, {n: np.concatenate([part.values[n] for _, part in parts]) for n in names})


def _joined_bounds(parts: Sequence[tuple[Numbers, Numbers, Numbers, int]], count: int) -> tuple[Numbers, Numbers]:
    """Bounds of all that is served, in the concatenation of what the volumes bring."""
    first, last, before = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), 0
    for mine, begin, end, length in parts:
        first[mine], last[mine] = begin + before, end + before
        before += length
    return first, last
