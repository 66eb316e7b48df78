"""Density in the type in which it is stored."""

from __future__ import annotations

import importlib.util
import platform
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE = 1 << 16
"values that NumPy converts at a time"


def narrowed(data: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The same values as another type, in the same memory where they fit, and are lost then: fresh memory for a volume
    costs more than the conversion. data: (nz, ny, nx)."""
    if dtype.itemsize > data.itemsize or not (data.flags.c_contiguous and data.flags.writeable):
        return data.astype(dtype)
    flat, result = data.reshape(-1), data.reshape(-1).view(dtype)[: data.size]
    compiled = _compiled() if data.dtype == np.float32 and dtype == np.float16 else None
    if compiled is not None:
        compiled.narrow(flat, result.view(np.uint16))
        return result.reshape(data.shape)
    for first in range(0, data.size, PIECE):  # each piece ends up before those that are still to be read
        result[first : first + PIECE] = flat[first : first + PIECE].astype(dtype)
    return result.reshape(data.shape)


@cache
def _compiled() -> ModuleType | None:
    """Compiled loops; None without numba, or on a processor that does not convert float16 itself."""
    if importlib.util.find_spec("numba") is None or not converts_half():
        return None
    from cryodata.prepare import volume_kernels

    return volume_kernels


def converts_half() -> bool:
    """Whether this processor converts float16 itself: every 64-bit ARM does, x86 since 2012. Asks llvmlite."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return platform.machine().lower() in ("aarch64", "arm64")
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("f16c", False))
