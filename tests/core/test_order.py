"""The order is a function: exactly once, the same however it is asked for, and small."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cryodata.core.order import EpochOrder, keyed_permutation

COUNTS = [
    pytest.param([5, 0, 12, 1, 7, 30, 2], id="ragged"),
    pytest.param([1331] * 9, id="equal"),
    pytest.param([3], id="one volume"),
    pytest.param([0, 0], id="nothing kept"),
    pytest.param([], id="no volumes"),
]


def served(order: EpochOrder) -> list[tuple[int, int]]:
    pairs = []
    for stream in range(order.streams):
        for number in range(order.blocks(stream)):
            block = order.block(stream, number)
            pairs += list(zip(block.volume.tolist(), block.place.tolist(), strict=True))
    return pairs


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("streams", [1, 2, 3, 8])
@pytest.mark.parametrize("block_volumes", [1, 2, 100])
def test_every_sub_grid_is_served_exactly_once(counts: list[int], streams: int, block_volumes: int) -> None:
    order = EpochOrder(np.array(counts, dtype=np.int64), 7, 3, streams, block_volumes)

    assert sorted(served(order)) == [(volume, place) for volume, n in enumerate(counts) for place in range(n)]


@pytest.mark.parametrize("streams", [1, 3, 8])
@pytest.mark.parametrize("block_volumes", [1, 2])
def test_blocks_follow_each_other_and_hold_the_positions_that_they_say(streams: int, block_volumes: int) -> None:
    order = EpochOrder(np.array([5, 0, 12, 1, 7, 30, 2]), 0, 0, streams, block_volumes)
    for stream in range(streams):
        end = 0
        for number in range(order.blocks(stream)):
            first, last = order.block_span(stream, number)
            assert first == end
            assert {order.block_of(stream, position) for position in range(first, last)} <= {number}
            assert len(order.block(stream, number).volume) == last - first
            end = last
        assert end == order.length(stream)


def test_streams_are_equal_within_one() -> None:
    order = EpochOrder(np.array([1331] * 7), 0, 0, 8)

    assert {order.length(stream) for stream in range(8)} <= {7 * 1331 // 8, 7 * 1331 // 8 + 1}


def test_a_volume_is_decoded_by_two_streams_only_where_a_cut_crosses_it() -> None:
    order = EpochOrder(np.array([1331] * 50), 0, 0, 8)

    decodes = sum(len(order.block(c, b).volumes) for c in range(8) for b in range(order.blocks(c)))

    assert 50 <= decodes <= 50 + 7


def test_another_epoch_or_seed_gives_another_order_and_the_same_gives_the_same() -> None:
    counts = np.array([1331] * 4)

    assert served(EpochOrder(counts, 1, 0, 2)) == served(EpochOrder(counts, 1, 0, 2))
    assert served(EpochOrder(counts, 1, 0, 2)) != served(EpochOrder(counts, 1, 1, 2))
    assert served(EpochOrder(counts, 1, 0, 2)) != served(EpochOrder(counts, 2, 0, 2))


def test_without_shuffle_the_order_is_that_of_the_table() -> None:
    order = EpochOrder(np.array([3, 2]), 0, 5, 1, shuffle=False)

    assert served(order) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_the_permutation_is_fixed_for_all_time() -> None:
    # a state stored by an older version must find the same order
    assert keyed_permutation(8, "block", 0, 0, 0, 0).tolist() == [7, 3, 1, 2, 4, 6, 0, 5]


def test_a_permutation_is_uniform_enough() -> None:
    firsts = np.bincount([keyed_permutation(10, seed)[0] for seed in range(5000)], minlength=10)

    # 500 each, standard deviation 21
    assert firsts.min() > 400
    assert firsts.max() < 600


def test_39_million_sub_grids_in_7600_volumes_take_little_memory() -> None:
    counts = np.full(7_600, 5_132)  # 39.0 million
    tracemalloc.start()

    order = EpochOrder(counts, 0, 0, 8)
    position = order.length(5) // 2
    block = order.block(5, order.block_of(5, position))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(order) == 7_600 * 5_132
    assert len(block.volumes) == 1
    assert peak < 5_000_000
