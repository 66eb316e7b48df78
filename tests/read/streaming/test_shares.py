"""Epochs, shuffling, nodes and workers: who gets which examples, and in which order."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from tests.read.examples import CONFIGS, LIGHT, Open, Place, key, too_many_workers

# epochs and


def test_epochs_are_the_same_examples_volume_by_volume_in_other_orders(
    stream: Open, places: list[Place], place: Open
) -> None:
    opened = stream(columns=LIGHT)
    orders = set()
    for epoch in range(6):
        opened.set_epoch(epoch)
        found = [place(example) for example in opened]
        volumes = list(dict.fromkeys(entry_id for entry_id, *_ in found))
        orders.add(tuple(volumes))

        assert [one for entry_id in volumes for one in places if one[0] == entry_id] == found
        assert found == [place(example) for example in opened]

    assert len(orders) > 1

    opened.set_epoch(0)

    assert places == [place(example) for example in opened]


def test_a_shuffle_is_a_permutation_that_its_seed_gives_back(stream: Open, places: list[Place], place: Open) -> None:
    def shuffled(seed: int, epoch: int = 0) -> list[Place]:
        opened = stream(columns=LIGHT).shuffle(seed, buffer_size=50)
        opened.set_epoch(epoch)
        return [place(example) for example in opened]

    orders = [shuffled(1), shuffled(2), shuffled(1, epoch=1)]

    assert orders == [shuffled(1), shuffled(2), shuffled(1, epoch=1)]
    assert all(sorted(order) == places for order in orders)
    assert len({tuple(order) for order in [*orders, places]} - {tuple(places)}) == 3


# nodes and


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "prepare", [lambda opened: opened, lambda opened: opened.shuffle(5, buffer_size=9)], ids=["plain", "shuffled"]
)
def test_nodes_share_the_examples_exactly(
    stream: Open, places: list[Place], place: Open, world: int, prepare: Open
) -> None:
    ranks = [
        [place(example) for example in split_dataset_by_node(prepare(stream(columns=LIGHT)), rank, world)]
        for rank in range(world)
    ]

    assert places == sorted(one for rank in ranks for one in rank)
    assert all(ranks)


def test_nodes_with_workers_share_the_examples_exactly(stream: Open, places: list[Place], place: Open) -> None:
    found = []
    for rank in range(2):
        opened = split_dataset_by_node(stream(columns=LIGHT), rank, world_size=2)
        found += [place(example) for example in DataLoader(opened, batch_size=None, num_workers=2)]

    assert places == sorted(found)


@too_many_workers
@pytest.mark.parametrize("workers", [0, 1, 2, 3, 4])
def test_workers_give_every_example_once_and_up_to_one_keep_the_order(
    stream: Open, places: list[Place], place: Open, workers: int
) -> None:
    found = [place(example) for example in DataLoader(stream(), batch_size=None, num_workers=workers)]

    assert places == sorted(found)
    assert workers > 1 or places == found


def test_a_worker_keeps_the_order_of_its_volumes(stream: Open, places: list[Place], place: Open) -> None:
    found = [place(example) for example in DataLoader(stream(columns=LIGHT), batch_size=None, num_workers=2)]

    for entry_id in {one[0] for one in places}:
        assert [one for one in places if one[0] == entry_id] == [one for one in found if one[0] == entry_id]


def test_spawned_workers_give_the_same_examples(stream: Open) -> None:
    expected = {key(example): example["density"].tobytes() for example in stream()}

    loader = DataLoader(stream(), batch_size=None, num_workers=2, multiprocessing_context="spawn")

    assert expected == {key(example): example["density"].numpy().tobytes() for example in loader}


def test_persistent_workers_follow_the_epoch(stream: Open, places: list[Place], place: Open) -> None:
    opened = stream(columns=LIGHT).shuffle(3, buffer_size=9)
    loader = DataLoader(opened, batch_size=None, num_workers=2, persistent_workers=True)
    orders = []
    for epoch in range(3):
        opened.set_epoch(epoch)
        orders.append([place(example) for example in loader])

    assert [places] * 3 == [sorted(order) for order in orders]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("config", CONFIGS)
def test_a_pickled_stream_is_small_and_gives_the_same(stream: Open, config: str) -> None:
    condition = [("atom", "==", "CA")] if config == "atoms" else [("entry_id", "!=", "SIM-00001")]
    opened = stream(config=config, filter=condition)
    pickled = pickle.dumps(opened)

    def shown(found: Any) -> list[str]:
        return [
            repr({name: np.asarray(value).tolist() for name, value in example.items()}) for example in found.take(20)
        ]

    assert len(pickled) < 50_000
    assert shown(opened) == shown(pickle.loads(pickled))
