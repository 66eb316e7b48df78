"""Splits of what hangs together: no component is divided, and nothing that stands is moved."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.components import components, split_components
from cryodata.core.splits import fraction_of


def edges(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def units(count: int) -> list[str]:
    return [f"EMD-{number:05d}" for number in range(count)]


def test_components_are_what_edges_hold_together() -> None:
    assert components(7, edges((5, 1), (1, 2), (6, 3))).tolist() == [0, 1, 1, 3, 4, 1, 3]
    assert components(3, edges()).tolist() == [0, 1, 2]
    assert components(0, edges()).tolist() == []


def test_a_long_chain_is_one_component_whatever_the_order_of_its_links() -> None:
    order = np.random.Generator(np.random.PCG64(0)).permutation(2000)
    links = np.stack([order[:-1], order[1:]], axis=1)

    assert set(components(2000, links).tolist()) == {0}


def test_joined_units_share_a_split() -> None:
    names = units(400)
    pairs = edges(*((number, number + 1) for number in range(0, 400, 2)))

    splits = split_components(names, pairs, {}, 0)

    assert {splits[names[number]] == splits[names[number + 1]] for number in range(0, 400, 2)} == {True}
    assert set(splits.values()) == {"train", "validation"}


def test_a_unit_that_is_joined_to_none_is_held_out_by_its_hash() -> None:
    names = units(300)

    splits = split_components(names, edges(), {}, 0)

    assert splits == {name: "validation" if fraction_of(name, 0) < 0.1 else "train" for name in names}


@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_a_tenth_of_the_components_is_held_out_whatever_their_size(size: int) -> None:
    # by the smallest hash as it is, 1 - 0.9^20 = 88 % of the components of 20 would be
    names = units(600 * size)
    pairs = edges(*((number, number + 1) for number in range(len(names) - 1) if (number + 1) % size))

    splits = split_components(names, pairs, {}, 3)

    assert 0.06 < sum(split == "validation" for split in splits.values()) / len(names) < 0.14


@pytest.mark.parametrize(("size", "expected"), [(5, {"train", "validation"}), (6, {"train"})])
def test_a_component_of_more_than_a_twentieth_of_all_units_is_for_training(size: int, expected: set[str]) -> None:
    names = units(100)
    pairs = edges(*((number, number + 1) for number in range(size - 1)))

    found = {split_components(names, pairs, {}, seed)[names[0]] for seed in range(60)}

    assert found == expected


def test_a_new_unit_goes_where_what_it_is_joined_to_stands() -> None:
    fixed = {"a": "train", "b": "validation", "c": "test"}

    splits = split_components(["a", "b", "c", "x", "y", "z"], edges((0, 3), (1, 4), (2, 5)), fixed, 0)

    assert splits == {**fixed, "x": "train", "y": "validation", "z": "test"}


def test_a_new_unit_that_would_bridge_two_splits_is_unassigned_and_its_neighbours_are_not() -> None:
    # train a - x - b validation; y is joined to x and to a
    fixed = {"a": "train", "b": "validation"}

    splits = split_components(["a", "b", "x", "y"], edges((0, 2), (2, 1), (2, 3), (3, 0)), fixed, 0)

    assert splits == {**fixed, "x": "unassigned", "y": "train"}


def test_new_units_that_bridge_two_splits_together_are_unassigned() -> None:
    fixed = {"a": "train", "b": "validation"}  # a - x - y - b

    splits = split_components(["a", "b", "x", "y"], edges((0, 2), (2, 3), (3, 1)), fixed, 0)

    assert splits == {**fixed, "x": "unassigned", "y": "unassigned"}


def test_what_was_unassigned_binds_nothing() -> None:
    fixed = {"a": "unassigned", "b": "train"}  # x - a, x - b

    assert split_components(["a", "b", "x"], edges((2, 0), (2, 1)), fixed, 0)["x"] == "train"


def test_units_that_stand_are_not_moved_even_where_they_are_joined() -> None:
    fixed = {"a": "train", "b": "test"}  # a list of somebody's own

    assert split_components(["a", "b"], edges((0, 1)), fixed, 0) == fixed
