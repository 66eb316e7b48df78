"""The two inner loops of a stream: boxes out of decoded volumes, and label points into boxes.

Compiled by numba where it is installed (extra `torch`), with the same bytes from NumPy where it is not. What decides
the speed is that a row of float16 is loaded, widened and stored as vectors: NumPy's own cast takes 20 times as long.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cryodata.compiled import LINE, loops

_loops = partial(loops, "cryodata.compiled.moves", half=True)

Numbers = npt.NDArray[np.int64]


def cut(out: npt.NDArray[np.float32], voxels: npt.NDArray[Any], first: Numbers, strides: Numbers) -> None:
    """Fill boxes from decoded volumes that lie in one flat array.

    out: (n, box, box, box). voxels: float16 or float32, flat. first: where each box begins in it, (n,). strides: how
    far the next z, y and x of each box lie, (n, 3); any signed permutation of a volume's own gives a rotated box.
    Raises IndexError, and touches nothing, for a box that leaves `voxels`.
    """
    if strides.shape != (len(first), 3) or len(out) != len(first):
        raise ValueError(f"strides {strides.shape} and {len(out)} boxes; expected ({len(first)}, 3) and {len(first)}")
    box, compiled = out.shape[-1], _loops()
    if compiled is None or voxels.dtype not in (np.float16, np.float32):
        inside = _cut_by_numpy(out, voxels, first, strides)
    else:
        source = voxels.view(np.uint16) if voxels.itemsize == 2 else voxels
        past = box * out.itemsize % LINE == 0 and out.ctypes.data % LINE == 0
        inside = compiled.cut_boxes(out.reshape(-1), source, first, strides, box, past)
    if not inside:
        low, high = _reach(first, strides, box)
        raise IndexError(f"a box reaches from {low.min()} to {high.max()} of {len(voxels)} voxels")


def scatter(
    out: npt.NDArray[np.uint8], first: Numbers, last: Numbers, place: Numbers, values: npt.NDArray[np.uint8]
) -> None:
    """Fill label boxes: 0, and `values[k]` at `place[k]` for each k from first to last - 1 of a box.

    out: (n, box, box, box). first, last: (n,), into `place` and `values`, (m,). place: within a box, flat;
    IndexError if it lies outside.
    """
    boxes = out.reshape(len(out), -1)
    compiled = _loops()
    if compiled is not None:
        compiled.scatter_points(boxes, first, last, place, values)
        return
    boxes[...] = 0
    for box, begin, end in zip(boxes, first.tolist(), last.tolist(), strict=True):
        box[place[begin:end]] = values[begin:end]


def warm_up() -> None:
    """Compile, or load what was compiled before, now and not in the first batch."""
    zero, out = np.zeros(1, dtype=np.int64), np.zeros((1, 1, 1, 1), dtype=np.float32)
    for dtype in (np.float16, np.float32):
        cut(out, np.zeros(1, dtype=dtype), zero, np.zeros((1, 3), dtype=np.int64))
    scatter(np.zeros((1, 1, 1, 1), dtype=np.uint8), zero, zero, zero[:0], np.zeros(0, dtype=np.uint8))


def _cut_by_numpy(out: npt.NDArray[np.float32], voxels: npt.NDArray[Any], first: Numbers, strides: Numbers) -> bool:
    """As the compiled loop."""
    low, high = _reach(first, strides, out.shape[-1])
    if low.min(initial=0) < 0 or high.max(initial=-1) >= len(voxels):
        return False
    for box, begin, steps in zip(out, first.tolist(), (strides * voxels.itemsize).tolist(), strict=True):
        box[...] = as_strided(voxels[begin:], box.shape, steps)
    return True


def _reach(first: Numbers, strides: Numbers, box: int) -> tuple[Numbers, Numbers]:
    """The lowest and the highest value of each box, (n,)."""
    spans = strides * (box - 1)
    return first + np.minimum(spans, 0).sum(axis=1), first + np.maximum(spans, 0).sum(axis=1)
