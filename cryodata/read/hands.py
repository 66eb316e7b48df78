"""Pieces of one job, done by the caller and by a thread beside it: as many as a second core finds time for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait


class Hands:
    """Does jobs in pieces; from one thread at a time."""

    def __init__(self, helpers: int) -> None:
        self._threads = ThreadPoolExecutor(helpers, "cryodata-cut") if helpers else None
        self.helpers = helpers

    def do(self, work: Callable[[int], None], pieces: int, helped: bool = True) -> None:
        """work(0) to work(pieces - 1), each once, in any order; raises what one of them raised. helped: not alone."""
        asked = min(self.helpers, pieces - 1) if helped else 0
        if asked < 1:
            for piece in range(pieces):
                work(piece)
            return
        left = deque(range(pieces))
        job = [work]  # a hand that comes too late finds neither, and keeps nothing of the caller's alive

        def take() -> None:
            while True:
                try:
                    piece = left.popleft()
                except IndexError:
                    return
                try:
                    job[0](piece)
                except BaseException:
                    left.clear()
                    raise

        helping = [self._threads.submit(take) for _ in range(asked)] if self._threads else []
        try:
            take()
        finally:
            try:
                begun = [hand for hand in helping if not hand.cancel()]
                wait(begun)  # they end with the piece at hand
                for hand in begun:
                    hand.result()
            finally:
                job.clear()

    def close(self) -> None:
        """Let the threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
