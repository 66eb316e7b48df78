"""At the size of the whole archive order, state and resume stay small: nothing there is as long as an epoch."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from benchmarks.read.scale import VOLUMES, filtered, reader_of, replaced
from cryodata.core import order
from cryodata.core.balance import Balance
from cryodata.read.plan import StreamPlan, checked_state
from cryodata.read.sources import Sampling, SubgridSource
from cryodata.read.stream import BatchReader


@pytest.fixture(params=["all", "filtered"])
def source(request: pytest.FixtureRequest) -> SubgridSource:
    """7,600 volumes with 39 million sub-grids and more, all of them or half."""
    whole, counts = replaced(VOLUMES)
    assert counts.sum() > 39e6
    return whole if request.param == "all" else filtered(whole, counts)


@pytest.fixture
def permuted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the permutations that are made."""
    lengths: list[int] = []
    real = order.keyed_permutation

    def counted(count: int, *key: int | str) -> Any:
        lengths.append(count)
        return real(count, *key)

    monkeypatch.setattr(order, "keyed_permutation", counted)
    return lengths


def told(batch: dict[str, Any]) -> list[tuple[str, int, int, int]]:
    return [(name, *start) for name, start in zip(batch["entry_id"], batch["start_zyx"].tolist(), strict=True)]


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9])
def test_a_resume_gives_the_next_batch_and_looks_at_its_blocks_alone(
    source: SubgridSource, permuted: list[int], place: float
) -> None:
    reader = reader_of(source)
    batch = int(place * len(reader)) + 1
    passing = reader.batches(2, batch - 1)
    next(passing)
    expected = told(next(passing)[1])
    permuted.clear()

    plan = reader_of(source).plan
    epoch, first = checked_state({**reader.plan.identity(), "epoch": 2, "next_batch": batch}, plan)
    number, found = next(reader_of(source).batches(epoch, first))

    assert (number, told(found)) == (batch, expected)
    assert len(set(expected)) == 64
    # the volumes once, and a block of one volume for each of 8 streams; two where a batch lies across its end
    assert VOLUMES < sum(permuted) <= VOLUMES + 8 * 2 * int(reader.counts.max())
    assert sum(permuted) < 0.01 * reader.counts.sum()


def test_it_takes_a_few_megabytes(source: SubgridSource) -> None:
    tracemalloc.start()
    try:
        reader = reader_of(source)
        kept = [next(reader.batches(0, int(place * len(reader)))) for place in (0.0, 0.1, 0.5, 0.9)]
        reader.plan.identity()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(kept) == 4
    # 7,600 volumes: a few arrays and lists of ids; 8 blocks of some 5,000 sub-grids: some 300 bytes each
    assert peak + (source.kept.bits.nbytes if source.kept is not None else 0) < 20e6


def test_a_state_is_told_without_a_look_at_the_sub_grids(source: SubgridSource) -> None:
    reader = reader_of(source)
    reader.plan.identity()  # what is kept is hashed once
    tracemalloc.start()
    try:
        reader.plan.identity()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2e6 < source.volumes.nbytes * 100


def test_only_the_volumes_of_the_streams_blocks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = order.EpochOrder.volumes_of_block

    def counted(self: order.EpochOrder, stream: int, block: int) -> Any:
        volumes = real(self, stream, block)
        asked.extend(volumes.tolist())
        return volumes

    monkeypatch.setattr(order.EpochOrder, "volumes_of_block", counted)
    reader = BatchReader(StreamPlan(replaced(VOLUMES)[0], 64, 0, True, 8, 16, "drop", Sampling()), [3])

    next(reader.batches(0, len(reader) // 2))

    assert 2 <= len(set(asked)) <= 4  # its block of two, and the next, on more than one core


def test_weights_of_a_balance_are_those_of_the_block() -> None:
    plan = StreamPlan(replaced(VOLUMES)[0], 64, 0, True, 8, 8, "drop", Sampling(balance=Balance.parse("map")))
    reader = BatchReader(plan, range(8))

    _, batch = next(reader.batches(0, len(reader) // 2))

    assert np.allclose(batch["probability"], 1.0)  # a block is one map: every sub-grid of it is drawn once
