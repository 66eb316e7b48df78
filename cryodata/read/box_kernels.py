"""Loops over the boxes of a batch, compiled by numba."""

from __future__ import annotations

from typing import Any

from numba import njit

from cryodata.compiled import VECTOR
from cryodata.compiled.vectors import fence, mover, prefetch

PLANES_AHEAD = 4
"planes of a box that memory is asked for before their turn: rows far apart are no pattern that a processor foresees"

_row, _row_past, _value = mover(VECTOR), mover(VECTOR, past=True), mover(1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def cut_boxes(out: Any, voxels: Any, first: Any, strides: Any, box: Any, past: Any) -> None:
    """`kernels.cut`; out: float32, flat; voxels: float32, or uint16 for float16; past: whether every row of a box
    begins a line of the cache. The caller has checked the bounds.
    """
    for sample in range(first.shape[0]):
        place, after = sample * box**3, min(sample + 1, first.shape[0] - 1)
        if strides[sample, 2] != 1:
            _by_value(out, place, voxels, first[sample], strides[sample], box)
        elif box == VECTOR:
            _by_vector(out, place, voxels, first[sample], strides[sample], first[after], strides[after], past)
        else:
            _by_row(out, place, voxels, first[sample], strides[sample], box, past)
    if past:
        fence()


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_vector(
    out: Any, at: Any, voxels: Any, first: Any, strides: Any, next_first: Any, next_strides: Any, past: Any
) -> None:
    """A box whose rows are one vector each. So little is done for a row that the processor looks many rows ahead; with
    every test more it would look less far."""
    step_z, step_y = strides[0], strides[1]
    for z in range(VECTOR):
        row, ahead = first + z * step_z, z + PLANES_AHEAD
        soon = first + ahead * step_z if ahead < VECTOR else next_first + (ahead - VECTOR) * next_strides[0]
        for _ in range(VECTOR):
            # the row may lie across two lines
            prefetch(voxels, soon)
            prefetch(voxels, soon + VECTOR - 1)
            if past:
                _row_past(out, at, voxels, row)
            else:
                _row(out, at, voxels, row)
            at += VECTOR
            row += step_y
            soon += step_y


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_row(out: Any, at: Any, voxels: Any, first: Any, strides: Any, box: Any, past: Any) -> None:
    """A box of any side: whole vectors of each row, and the rest value by value."""
    whole = box // VECTOR * VECTOR
    for z in range(box):
        row = first + z * strides[0]
        for _ in range(box):
            for x in range(0, whole, VECTOR):
                prefetch(voxels, row + PLANES_AHEAD * strides[0] + x)
                if past:
                    _row_past(out, at + x, voxels, row + x)
                else:
                    _row(out, at + x, voxels, row + x)
            for x in range(whole, box):
                _value(out, at + x, voxels, row + x)
            at += box
            row += strides[1]


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_value(out: Any, at: Any, voxels: Any, first: Any, strides: Any, box: Any) -> None:
    """A box that is turned so that its rows are not those of the volume."""
    for z in range(box):
        for y in range(box):
            row = first + z * strides[0] + y * strides[1]
            for x in range(box):
                _value(out, at + x, voxels, row + x * strides[2])
            at += box


@njit(nogil=True, cache=True, boundscheck=True)  # type: ignore[untyped-decorator]
def scatter_points(boxes: Any, first: Any, last: Any, place: Any, values: Any) -> None:
    """`kernels.scatter`; boxes: uint8 (n, box^3). IndexError for a place outside."""
    for sample in range(first.shape[0]):
        boxes[sample, :] = 0
        for point in range(first[sample], last[sample]):
            boxes[sample, place[point]] = values[point]
