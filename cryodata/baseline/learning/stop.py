"""Being asked to end: the first Ctrl-C or SIGTERM is noted, so that the work can come to a good place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ASKED = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether somebody asked."""

    def __init__(self) -> None:
        self.signal = 0
        "number of the signal; 0 while nobody did"

    @property
    def asked(self) -> bool:
        """Somebody did."""
        return bool(self.signal)


@contextmanager
def noted() -> Iterator[Stop]:
    """Signals are noted within; the second one acts as it did before. In a thread nothing is noted."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in ASKED}

    def note(number: int, frame: object) -> None:
        stop.signal = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in ASKED:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
