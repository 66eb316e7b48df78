"""What a reader makes of the cores that it may use: who decodes, and how much is held at a time."""

from __future__ import annotations

import os

DECODE_THREADS = 2
"at most; decoding releases the interpreter, and the reader decodes beside them while it waits"

TOGETHER = 1 << 22
"voxels of sub-grids that two hands fill before they wait for each other: to wake one takes 0.1 ms, to fill these 1.3"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode_threads() -> int:
    """Threads that decode while the reader serves: one core is left to it."""
    return min(DECODE_THREADS, available_cores() - 1)


def blocks_held(shared: bool) -> int:
    """Blocks of a stream in memory: the one that is served, and the next, where somebody may be at it already.

    shared: with other workers.
    """
    return 2 if shared or decode_threads() else 1


def slots_of_stream(block: int, volumes: int, held: int) -> int:
    """Slots of a stream. block: volumes of a block, if there are so many; held: blocks in memory."""
    return min(held * block, volumes)


def batches_together(voxels: int) -> int:
    """Batches of so many voxels that are filled together, where there is a second hand."""
    return max(1, TOGETHER // max(voxels, 1)) if decode_threads() else 1
