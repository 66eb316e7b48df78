"""A job is done in pieces, each once, by whoever has time."""

from __future__ import annotations

import threading
import time
import weakref

import numpy as np
import pytest

from cryodata.read.hands import Hands


@pytest.mark.parametrize("helpers", [0, 1, 3])
@pytest.mark.parametrize("pieces", [0, 1, 2, 50])
def test_each_piece_is_done_once(helpers: int, pieces: int) -> None:
    hands, done = Hands(helpers), []
    hands.do(done.append, pieces)
    hands.do(done.append, pieces)
    hands.close()

    assert sorted(done) == sorted([*range(pieces)] * 2)


def test_what_was_done_is_let_go_though_a_hand_comes_late() -> None:
    """A batch is megabytes: what waits for a thread must not keep it."""
    hands, array = Hands(1), np.zeros(3)
    gone, busy = weakref.ref(array), threading.Event()
    assert hands._threads is not None
    hands._threads.submit(busy.wait)

    hands.do(lambda piece, array=array: array.sum(), 2)  # type: ignore[misc]
    del array
    found = gone()
    busy.set()
    hands.close()

    assert found is None


def test_a_second_thread_helps() -> None:
    hands, names = Hands(1), set()

    def work(piece: int) -> None:
        names.add(threading.current_thread().name)
        time.sleep(0.01)

    hands.do(work, 20)
    hands.close()

    assert len(names) == 2


def test_without_help_the_caller_does_all_of_it() -> None:
    hands, names = Hands(2), set()

    hands.do(lambda piece: names.add(threading.current_thread().name), 20, helped=False)
    hands.close()

    assert names == {threading.current_thread().name}


@pytest.mark.parametrize("helpers", [0, 1])
def test_an_error_of_any_hand_is_raised_and_nothing_goes_on_behind_it(helpers: int) -> None:
    hands, running = Hands(helpers), []

    def work(piece: int) -> None:
        running.append(piece)
        time.sleep(0.01)
        if piece == 3:
            raise ValueError("the third")

    with pytest.raises(ValueError, match="the third"):
        hands.do(work, 100)
    begun = len(running)
    time.sleep(0.05)

    assert len(running) == begun < 100
    hands.close()
