"""Batches that a worker writes into memory shared with the process that reads them, slot after slot of a ring.

PyTorch moves each tensor of a worker through a new piece of shared memory, and page faults cap every loader. Here a
slot is written again as soon as nobody holds a tensor of its last batch, and never before. If all slots are held, the
batch goes PyTorch's way.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import torch

from cryodata.read.buffers import Layout, Places, arrays_at, placed
from cryodata.read.shared import SharedMemory, granular, spawning

SLOTS = 8
"batches of a worker that may be alive at a time: DataLoader asks for two ahead, a few more may be kept"

_rings: weakref.WeakValueDictionary[str, Ring] = weakref.WeakValueDictionary()
"the rings of this process by name: what a worker sends says only where its batch lies"


class Page(NamedTuple):
    """What a region says about its slots; a slot is free when nobody holds a batch in it."""

    last: npt.NDArray[np.int64]
    "number of the last batch written, (1,)"

    written: npt.NDArray[np.int64]
    "batch that the worker holds in each slot, or 0"

    sent: npt.NDArray[np.int64]
    "batch t that is on its way to the reader (t) or held there (-t), or 0"


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """A slot that a worker writes a batch into."""

    ring: Ring
    region: int
    slot: int
    number: int
    places: Places
    arrays: dict[str, npt.NDArray[Any]]


class Ring:
    """Regions of shared memory, one for each worker that lives: a page about its slots, then the slots."""

    def __init__(self, batch_bytes: int, memory: SharedMemory | None = None, name: str = "") -> None:
        self.batch_bytes = granular(batch_bytes)
        self.name = name or uuid4().hex
        self._memory = memory or SharedMemory()
        self._begin()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        shared = (self._memory, self.name) if spawning() else ()  # for anything but a worker: another ring
        return Ring, (self.batch_bytes, *shared)

    def _begin(self) -> None:
        """What each process has for itself."""
        self._process = os.getpid()
        self._region: int | None = None
        self._maps: dict[int, mmap.mmap] = {}
        self._lock = threading.Lock()
        _rings[self.name] = self

    def lease(self, layouts: Mapping[str, Layout]) -> Lease | None:
        """A free slot of this worker with arrays of a batch, or None if there is none."""
        if os.getpid() != self._process:  # forked since
            self._begin()
        if self._region is None:
            self._region = self._memory.claim(0)
            page = self._page(self._region)
            page.written[:] = 0  # of a worker that has ended; what it sent and nobody received is given up
            page.sent[page.sent > 0] = 0
        page = self._page(self._region)
        free = np.flatnonzero((page.written == 0) & (page.sent == 0))
        places, end = placed(layouts)
        if not len(free) or end > self.batch_bytes:
            return None
        slot, number = int(free[0]), int(page.last[0]) + 1
        page.last[0] = page.written[slot] = number
        arrays = self._arrays(self._region, slot, places, page.written)
        return Lease(self, self._region, slot, number, places, arrays)

    def send(self, lease: Lease) -> bool:
        """Mark the batch as on its way. False if it is already: a batch is received once."""
        page = self._page(lease.region)
        if page.sent[lease.slot]:
            return False
        page.sent[lease.slot] = lease.number
        return True

    def receive(self, region: int, slot: int, number: int, places: Places) -> dict[str, torch.Tensor]:
        """The tensors of a batch that a worker sent; the slot is free when the last of them is gone."""
        with self._lock:
            page = self._page(region)
            if page.sent[slot] != number:
                raise RuntimeError("a batch was given up: the worker that had made it has ended")
            page.sent[slot] = -number
            return tensors_of(self._arrays(region, slot, places, page.sent))

    def _arrays(
        self, region: int, slot: int, places: Places, held: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[Any]]:
        # an array over a mapping, not over an array: its views keep it alive, and its end is the end of them all
        whole = np.frombuffer(self._map(self._slot_begin(region, slot), self.batch_bytes), dtype=np.uint8)
        weakref.finalize(whole, _let_go, held, slot, os.getpid()).atexit = False
        return arrays_at(places, whole)

    def _page(self, region: int) -> Page:
        numbers = np.frombuffer(self._map(self._slot_begin(region, 0) - granular(1), granular(1)), dtype=np.int64)
        return Page(numbers[:1], numbers[1 : 1 + SLOTS], numbers[1 + SLOTS : 1 + 2 * SLOTS])

    def _slot_begin(self, region: int, slot: int) -> int:
        return region * (granular(1) + SLOTS * self.batch_bytes) + granular(1) + slot * self.batch_bytes

    def _map(self, first: int, size: int) -> mmap.mmap:
        if first not in self._maps:
            self._maps[first] = self._memory.map(first, size)
        return self._maps[first]


class SharedBatch(dict[str, Any]):
    """A batch whose tensors lie in a slot: sent to the reader, it goes as the place of the slot alone."""

    lease: Lease

    @classmethod
    def of(cls, lease: Lease, values: Mapping[str, Any]) -> SharedBatch:
        """The batch of a lease: its arrays as tensors, and whatever else there is."""
        batch = cls(values)
        batch.lease = lease
        return batch

    def __copy__(self) -> SharedBatch:
        return SharedBatch.of(self.lease, self)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return dict, (dict(self),)  # copied or stored by a worker: the place of a slot would mean nothing there


def _sent(batch: SharedBatch) -> tuple[Any, tuple[Any, ...]]:
    """How a batch travels between processes."""
    lease = batch.lease
    # what was put in place of a tensor goes PyTorch's way, and so does all of a batch that is sent once more
    here = {name for name, array in lease.arrays.items() if _lies_in(batch.get(name), array)}
    if not here or not lease.ring.send(lease):
        return batch.__reduce__()
    rest = {name: value for name, value in batch.items() if name not in here}
    places = {name: place for name, place in lease.places.items() if name in here}
    return _received, (lease.ring.name, lease.region, lease.slot, lease.number, places, list(batch), rest)


reduction.ForkingPickler.register(SharedBatch, _sent)


def tensors_of(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays as tensors over the same memory; anything else as it is."""
    return {k: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for k, value in arrays.items()}


def _lies_in(value: Any, array: npt.NDArray[Any]) -> bool:
    """Whether a value is still the tensor of an array, whole."""
    return (
        isinstance(value, torch.Tensor)
        and value.data_ptr() == array.ctypes.data
        and tuple(value.shape) == array.shape
        and value.is_contiguous()
        and value.dtype == torch.from_numpy(array).dtype
    )


def _let_go(held: npt.NDArray[np.int64], slot: int, process: int) -> None:
    if os.getpid() == process:  # a worker forked meanwhile has its own copy of the array, and its end means nothing
        held[slot] = 0


def _received(
    ring: str, region: int, slot: int, number: int, places: Places, order: list[str], rest: dict[str, Any]
) -> dict[str, Any]:
    if ring not in _rings:
        raise RuntimeError("a batch of a stream that this process does not have, or has no longer")
    tensors = _rings[ring].receive(region, slot, number, places)
    return {name: tensors[name] if name in tensors else rest[name] for name in order}
