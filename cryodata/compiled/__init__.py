"""Inner loops that numba compiles, on first use and kept in its cache on disk: how their callers come by them.

The loops themselves lie beside those they serve, in modules `*_kernels`; each caller has the same bytes from NumPy
where numba (extra `torch`) is not installed.
"""

from __future__ import annotations

import importlib
import platform
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


# asked for in every batch; and not from sys.modules, where a module lies before it is whole
_imported = cache(importlib.import_module)


@cache
def _installed() -> bool:
    """Whether numba is there, and for this NumPy: a release that is too old for it says so when it is imported."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return False
    return True


@cache
def _converts_half() -> bool:
    """Every 64-bit ARM does, x86 since 2012. Asks llvmlite."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return platform.machine().lower() in ("aarch64", "arm64")
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("f16c", False))
