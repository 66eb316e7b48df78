"""Memory serves again when nobody holds it, and never before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cryodata.compiled import LINE
from cryodata.read.buffers import Buffers, arrays_at, placed

torch = pytest.importorskip("torch")


def test_memory_serves_again_when_the_last_array_over_it_is_gone() -> None:
    buffers = Buffers(2)
    first = buffers.new(1000)
    place = first.ctypes.data
    piece = first[10:20].view(np.uint16).reshape(5)
    tensor = torch.from_numpy(first)

    del first
    assert buffers.new(1000).ctypes.data != place
    del piece
    assert buffers.new(1000).ctypes.data != place
    part = tensor[3:]
    del tensor
    assert buffers.new(1000).ctypes.data != place
    del part
    assert buffers.new(1000).ctypes.data == place


def test_what_is_held_is_never_written_over() -> None:
    buffers, held = Buffers(2), []
    for number in range(20):
        array = buffers.new(64)
        array[:] = number
        if number % 3:
            held.append((number, array[::2]))
        del array

    assert [number for number, array in held if not (array == number).all()] == []


def test_no_more_spare_memory_is_kept_than_was_said() -> None:
    buffers = Buffers(2)
    arrays = [buffers.new(1 << 20) for _ in range(5)]
    places = {array.ctypes.data for array in arrays}
    del arrays

    assert len(buffers._spare) == 2
    assert {array.ctypes.data for array in (buffers.new(1 << 20), buffers.new(1 << 20))} <= places


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1 << 23])
def test_memory_is_of_the_size_that_was_asked_for_and_aligned(size: int) -> None:
    buffers = Buffers(1)
    for _ in range(2):
        array = buffers.new(size)
        assert (array.shape, array.dtype, array.ctypes.data % LINE) == ((size,), np.uint8, 0)
        del array


def test_a_copy_in_another_process_begins_with_nothing() -> None:
    buffers = Buffers(2)
    del (kept := [buffers.new(1 << 20)])[:]

    assert (len(buffers._spare), len(pickle.loads(pickle.dumps(buffers))._spare), kept) == (1, 0, [])


def test_arrays_of_a_batch_lie_beside_each_other() -> None:
    layouts = {"a": ((3, 5), np.dtype(np.float32)), "b": ((7,), np.dtype(np.uint8)), "c": ((0, 3), np.dtype(np.int32))}
    places, size = placed(layouts)
    memory = Buffers(1).new(size)
    arrays = arrays_at(places, memory)
    for number, array in enumerate(arrays.values()):
        array[...] = number

    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == layouts
    assert [(array == number).all() for number, array in enumerate(arrays.values())] == [True] * 3
    assert all(array.ctypes.data % LINE == 0 for array in arrays.values())
