"""Loops over the chunks of a volume, compiled by numba."""

from __future__ import annotations

from typing import Any

from numba import njit

from cryodata.compiled import VECTOR
from cryodata.compiled.vectors import fence, mover

_row_past = mover(VECTOR, past=True)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put_past(target: Any, chunk: Any) -> None:
    """target[...] = chunk, past the caches; (nz, ny, nx) each, of the same unsigned integers. Rows are contiguous, of
    whole vectors, and begin lines of the cache."""
    nz, ny, nx = target.shape
    to_z, to_y = target.strides[0] // target.itemsize, target.strides[1] // target.itemsize
    of_z, of_y = chunk.strides[0] // chunk.itemsize, chunk.strides[1] // chunk.itemsize
    for z in range(nz):
        for y in range(ny):
            for x in range(0, nx, VECTOR):
                _row_past(target, z * to_z + y * to_y + x, chunk, z * of_z + y * of_y + x)
    fence()
