"""From what is served to the arrays of a batch: boxes are cut, rotated, and their labels written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.rotations import AXES, ROTATIONS, rotate_bounds, rotate_points, sample_trilinear, turn_points
from cryodata.prepare.draw import draw
from cryodata.prepare.points import BoxPoints
from cryodata.read import kernels
from cryodata.read.served import Near, Part, Served

START, PROBABILITY, ROTATION = "start_zyx", "probability", "rotation"
"columns that are arrays but no voxels; the last two where a stream is balanced or rotated"

DRAWN_VOXELS, DRAWN_POINTS = 1 << 18, 1 << 14
"labels are drawn for as many boxes at a time as have so many voxels and points; for one at least"

Arrays = Mapping[str, npt.NDArray[Any]]


def fill(parts: Sequence[Part], voxels: npt.NDArray[Any], density: frozenset[str]) -> None:
    """Write some of what is served into the arrays of batches.

    voxels: of all slots. density: names of the arrays that are cut; the others are labels.
    """
    for part in parts:
        arrays = {name: array[part.there] for name, array in part.arrays.items()}
        _fill(arrays, part.served, part.here, voxels, density)


def _fill(arrays: Arrays, served: Served, here: slice, voxels: npt.NDArray[Any], density: frozenset[str]) -> None:
    arrays[START][...] = served.start_zyx[here]
    if served.probability is not None:
        arrays[PROBABILITY][...] = served.probability[here]
    if served.turn is not None:
        turn = served.turn[here]
        arrays[ROTATION][...] = ROTATIONS[turn] if turn.ndim == 1 else turn
    for name in density & arrays.keys():
        if served.turn is not None and served.turn.ndim > 1:
            _turn(arrays[name], served, here)
        else:
            kernels.cut(arrays[name], voxels, served.first[here], served.strides[here])
    for name, written in served.written.items():
        if name in arrays:
            kernels.scatter(arrays[name], written.first[here], written.last[here], written.place, written.values)
    if served.near:
        labels = arrays.keys() - density - {START, PROBABILITY, ROTATION}
        draw_labels({name: arrays[name] for name in labels}, served, here)


def _turn(out: npt.NDArray[Any], served: Served, here: slice) -> None:
    """Density by any rotation, interpolated between voxels."""
    box = out.shape[-1]
    assert served.turn is not None
    starts, turns, which = served.start_zyx[here], served.turn[here], served.volume[here].tolist()
    for cube, start, turn, place in zip(out, starts, turns, which, strict=True):
        volume = served.volumes[place]
        # the frame holds zeros, and so does everything beyond it
        cube[...] = sample_trilinear(volume.voxels, start + volume.grid.margin + (box - 1) / 2, turn, box)


def draw_labels(out: Arrays, served: Served, here: slice) -> None:
    """Labels from atoms: rotated first, then the rule. out: label columns of some of what is served."""
    box = next(iter(out.values())).shape[-1]
    for part in _parts(served, here, box):
        _draw({n: array[part.start - here.start : part.stop - here.start] for n, array in out.items()}, served, part)


def _parts(served: Served, here: slice, box: int) -> Iterator[slice]:
    """Boxes whose labels are drawn together, so that the scratch of it stays small."""
    points = np.sum([near.last[here] - near.first[here] for near in served.near], axis=0)
    done, first = 0, here.start
    for place, count in enumerate(points.tolist(), here.start):
        if place > first and (done + count > DRAWN_POINTS or (place + 1 - first) * box**3 > DRAWN_VOXELS):
            yield slice(first, place)
            done, first = 0, place
        done += count
    yield slice(first, here.stop)


def _draw(out: Arrays, served: Served, here: slice) -> None:
    box = next(iter(out.values())).shape[-1]
    volumes, which = served.volumes, served.volume[here]
    labels = [volume.labels for volume in volumes if volume.labels is not None]
    start = served.start_zyx[here].astype(np.int64)
    shapes = np.array([volume.grid.shape_zyx for volume in volumes])[which]
    sizes = np.array([label.voxel_size_zyx for label in labels])[which]
    inside: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None
    inside = np.maximum(0, -start), np.minimum(box, shapes - start)
    if served.turn is not None:
        turn = served.turn[here]
        sizes = np.take_along_axis(sizes, AXES[turn], axis=1) if turn.ndim == 1 else sizes
        inside = rotate_bounds(*inside, turn, box) if turn.ndim == 1 else None
    draw(labels[0].rule, boxes_near(served, here, box), out, sizes, inside, labels[0].recipe)


def boxes_near(served: Served, here: slice, box: int) -> list[BoxPoints]:
    """The atoms in and around some boxes, rotated with them; by labels that the same of them compete for."""
    start = served.start_zyx[here].astype(np.int64)
    turn = served.turn[here] if served.turn is not None else None
    return [_in_boxes(near, here, start, turn, box) for near in served.near]


def _in_boxes(
    near: Near, here: slice, start: npt.NDArray[np.int64], turn: npt.NDArray[Any] | None, box: int
) -> BoxPoints:
    """The atoms of some boxes, placed in them."""
    first, count = near.first[here], near.last[here] - near.first[here]
    sample = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(sample)) - np.repeat(np.cumsum(count) - count, count)
    rows = near.rows[np.repeat(first, count) + within]
    place = near.place_zyx[rows] - start[sample]
    if turn is not None:
        place = (rotate_points if turn.ndim == 1 else turn_points)(place, turn[sample], box)
    return BoxPoints(place, sample, {name: values[rows] for name, values in near.values.items()})
