"""Density in the type in which it is stored."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops

PIECE = 1 << 16
"values that NumPy converts at a time"


def in_steps(data: npt.NDArray[np.float16], step: float) -> bool:
    """Whether all values of a float16 density (nz, ny, nx) are multiples of a step, a power of two."""
    compiled = loops("cryodata.prepare.volume_kernels")
    if compiled is not None and data.flags.c_contiguous:
        digits = -int(np.log2(step))
        return all(compiled.multiples(plane.view(np.uint16).reshape(-1), digits) for plane in data)
    known = _multiples(step)
    return all(bool(np.take(known, plane.view(np.uint16)).all()) for plane in data)


@cache
def _multiples(step: float) -> npt.NDArray[np.bool_]:
    """Which float16 are multiples of a step, by their bits: arithmetic of that type is slow."""
    with np.errstate(invalid="ignore"):  # of those that are no numbers
        every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
        known: npt.NDArray[np.bool_] = np.rint(every / np.float32(step)) * np.float32(step) == every
    return known


def narrowed(
    data: npt.NDArray[Any], dtype: np.dtype[Any], step: float = 0.0, overwrite: bool = False
) -> npt.NDArray[Any]:
    """The values as another type.

    data: (nz, ny, nx). step: a power of two, values are rounded to multiples of it, halves to the even one; 0: to what
    the type has. overwrite: in the same memory where they fit, and `data` is lost then: fresh memory for a volume costs
    more than the conversion.
    """
    if not (overwrite and dtype.itemsize <= data.itemsize and data.flags.c_contiguous and data.flags.writeable):
        result = np.empty(data.shape, dtype)
        for plane, values in zip(result, data, strict=True):
            plane[...] = _rounded(values, step)
        return result
    flat, result = data.reshape(-1), data.reshape(-1).view(dtype)[: data.size]
    whole = data.dtype == np.float32 and dtype == np.float16
    compiled = loops("cryodata.prepare.volume_kernels", half=True) if whole else None
    if compiled is not None:
        compiled.narrow(flat, result.view(np.uint16), np.float32(step))
        return result.reshape(data.shape)
    for first in range(0, data.size, PIECE):  # each piece ends up before those that are still to be read
        result[first : first + PIECE] = _rounded(flat[first : first + PIECE], step).astype(dtype)
    return result.reshape(data.shape)


def _rounded(values: npt.NDArray[Any], step: float) -> npt.NDArray[Any]:
    kind = values.dtype.type
    # -0 becomes 0, as in the compiled loop
    return np.rint(values * kind(1 / step)) * kind(step) + kind(0) if step else values
