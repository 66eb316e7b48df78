"""Inner loops that numba compiles, on first use and kept in its cache on disk: how their callers come by them.

Loops over voxels that move them are in `moves`; others lie beside those they serve, in modules `*_kernels`. Each caller
has the same bytes from NumPy where they cannot be had.
"""

from __future__ import annotations

import importlib
import platform
import warnings
from functools import cache
from types import ModuleType

LINE = 64
"bytes of a line of the cache, and of the widest vectors: what is written past the caches begins at a multiple of it"

VECTOR = 32
"values that loops move at a time: a line of float16, two of float32"


def loops(module: str, half: bool = False) -> ModuleType | None:
    """A module of compiled loops, imported; None without numba. half: they convert float16, which not every processor
    does itself: None there, too."""
    if not _installed() or (half and not _converts_half()):
        return None
    return _imported(module)


@cache
def _installed() -> bool:
    """Whether numba is there, and compiles."""
    try:
        numba = importlib.import_module("numba")
    except Exception:  # a release that does not fit this NumPy says so in more than one way
        return False
    return not numba.config.DISABLE_JIT


# asked for in every batch; and not from sys.modules, where a module lies before it is whole
@cache
def _imported(module: str) -> ModuleType | None:
    """A module; None, and a warning, if numba fails there: where it may keep nothing on disk, for one."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the reason, NumPy gives the same bytes
        warnings.warn(f"loops run without numba, and slower: {module}: {error}", RuntimeWarning, stacklevel=3)
        return None


@cache
def _converts_half() -> bool:
    """Every 64-bit ARM does, x86 since 2012. Asks llvmlite."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return platform.machine().lower() in ("aarch64", "arm64")
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("f16c", False))
