"""Memory that arrays are made in, used again once nobody holds them: a page fault costs more than the copy into it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.compiled import LINE

Layout = tuple[tuple[int, ...], np.dtype[Any]]
"shape and type of an array"

Places = dict[str, tuple[int, tuple[int, ...], str]]
"by column: first byte in the memory of a batch, shape, type"


class Buffers:
    """Pieces of memory that come and go. Safe to use from several threads."""

    def __init__(self, spare: int) -> None:
        """spare: pieces that are kept while nobody uses them."""
        self._spare, self._most = list[npt.NDArray[np.uint8]](), spare

    def new(self, size: int) -> npt.NDArray[np.uint8]:
        """Bytes (size,), whatever they hold. Their memory is given out again when no array or tensor shows it."""
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = np.empty(0, dtype=np.uint8)
        if len(memory) < max(size, 1):
            memory = lined(size + LINE)
        # an array over a view, not over an array: its views keep it alive, and its end is the end of them all
        whole = np.frombuffer(memory.data, dtype=np.uint8)
        weakref.finalize(whole, _keep, self._spare, self._most, memory).atexit = False
        return whole[:size]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Buffers, (self._most,)  # memory stays in its process


def lined(size: int) -> npt.NDArray[np.uint8]:
    """Fresh memory that begins a line of the cache."""
    memory = np.empty(size + LINE, dtype=np.uint8)
    return memory[-memory.ctypes.data % LINE :][:size]


def placed(layouts: Mapping[str, Layout]) -> tuple[Places, int]:
    """Where the arrays of a batch lie in one piece of memory, and how many bytes they take."""
    places, end = {}, 0
    for name, (shape, dtype) in layouts.items():
        places[name] = (end, shape, dtype.str)
        end += -(-math.prod(shape) * dtype.itemsize // LINE) * LINE
    return places, end


def arrays_at(places: Places, whole: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a batch in a piece of memory."""
    return {
        name: whole[first : first + math.prod(shape) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
        for name, (first, shape, dtype) in places.items()
    }


def _keep(spare: list[npt.NDArray[np.uint8]], most: int, memory: npt.NDArray[np.uint8]) -> None:
    if len(spare) < most:
        spare.append(memory)
