"""What a batch is made of, gathered from the streams and then written by as many hands as there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from cryodata.read.hands import Hands
from cryodata.read.pool import Pool
from cryodata.read.served import Served

Fill = Callable[[Mapping[str, Any], Served, slice, npt.NDArray[Any], frozenset[str]], None]
"writes some of what is served into them, as `fill` does"


PIECE = 8
"sub-grids that one of two threads fills at a time"


class Filling:
    """What is to be written into the arrays of a batch, by as many hands as there are."""

    def __init__(self, fill: Fill, pool: Pool, hands: Hands) -> None:
        self.hands = hands
        self._fill, self._voxels, self._density = fill, pool.slots.voxels, pool.source.density
        self._parts: list[tuple[Mapping[str, Any], Served, slice]] = []

    def add(self, arrays: Mapping[str, Any], served: Served, here: slice) -> None:
        """Some of what is served, to be written into arrays by the next `finish`."""
        size = PIECE if self.hands.helpers else here.stop - here.start
        for first in range(here.start, here.stop, size):
            part = slice(first, min(first + size, here.stop))
            within = slice(part.start - here.start, part.stop - here.start)
            self._parts.append(({name: array[within] for name, array in arrays.items()}, served, part))

    def finish(self) -> None:
        """Write all of it."""
        parts, self._parts = self._parts, []
        self.hands.do(lambda place: self._fill(*parts[place], self._voxels, self._density), len(parts))
