"""How a decoded volume lies in a slot: in a frame that holds whatever its boxes reach beyond it, 0.

Rows of the volume begin lines of the cache, so that a decoder can write them past the caches: the frame is as much
longer along x, and begins as much later in its slot, as that takes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.compiled import VECTOR
from cryodata.core.subgrids import Shape, SubgridGrid, counts_of


def frame_zyx(grid: SubgridGrid) -> Shape:
    """Voxels of the frame."""
    nz, ny, nx = grid.padded_zyx
    return nz, ny, whole_rows(nx)


def whole_rows(count: int) -> int:
    """A length of rows after which the next one begins a line of the cache again."""
    return -(-count // VECTOR) * VECTOR


def lead(margin: int) -> int:
    """Voxels of a slot before the frame of a volume whose boxes begin `margin` before it."""
    return -margin % VECTOR


def slot_voxels(shapes_zyx: npt.NDArray[np.integer[Any]], box: int, core: int) -> int:
    """Voxels of a slot that has room for any of some volumes, (n, 3); each slot begins a line of the cache."""
    padded = core * (counts_of(shapes_zyx, core) - 1) + box
    voxels = max((nz * ny * whole_rows(nx) for nz, ny, nx in padded.tolist()), default=0)
    return whole_rows(voxels + lead((box - core) // 2))


def framed(voxels: npt.NDArray[Any], grid: SubgridGrid) -> npt.NDArray[Any]:
    """What follows the lead of a slot as the frame, (nz, ny, nx)."""
    shape = frame_zyx(grid)
    return voxels[: math.prod(shape)].reshape(shape)


def clear_frame(frame: npt.NDArray[Any], grid: SubgridGrid) -> None:
    """Set what is around a volume to 0."""
    for axis, span in enumerate(grid.inside):
        before = (slice(None),) * axis
        frame[(*before, slice(0, span.start))] = 0
        frame[(*before, slice(span.stop, None))] = 0
