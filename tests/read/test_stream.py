"""SubgridStream: one order for every number of ranks and workers, exactly once, resumable anywhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

Make = Callable[..., SubgridStream]
Key = tuple[str, int, int, int]


@pytest.fixture
def stream(simulated: Report) -> Make:
    """A stream of light columns over the training maps; arguments may be overridden."""

    def make(**changes: Any) -> SubgridStream:
        light = {"split": "train", "columns": ["entry_id", "start_zyx"]}
        arguments = {**light, "batch_size": 8, "seed": 1, "streams": 4, "remainder": "keep"}
        return SubgridStream("simulated", root=simulated.folder.parent, **{**arguments, **changes})

    return make


def keys(batch: dict[str, Any]) -> list[Key]:
    starts = batch["start_zyx"].tolist()
    return [(entry_id, *start) for entry_id, start in zip(batch["entry_id"], starts, strict=True)]


def epoch_of(stream: Any) -> list[list[Key]]:
    return [keys(batch) for batch in stream]


def everything(simulated: Report) -> set[Key]:
    table = load_dataset("simulated", split="train", root=simulated.folder.parent, columns=["entry_id", "start_zyx"])
    return {(row["entry_id"], *row["start_zyx"]) for row in table}


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


def test_it_resumes_at_every_batch(stream: Make) -> None:
    whole = epoch_of(stream())
    for batch in range(len(whole) + 1):
        opened = stream()
        opened.load_state_dict(opened.state_at(0, batch))
        assert epoch_of(opened) == whole[batch:]


def test_the_state_after_a_batch_leads_to_the_next_in_another_world(stream: Make) -> None:
    first = stream()
    first.set_epoch(3)
    iterator = iter(first)
    taken = [keys(next(iterator)) for _ in range(4)]
    state = first.state_dict()
    iterator.close()

    parts = []
    for rank in range(2):
        opened = stream(rank=rank, world_size=2)
        opened.load_state_dict(state)
        opened.set_epoch(3)  # what a training loop does at the head of an epoch: the place is kept
        parts.append(epoch_of(DataLoader(opened, batch_size=None, num_workers=rank)))
    rest = [a + b for a, b in zip(*parts, strict=True)]
    whole = stream()
    whole.set_epoch(3)

    assert taken + rest == epoch_of(whole)


def test_every_batch_tells_its_epoch_and_number(stream: Make) -> None:
    opened = stream()
    opened.set_epoch(5)

    assert [(batch["epoch"], batch["batch"]) for batch in opened] == [(5, number) for number in range(len(opened))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "seed is 1 in the state, 2 here"),
        ({"batch_size": 16}, "batch_size is 8 in the state, 16 here"),
        ({"streams": 2, "pool_volumes": 4}, "streams is 4 in the state, 2 here"),
        ({"split": "validation"}, "filter is "),
        ({"filter": [("n_ca_core", ">", 0)]}, "filter is "),
    ],
)
def test_a_state_of_another_stream_is_refused(stream: Make, change: dict[str, Any], message: str) -> None:
    state = stream().state_dict()

    with pytest.raises(UsageError) as caught:
        stream(**change).load_state_dict(state)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"streams": 3}, "batch_size=8 is not a multiple of streams=3; streams may be [1, 2, 4, 8]"),
        ({"rank": 0, "world_size": 3}, "world_size=3 does not divide streams=4; it may be [1, 2, 4]"),
        ({"rank": 2, "world_size": 2}, "rank=2; expected 0 to 1"),
        ({"pool_volumes": 6}, "pool_volumes=6 is not a multiple of streams=4"),
        ({"remainder": "pad"}, "remainder='pad'; expected one of drop, keep"),
        ({"split": "dev"}, "no split 'dev' of the scheme 'resolution'; found: train, validation, test, unassigned"),
    ],
)
def test_what_does_not_divide_is_refused_with_what_would(stream: Make, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stream(**change)

    assert str(caught.value) == message


def test_a_rank_without_a_sample_in_the_last_batch_is_refused_before_the_epoch(stream: Make, simulated: Report) -> None:
    total = len(everything(simulated))
    streams = next(n for n in (2, 4, 8) if total % n)
    # streams of n and of n + 1 sub-grids, n to a batch: the last batch holds only what some have left
    batch_size = streams * (total // streams)

    with pytest.raises(UsageError, match=f"the last batch would leave rank . of {streams} without a sample"):
        stream(streams=streams, pool_volumes=streams, batch_size=batch_size, rank=0, world_size=streams)


def test_each_volume_is_decoded_once_but_for_the_cuts_between_streams(stream: Make) -> None:
    opened = stream(streams=2, pool_volumes=2, columns=["entry_id", "start_zyx", "density"])

    epoch_of(opened)

    assert 3 <= opened.decodes <= 3 + 1


def test_arrays_are_those_of_load_dataset(simulated: Report) -> None:
    root = simulated.folder.parent
    table = load_dataset("simulated", split="train", root=root)
    expected = {(row["entry_id"], *row["start_zyx"]): row for row in table.select(range(0, len(table), 7))}
    compared = 0
    for batch in SubgridStream("simulated", split="train", batch_size=16, root=root, remainder="keep"):
        for i, key in enumerate(keys(batch)):
            if key in expected:
                compared += 1
                for name in ("density", "atom", "amino", "secondary"):
                    assert np.array_equal(expected[key][name], batch[name][i].numpy())
                assert expected[key]["resolution"] == batch["resolution"][i]

    assert compared == len(expected)


def test_tensors_are_of_the_declared_types_and_are_the_callers_own(simulated: Report) -> None:
    opened = SubgridStream("simulated", split="train", batch_size=8, root=simulated.folder.parent)
    iterator = iter(opened)
    first = next(iterator)
    kept = first["density"].clone()
    next(iterator)
    iterator.close()

    assert (first["density"].dtype, first["atom"].dtype) == (torch.float32, torch.uint8)
    assert first["density"].shape == (8, 32, 32, 32)
    assert torch.equal(kept, first["density"])


def test_a_filter_decodes_only_what_it_keeps(stream: Make, simulated: Report) -> None:
    opened = stream(filter=[("n_ca_core", ">", 3), ("entry_id", "==", "SIM-00002")])
    store = volumes_of(opened._reader.plan.source.key)
    before = store.decodes

    served = [key for batch in epoch_of(opened) for key in batch]

    assert {key[0] for key in served} == {"SIM-00002"}
    assert store.decodes - before <= 4  # one volume, cut by four streams


def test_an_empty_split_is_an_empty_stream(stream: Make) -> None:
    opened = stream(split="test")

    assert len(opened) == 0
    assert epoch_of(opened) == []


def test_a_batch_larger_than_all_there_is_is_refused(stream: Make, simulated: Report) -> None:
    count = len(everything(simulated))

    assert len(stream(batch_size=4096)) == 1
    with pytest.raises(UsageError, match=f"^batch_size=4096: {count:,} sub-grids, dealt to 4 streams, make no whole"):
        stream(batch_size=4096, remainder="drop")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(stream: Make) -> None:
    with pytest.raises(UsageError, match=r"^device='cuda': PyTorch .* finds no GPU; leave it out for the CPU$"):
        stream(device="cuda")


def test_a_stream_says_what_it_serves(stream: Make, simulated: Report) -> None:
    opened, count = stream(batch_size=64, remainder="drop"), len(everything(simulated))
    served, left = divmod(count, 64)

    assert repr(opened) == (
        f"<SubgridStream simulated@0.1.0: {served} batches of 64 from {count} sub-grids of 3 maps, {left} left out; "
        "seed=1, streams=4, pool_volumes=4>"
    )


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 1}, "rank=1, world_size=None; expected both, or neither"),
        ({"world_size": 2}, "rank=None, world_size=2; expected both, or neither"),
        ({"box": 0}, "core must be 1 to box, found core=20, box=0"),
        ({"pool_volumes": 0}, "pool_volumes=0 is not a multiple of streams=4"),
        ({"shuffle": 0}, "shuffle=0; expected True or False"),
        ({"batch_size": 0}, "batch_size=0; expected 1 or more"),
        ({"streams": 0}, "streams=0; expected 1 or more"),
        ({"device": "gpu"}, "device='gpu'; expected one that PyTorch knows, such as 'cuda' or 'cuda:1'"),
    ],
)
def test_what_makes_no_sense_is_refused(stream: Make, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(**change)


@pytest.mark.parametrize("name", ["batch_size", "streams", "pool_volumes", "seed"])
@pytest.mark.parametrize("value", [8.0, True, "8"])
def test_numbers_that_are_not_whole_are_refused(stream: Make, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}=.*expected a whole number"):
        stream(**{name: value})


def test_an_epoch_is_a_whole_number(stream: Make) -> None:
    with pytest.raises(UsageError, match=r"epoch=1\.7; expected a whole number"):
        stream().set_epoch(1.7)
