"""What a batch is made of, gathered from the streams and then written by as many hands as there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from cryodata.read.hands import Hands
from cryodata.read.pool import Pool
from cryodata.read.served import Part, Served

Fill = Callable[[Sequence[Part], npt.NDArray[Any], frozenset[str]], None]
"writes some of what is served to where it goes, as `fill` does"


class Filling:
    """What is to be written into the arrays of batches, by as many hands as there are."""

    def __init__(self, fill: Fill, pool: Pool, hands: Hands) -> None:
        self.hands = hands
        self._fill, self._pool = fill, pool
        self._voxels, self._density = pool.slots.voxels, pool.source.density
        self._parts: list[Part] = []

    def add(self, arrays: Mapping[str, Any], there: slice, served: Served, here: slice) -> None:
        """Some of what is served, to be written into some samples of a batch by the next `finish`."""
        self._parts.append(Part(arrays, there, served, here))

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
            self._fill(shares[share], self._voxels, self._density)

        self.hands.do(write, len(shares), helped)


def _shares(parts: Sequence[Part], hands: int) -> list[list[Part]]:
    """As many sub-grids for each of some hands: what a hand does in small pieces holds the interpreter more often."""
    if hands == 1:
        return [list(parts)]
    shares: list[list[Part]] = [[]]
    room = size = -(-sum(part.here.stop - part.here.start for part in parts) // hands)
    for part in parts:
        first, shift = part.here.start, part.there.start - part.here.start
        while first < part.here.stop:
            if not room:
                shares.append([])
                room = size
            last = min(first + room, part.here.stop)
            shares[-1].append(replace(part, there=slice(first + shift, last + shift), here=slice(first, last)))
            room -= last - first
            first = last
    return shares
