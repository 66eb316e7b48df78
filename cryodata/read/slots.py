"""Slots that decoded volumes lie in, used again and again: of one process, or shared by the workers of a rank."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cryodata.core.subgrids import Shape
from cryodata.read.buffers import lined
from cryodata.read.shared import READ, WRITE, SharedMemory, granular

Content = tuple[int, int, int, int, int]
"""what a slot holds: epoch, stream, block, volume, and the position of the stream from which on it serves

Of a volume only what its sub-grids in the block show, from that position on."""

Fill = Callable[[npt.NDArray[Any]], None]
"writes the values of a slot, flat"

WORDS = 6
"what shared memory says of a slot: its content, and whether it is whole"

PATIENCE, PAUSE = 1.0, 0.001
"seconds that a worker waits for a slower one to leave a slot before it decodes for itself, at first; between looks"


class Slots(Protocol):
    """Equal slots in one flat array."""

    @property
    def voxels(self) -> npt.NDArray[Any]:
        """The values of all slots."""

    @property
    def fills(self) -> int:
        """How often a slot was filled, by everybody who shares them."""

    def begin_of(self, slot: int) -> int:
        """Where the values of a slot begin."""

    def hold(self, slot: int, content: Content, fill: Fill, wait: bool) -> bool:
        """Have the slot hold the content until `release`. False if that must wait for others and `wait` is not set."""

    def release(self, slot: int) -> None:
        """Let go of what the slot holds."""

    def is_framed(self, slot: int, shape: Shape) -> bool:
        """Whether a frame of zeros for a volume of this shape lies in the slot; from now on there is one."""


class OwnSlots:
    """Slots of one process. Memory is taken when a slot is first filled."""

    def __init__(self, number: int, size: int, dtype: npt.DTypeLike) -> None:
        self.voxels = lined(number * size * np.dtype(dtype).itemsize).view(dtype)
        self.fills = 0
        self._size = size
        self._framed: dict[int, Shape] = {}

    def begin_of(self, slot: int) -> int:
        """Where the values of a slot begin."""
        return slot * self._size

    def hold(self, slot: int, content: Content, fill: Fill, wait: bool) -> bool:
        """Fill it: nobody else has a hand in it."""
        self.fills += 1
        fill(self.voxels[slot * self._size : (slot + 1) * self._size])
        return True

    def release(self, slot: int) -> None:
        """Nothing to do."""

    def is_framed(self, slot: int, shape: Shape) -> bool:
        """If the last volume was of the same shape."""
        known, self._framed[slot] = self._framed.get(slot), shape
        return known == shape


class SharedSlots:
    """Slots that the workers of a rank share: what one has decoded, the others find.

    A worker holds a read lock on each slot that it serves or will serve next, and a write lock while it decodes: locks
    on bytes of the shared file, which the system drops when a worker ends, however it ends. A worker decodes into a
    slot of its own at once if one ahead of it has the slot, which may be waiting for it in turn, and after a while if
    a slower one does not leave, so nothing can hang.
    """

    def __init__(self, memory: SharedMemory, number: int, size: int, dtype: npt.DTypeLike) -> None:
        self._memory, self._size = memory, size
        self._within = threading.Lock()
        # locks: a place a slot, one for the count of fills, then one for each worker that has slots of its own
        self._counting = number
        mine = memory.claim(number + 1)
        header = granular(8 + number * WORDS * 8)
        mapped = memory.array(0, header + (mine + 2) * number * size * np.dtype(dtype).itemsize)
        self._fills = mapped[:8].view(np.int64)
        self._about = mapped[8 : 8 + number * WORDS * 8].view(np.int64).reshape(number, WORDS)
        "content of each slot, and whether it is whole"

        self.voxels = mapped[header:].view(dtype)
        self._own = (mine + 1) * number
        self._place = list(range(number))
        "the slot that stands for each: an own one if others left no other way"

        self._patience = PATIENCE

    @property
    def fills(self) -> int:
        """How often a slot was filled, by all workers."""
        return int(self._fills[0])

    def begin_of(self, slot: int) -> int:
        """Where the values of a slot begin."""
        return self._place[slot] * self._size

    def hold(self, slot: int, content: Content, fill: Fill, wait: bool) -> bool:
        """Find the content in the slot, or decode it there once nobody serves what it held."""
        give_up = time.monotonic() + self._patience
        while True:
            if self._take(slot, content, fill):
                return True
            if not wait:
                return False
            found = self._about[slot, :-1].tolist()
            if tuple(found) == content:  # another decodes it: as good as done
                give_up = time.monotonic() + self._patience
            late = time.monotonic() > give_up
            if late or (tuple(found[:2]) == content[:2] and found[2] > content[2]):
                # who waited in vain once waits half as long from then on: it may be a loader of its own that goes on
                self._patience /= 2 if late else 1
                self._place[slot] = self._own + slot
                self._fill(self._own + slot, fill)
                return True
            time.sleep(PAUSE)

    def release(self, slot: int) -> None:
        """Others may decode something else into it."""
        self._place[slot] = slot
        self._memory.unlock(slot)

    def is_framed(self, slot: int, shape: Shape) -> bool:
        """Nobody knows what others left there."""
        return False

    def _take(self, slot: int, content: Content, fill: Fill) -> bool:
        if self._whole(slot, content):
            if self._memory.lock(slot, READ):
                if self._whole(slot, content):
                    return True
                self._memory.unlock(slot)  # changed between the look and the lock
            return False
        if not self._memory.lock(slot, WRITE):
            return False
        try:
            if not self._whole(slot, content):
                self._about[slot] = (*content, 0)
                self._fill(slot, fill)
                self._about[slot, -1] = 1
        except BaseException:
            self._memory.unlock(slot)
            raise
        return self._memory.lock(slot, READ)

    def _fill(self, place: int, fill: Fill) -> None:
        with self._within:
            self._memory.lock(self._counting, WRITE, wait=True)
            self._fills[0] += 1
            self._memory.unlock(self._counting)
        fill(self.voxels[place * self._size : (place + 1) * self._size])

    def _whole(self, slot: int, content: Content) -> bool:
        return tuple(self._about[slot].tolist()) == (*content, 1)


def fills_of(memory: SharedMemory) -> int:
    """How often the slots in shared memory were filled so far."""
    return int(memory.array(0, 8).view(np.int64)[0])
