"""What a batch is made of, gathered from the streams and then written by as many hands as there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy.typing as npt

from cryodata.read.hands import Hands
from cryodata.read.pool import Pool
from cryodata.read.served import Served

Fill = Callable[[Mapping[str, Any], Served, slice, npt.NDArray[Any], frozenset[str]], None]
"writes some of what is served into them, as `fill` does"

Part = tuple[Mapping[str, Any], Served, slice]
"arrays of a batch, what is served, and which of that is written into them"

PIECE = 8
"sub-grids that one of two threads fills at a time"


class Filling:
    """What is to be written into the arrays of a batch, by as many hands as there are."""

    def __init__(self, fill: Fill, pool: Pool, hands: Hands) -> None:
        self.hands = hands
        self._fill, self._pool = fill, pool
        self._parts: list[Part] = []

    def add(self, arrays: Mapping[str, Any], served: Served, here: slice) -> None:
        """Some of what is served, to be written into arrays by the next `finish`."""
        self._parts.append((arrays, served, here))

    def finish(self) -> None:
        """Write all of it."""
        helped = self.hands.helpers > 0 and self._pool.idle_cores > 0
        parts = [piece for part in self._parts for piece in (_pieces(*part) if helped else [part])]
        self._parts, voxels, density = [], self._pool.slots.voxels, self._pool.source.density
        self.hands.do(lambda place: self._fill(*parts[place], voxels, density), len(parts), helped)


def _pieces(arrays: Mapping[str, Any], served: Served, here: slice) -> Iterator[Part]:
    for first in range(here.start, here.stop, PIECE):
        part = slice(first, min(first + PIECE, here.stop))
        within = slice(part.start - here.start, part.stop - here.start)
        yield {name: array[within] for name, array in arrays.items()}, served, part
