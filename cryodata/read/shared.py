"""Memory that a process and its workers share, without a name: it is gone with the last of them, however they end."""

from __future__ import annotations

import fcntl
import mmap
import os
import weakref
from contextlib import suppress
from itertools import count
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np
import numpy.typing as npt

AVAILABLE = hasattr(os, "memfd_create")
"Linux has files without names; elsewhere workers decode for themselves and send copies"

READ, WRITE = fcntl.LOCK_SH, fcntl.LOCK_EX
"many may hold a read lock, one a write lock"


class SharedMemory:
    """A file in memory that has no name, and locks. Workers inherit them by fork, or get them while they are spawned.

    Pickled for anything but a new worker, it becomes another one, empty: what is shared can be made again. Locks are
    held by processes, not by threads, and the system drops those of a process that ends. They lie on a second file:
    a process that closes any descriptor of a file loses its locks on it, and each mapping holds one.
    """

    def __init__(self, memory: int | None = None, locks: int | None = None) -> None:
        self._memory = _unshrinking() if memory is None else memory
        self._locks = os.memfd_create("cryodata-locks") if locks is None else locks
        weakref.finalize(self, _close, self._memory, self._locks).atexit = False

    def map(self, first: int, size: int) -> mmap.mmap:
        """Bytes first to first + size - 1, zero until written; first: a multiple of `mmap.ALLOCATIONGRANULARITY`.

        Takes memory only where it is touched.
        """
        if os.fstat(self._memory).st_size < first + size:
            with suppress(PermissionError):  # another made it larger since: it must not lose what it has there
                os.ftruncate(self._memory, first + size)
        return mmap.mmap(self._memory, size, offset=first)

    def array(self, first: int, size: int) -> npt.NDArray[np.uint8]:
        """`map` as an array."""
        return np.frombuffer(self.map(first, size), dtype=np.uint8)

    def lock(self, place: int, kind: int, wait: bool = False) -> bool:
        """Lock a place for reading or writing, in exchange for the lock that this process has there. False if others
        are in the way.
        """
        try:
            fcntl.lockf(self._locks, kind if wait else kind | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, place: int) -> None:
        """Let go of the lock of this process, if it has one there."""
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def claim(self, first: int) -> int:
        """How far from `first` the first place lies that nobody has locked; it is this process' from now on."""
        return next(place for place in count() if self.lock(first + place, WRITE))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        if not spawning():
            return SharedMemory, ()
        return _received, (reduction.DupFd(self._memory), reduction.DupFd(self._locks))


def spawning() -> bool:
    """Whether this thread pickles for a worker that is being started."""
    return get_spawning_popen() is not None


def granular(size: int) -> int:
    """The smallest size that is not smaller and a mapping may begin after."""
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _unshrinking() -> int:
    """A file in memory that only grows: two processes that enlarge it at a time would cut each other's part off."""
    memory = os.memfd_create("cryodata", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return memory


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _received(memory: Any, locks: Any) -> SharedMemory:
    return SharedMemory(memory.detach(), locks.detach())
