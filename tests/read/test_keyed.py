"""Shuffled streams of `load_dataset`: the keyed order, exactly resumable, behind genuine `datasets` objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from cryodata.read.decode import Volumes
from cryodata.torch import SubgridStream

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

Open = Callable[..., Any]
Place = tuple[str, int, int, int]

LIGHT = ["entry_id", "start_zyx"]


def order_of(opened: Any, place: Open) -> list[Place]:
    return [place(example) for example in opened]


def test_a_shuffled_stream_is_a_genuine_dataset_of_the_same_examples(
    stream: Open, places: list[Place], place: Open
) -> None:
    opened = stream(shuffle=1, columns=LIGHT)

    assert isinstance(opened, datasets.IterableDataset)
    assert order_of(opened, place) != places
    assert sorted(order_of(opened, place)) == sorted(places)


def test_shuffle_on_the_result_is_the_same_as_shuffle_in_the_call(stream: Open, place: Open) -> None:
    assert order_of(stream(columns=LIGHT).shuffle(7), place) == order_of(stream(columns=LIGHT, shuffle=7), place)


def test_it_mixes_volumes_and_decodes_each_once_but_for_the_cuts(stream: Open, decoder: Volumes) -> None:
    opened = stream(shuffle=1)

    ids = [example["entry_id"] for example in opened]

    assert len(set(ids[:16])) == 3
    assert decoder.decodes <= 3 + 7


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_its_order_is_that_of_the_pytorch_stream(stream: Open, simulated: Report, place: Open, epoch: int) -> None:
    batches = SubgridStream(
        "simulated", split="train", batch_size=8, seed=5, remainder="keep", columns=LIGHT, root=simulated.folder.parent
    )
    opened = stream(columns=LIGHT, shuffle=5)
    batches.set_epoch(epoch)
    opened.set_epoch(epoch)
    expected = [
        (entry_id, *start)
        for batch in batches
        for entry_id, start in zip(batch["entry_id"], batch["start_zyx"].tolist(), strict=True)
    ]

    assert order_of(opened, place) == expected


@pytest.mark.parametrize(("streams", "pool"), [(1, 3), (2, 2), (4, 8)])
@pytest.mark.parametrize("size", [None, 24])
def test_streams_and_the_maps_mixed_at_a_time_are_those_that_were_asked_for(
    stream: Open, simulated: Report, place: Open, streams: int, pool: int, size: int | None
) -> None:
    opened = stream(columns=LIGHT, shuffle=5, streams=streams, pool_volumes=pool, batch_size=size)
    arguments = {"split": "train", "seed": 5, "remainder": "keep", "columns": LIGHT, "root": simulated.folder.parent}
    batches = SubgridStream("simulated", batch_size=size or streams, streams=streams, pool_volumes=pool, **arguments)
    found = [
        (entry_id, *start)
        for batch in (opened if size else [{name: [example[name] for example in opened] for name in LIGHT}])
        for entry_id, start in zip(batch["entry_id"], np.asarray(batch["start_zyx"]).tolist(), strict=True)
    ]

    assert opened.num_shards == streams
    assert found == [
        (entry_id, *start)
        for batch in batches
        for entry_id, start in zip(batch["entry_id"], batch["start_zyx"].tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shuffle": 1, "streams": 3, "batch_size": 8}, "streams"),
        ({"shuffle": 1, "streams": 0}, "streams"),
        ({"streams": 2}, "streams=2 without shuffle="),
    ],
)
def test_streams_that_do_not_divide_are_refused(stream: Open, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(**arguments)


@pytest.mark.parametrize("taken", [0, 1, 7, 8, 9, 50])
def test_it_resumes_exactly(stream: Open, place: Open, taken: int) -> None:
    whole = order_of(stream(columns=LIGHT, shuffle=3), place)
    first = stream(columns=LIGHT, shuffle=3)
    iterator = iter(first)
    for _ in range(taken):
        next(iterator)

    second = stream(columns=LIGHT, shuffle=3)
    second.load_state_dict(first.state_dict())

    assert order_of(second, place) == whole[taken:]


def test_it_resumes_through_map_filter_and_batch(stream: Open) -> None:
    def make() -> Any:
        opened = stream(columns=LIGHT, shuffle=3).map(lambda row: {"z": row["start_zyx"][0]})
        return opened.filter(lambda row: row["z"] >= 0).batch(4)

    whole = list(make())
    first = make()
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    second = make()
    second.load_state_dict(first.state_dict())

    assert list(second) == whole[3:]


def test_another_epoch_is_another_order_of_the_same_set(stream: Open, place: Open) -> None:
    opened = stream(columns=LIGHT, shuffle=1)
    first = order_of(opened, place)
    opened.set_epoch(1)
    second = order_of(opened, place)

    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_give_the_same_set_and_one_worker_the_order(
    stream: Open, places: list[Place], place: Open, workers: int
) -> None:
    opened = stream(columns=LIGHT, shuffle=1)

    found = [place(row) for row in DataLoader(opened, batch_size=None, num_workers=workers)]

    assert sorted(found) == sorted(places)
    assert workers > 1 or found == order_of(opened, place)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_nodes_share_the_examples(stream: Open, places: list[Place], place: Open, world: int) -> None:
    parts = [split_dataset_by_node(stream(columns=LIGHT, shuffle=1), rank, world) for rank in range(world)]

    assert sorted(row for part in parts for row in order_of(part, place)) == sorted(places)


@pytest.mark.parametrize(("size", "shuffle"), [(16, 2), (6, 2), (5, 2), (7, None)])
def test_whole_batches_hold_the_same_examples(
    stream: Open, places: list[Place], size: int, shuffle: int | None
) -> None:
    batches = list(stream(columns=["density", *LIGHT], batch_size=size, shuffle=shuffle))

    found = [
        (entry_id, *map(int, start))
        for batch in batches
        for entry_id, start in zip(batch["entry_id"], batch["start_zyx"], strict=True)
    ]
    assert sorted(found) == sorted(places)
    assert shuffle is not None or found == places
    assert batches[0]["density"].shape == (size, 32, 32, 32)
    assert {len(batch["entry_id"]) for batch in batches[:-2]} == {size}


def test_whole_batches_declare_their_types_and_become_tensors(stream: Open) -> None:
    opened = stream(columns=["density", "atom", *LIGHT], batch_size=8, shuffle=1)

    batch = next(iter(opened.with_format("torch")))

    assert opened.features["density"] == datasets.Array4D((None, 32, 32, 32), "float32")
    assert (tuple(batch["density"].shape), str(batch["density"].dtype)) == ((8, 32, 32, 32), "torch.float32")
    assert tuple(batch["start_zyx"].shape) == (8, 3)


def test_arrays_are_those_of_the_table(stream: Open, table: Open, place: Open) -> None:
    expected = {place(row): row for row in table()}
    for example in stream(shuffle=1).take(40):
        for name in ("density", "atom", "amino", "secondary"):
            assert np.array_equal(expected[place(example)][name], example[name])


@pytest.mark.parametrize("change", [{"streaming": False, "shuffle": 1}, {"config": "volumes", "batch_size": 2}])
def test_the_keyed_order_is_for_streams_of_sub_grids(stream: Open, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="are for streams of sub-grids: streaming=True$"):
        stream(**change)


@pytest.mark.parametrize("shuffle", [None, 3])
def test_a_state_of_another_split_is_refused(stream: Open, shuffle: int | None) -> None:
    other = stream(columns=LIGHT, shuffle=shuffle, split="validation")
    next(iter(other))
    opened = stream(columns=LIGHT, shuffle=shuffle)
    opened.load_state_dict(other.state_dict())

    with pytest.raises(UsageError, match="^the state is of another dataset, version, split"):
        next(iter(opened))


@pytest.mark.parametrize("change", [{"shuffle": 2}, {"batch_size": 16}, {"pool_volumes": 16}], ids=str)
def test_a_state_of_another_order_is_refused(stream: Open, change: dict[str, Any]) -> None:
    opened = stream(columns=LIGHT, shuffle=1, batch_size=8)
    next(iter(opened))
    other = stream(columns=LIGHT, **{"shuffle": 1, "batch_size": 8, **change})
    other.load_state_dict(opened.state_dict())

    with pytest.raises(UsageError, match="the state is of another dataset, version, split, filter, seed or batch size"):
        next(iter(other))
