"""SubgridStream: one order for every number of ranks and workers, exactly once."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch.utils.data import DataLoader

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from tests.read.examples import too_many_workers
from tests.read.torch_stream.batches import Make, epoch_of, everything

pytestmark = too_many_workers


@pytest.mark.parametrize("streams", [1, 2, 4, 8])
@pytest.mark.parametrize("blocks", [1, 3])
def test_with_keep_every_sub_grid_comes_exactly_once(
    stream: Make, simulated: Report, streams: int, blocks: int
) -> None:
    served = [key for batch in epoch_of(stream(streams=streams, pool_volumes=streams * blocks)) for key in batch]

    assert len(served) == len(set(served))
    assert set(served) == everything(simulated)


def test_with_drop_batches_are_whole_and_what_is_left_out_is_told(stream: Make, simulated: Report) -> None:
    opened = stream(remainder="drop", batch_size=32)

    batches = epoch_of(opened)

    assert {len(batch) for batch in batches} == {32}
    assert len(opened) == len(batches)
    assert opened.dropped == len(everything(simulated)) - 32 * len(batches)


def test_ranks_see_the_parts_of_the_same_global_batches(stream: Make) -> None:
    whole = epoch_of(stream())
    for world in (1, 2, 4):
        parts = [epoch_of(stream(rank=rank, world_size=world)) for rank in range(world)]
        joined = [[key for part in batch for key in part] for batch in zip(*parts, strict=True)]
        assert joined == whole, f"world size {world}"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers_keep_the_order(stream: Make, workers: int, context: str) -> None:
    opened = stream()
    loader = DataLoader(opened, batch_size=None, num_workers=workers, multiprocessing_context=context)

    assert epoch_of(loader) == epoch_of(opened)


def test_persistent_workers_hear_of_the_epoch(stream: Make) -> None:
    opened = stream()
    expected = []
    for epoch in (0, 1, 2):
        opened.set_epoch(epoch)
        expected.append(epoch_of(opened))
    loader = DataLoader(opened, batch_size=None, num_workers=2, persistent_workers=True)

    found = []
    for epoch in (0, 1, 2):
        opened.set_epoch(epoch)
        found.append(epoch_of(loader))

    assert found == expected
    assert expected[0] != expected[1] != expected[2]


def test_seed_and_epoch_make_the_order_and_nothing_else(stream: Make) -> None:
    assert epoch_of(stream()) == epoch_of(stream())
    assert epoch_of(stream()) != epoch_of(stream(seed=2))


def test_an_epoch_is_whole_each_time_it_is_iterated(stream: Make) -> None:
    opened = stream()

    assert epoch_of(opened) == epoch_of(opened)


def test_a_pickled_stream_serves_the_same(stream: Make) -> None:
    assert epoch_of(pickle.loads(pickle.dumps(stream()))) == epoch_of(stream())


@pytest.fixture
def group_of_one() -> Iterator[Callable[[], None]]:
    """Makes this process a group of torch.distributed, rank 0 of 1."""

    def make() -> None:
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

    yield make
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_group_that_comes_later_and_says_otherwise_is_told(
    stream: Make, monkeypatch: pytest.MonkeyPatch, group_of_one: Callable[[], None], workers: int
) -> None:
    told = stream(rank=0, world_size=2)
    expected = epoch_of(told)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = stream()
    group_of_one()

    assert epoch_of(told) == expected  # who says it, means it
    assert len(epoch_of(stream())) == len(expected)
    with pytest.raises(UsageError, match="as rank 0 of 2, before the group .* in which this is rank 0 of 1; open"):
        epoch_of(DataLoader(found, batch_size=None, num_workers=workers))


def test_before_the_group_is_there_torchrun_tells_the_rank(stream: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = epoch_of(stream(rank=1, world_size=2))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert epoch_of(stream()) == expected != epoch_of(stream(rank=0, world_size=2))
