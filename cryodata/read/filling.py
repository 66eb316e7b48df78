"""What a batch is made of, gathered from the streams and then written by as many hands as there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from cryodata.read.hands import Hands
from cryodata.read.pool import Pool
from cryodata.read.served import Served

Fill = Callable[[Mapping[str, Any], Served, slice, npt.NDArray[Any], frozenset[str]], None]
"writes some of what is served into them, as `fill` does"

Part = tuple[Mapping[str, Any], Served, slice]
"arrays of a batch, what is served, and which of that is written into them"


class Filling:
    """What is to be written into the arrays of batches, by as many hands as there are."""

    def __init__(self, fill: Fill, pool: Pool, hands: Hands) -> None:
        self.hands = hands
        self._fill, self._pool = fill, pool
        self._voxels, self._density = pool.slots.voxels, pool.source.density
        self._parts: list[Part] = []

    def add(self, arrays: Mapping[str, Any], served: Served, here: slice) -> None:
        """Some of what is served, to be written into arrays by the next `finish`."""
        self._parts.append((arrays, served, here))

    @property
    def helped(self) -> bool:
        """Whether a core is there for another hand."""
        return self.hands.helpers > 0 and self._pool.idle_cores > 0

    def finish(self) -> None:
        """Write all of it."""
        helped = self.helped
        shares = _shares(self._parts, self.hands.helpers + 1 if helped else 1)
        self._parts = []

        def write(share: int) -> None:
            for part in shares[share]:
                self._fill(*part, self._voxels, self._density)

        self.hands.do(write, len(shares), helped)


def _shares(parts: Sequence[Part], hands: int) -> list[list[Part]]:
    """As many sub-grids for each of some hands: what a hand does in small pieces holds the interpreter more often."""
    shares: list[list[Part]] = [[]]
    room = size = -(-sum(here.stop - here.start for _, _, here in parts) // hands)
    for arrays, served, here in parts:
        first = here.start
        while first < here.stop:
            if not room:
                shares.append([])
                room = size
            part = slice(first, min(first + room, here.stop))
            within = slice(part.start - here.start, part.stop - here.start)
            shares[-1].append(({name: array[within] for name, array in arrays.items()}, served, part))
            room -= part.stop - part.start
            first = part.stop
    return shares
