"""Density in the type in which it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops

PIECE = 1 << 16
"values that NumPy converts at a time"


def narrowed(data: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The same values as another type, in the same memory where they fit, and are lost then: fresh memory for a volume
    costs more than the conversion. data: (nz, ny, nx)."""
    if dtype.itemsize > data.itemsize or not (data.flags.c_contiguous and data.flags.writeable):
        return data.astype(dtype)
    flat, result = data.reshape(-1), data.reshape(-1).view(dtype)[: data.size]
    whole = data.dtype == np.float32 and dtype == np.float16
    compiled = loops("cryodata.prepare.volume_kernels", half=True) if whole else None
    if compiled is not None:
        compiled.narrow(flat, result.view(np.uint16))
        return result.reshape(data.shape)
    for first in range(0, data.size, PIECE):  # each piece ends up before those that are still to be read
        result[first : first + PIECE] = flat[first : first + PIECE].astype(dtype)
    return result.reshape(data.shape)
