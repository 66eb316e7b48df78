"""One-to-one matching: the best one is the best, the greedy one follows its rule."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from cryodata.baseline.scoring.matching import FloatArray, Pairs, match_greedily, match_optimally, near_pairs
from cryodata.core.calphas import Crystal
from cryodata.errors import DatasetError


def on_a_line(*places: float) -> FloatArray:
    return np.array([[place, 0.0, 0.0] for place in places])


def listed(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.model.tolist(), pairs.reference.tolist(), strict=True))


def best_by_trying_all(model: FloatArray, reference: FloatArray, cap: float) -> tuple[int, float]:
    """Most pairs, and the least sum of distances with so many."""
    distance = np.linalg.norm(model[:, None] - reference[None], axis=2)
    found = (0, 0.0)
    for order in permutations(range(len(reference)), len(model)):
        kept = [distance[i, j] for i, j in enumerate(order) if distance[i, j] <= cap]
        if (-len(kept), sum(kept)) < (-found[0], found[1]):
            found = (len(kept), sum(kept))
    return found


def test_near_pairs_are_all_within_the_cap_and_the_cap_itself_is() -> None:
    near = near_pairs(on_a_line(0, 10), on_a_line(3, 3.000001, -1), 3.0)

    assert listed(near) == [(0, 2), (0, 0)]
    assert near.distance.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(("model", "reference"), [((), (1,)), ((1,), ()), ((), ()), ((0,), (50,))])
def test_nothing_near_is_no_pair(model: tuple[float, ...], reference: tuple[float, ...]) -> None:
    near = near_pairs(on_a_line(*model).reshape(-1, 3), on_a_line(*reference).reshape(-1, 3), 3.0)

    assert len(near) == len(match_optimally(near)) == len(match_greedily(near)) == 0
    assert near.rmsd is None


def test_more_pairs_go_before_shorter_ones() -> None:
    # 0 is nearest to 1, and alone with it would be shorter; but then -1.9 has no partner
    model, reference = on_a_line(-1.9, 0.0), on_a_line(1.0, 2.9)
    best = match_optimally(near_pairs(model, reference, 3.0))

    assert listed(best) == [(0, 0), (1, 1)]
    assert best.distance.tolist() == pytest.approx([2.9, 2.9])


def test_the_greedy_rule_takes_the_nearest_then_the_next_then_none() -> None:
    reference = on_a_line(0.0, 1.0, 2.0)
    near = near_pairs(on_a_line(0.1, 0.2, 0.3, 2.0), reference, 3.0)

    # 0.1 takes 0; 0.2 finds 0 taken and takes 1; 0.3 finds both taken and gives up though 2 is free; 2.0 takes 2
    assert listed(match_greedily(near)) == [(0, 0), (1, 1), (3, 2)]
    assert len(match_optimally(near)) == 3


def test_the_greedy_rule_depends_on_the_order_and_the_best_does_not() -> None:
    model, reference = on_a_line(0.4, 0.0), on_a_line(0.0, 4.0)
    orders = (model, model[::-1])

    assert [match_greedily(near_pairs(item, reference, 3.0)).rmsd for item in orders] == [0.4, 0.0]
    assert [match_optimally(near_pairs(item, reference, 3.0)).rmsd for item in orders] == [0.0, 0.0]


def test_the_best_matching_is_the_best_of_all(series: Callable[[str, int], list[int]]) -> None:
    for seed in series("matching against all orders", 200):
        rng = np.random.default_rng(seed)
        model, reference = rng.uniform(0, 6, (4, 3)), rng.uniform(0, 6, (6, 3))
        best = match_optimally(near_pairs(model, reference, 3.0))

        count, total = best_by_trying_all(model, reference, 3.0)
        assert (len(best), float(best.distance.sum())) == (count, pytest.approx(total))


def test_a_large_matching_is_the_one_of_the_dense_solver() -> None:
    rng = np.random.default_rng(0)
    reference = rng.uniform(0, 40, (900, 3))
    model = np.concatenate([reference[:700] + rng.normal(0, 1.2, (700, 3)), rng.uniform(0, 40, (300, 3))])
    best = match_optimally(near_pairs(model, reference, 3.0))
    cost = np.linalg.norm(model[:, None] - reference[None], axis=2)
    cost = np.where(cost <= 3.0, cost, 1e6)
    rows, columns = linear_sum_assignment(cost)
    kept = cost[rows, columns] < 1e6

    assert len(best) == np.count_nonzero(kept) < 900
    assert best.distance.sum() == pytest.approx(cost[rows, columns][kept].sum())
    assert len(set(best.model.tolist())) == len(set(best.reference.tolist())) == len(best)


def test_pairs_across_a_crystal_are_those_of_all_its_copies() -> None:
    # P 21 of a skewed cell; axes as columns
    to_xyz = np.array([[20.0, 0.0, -4.0], [0.0, 14.0, 0.0], [0.0, 0.0, 25.0]])
    rotation = np.array([np.eye(3), np.diag([-1.0, 1.0, -1.0])])
    crystal = Crystal(np.linalg.inv(to_xyz), rotation, np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    rng = np.random.default_rng(1)
    model, reference = rng.uniform(-60, 60, (40, 3)), rng.uniform(-60, 60, (30, 3))
    steps = np.array(list(np.ndindex(15, 19, 15))) - (7, 9, 7)
    fraction = reference @ crystal.fraction_of_xyz.T
    copies = [(fraction @ turn.T + shift) @ to_xyz.T for turn, shift in zip(rotation, crystal.translation, strict=True)]
    everywhere = np.concatenate([item[None] + (steps @ to_xyz.T)[:, None] for item in copies])  # copies, residues, 3
    nearest = np.stack([np.linalg.norm(everywhere - place, axis=2).min(axis=0) for place in model])
    near = near_pairs(model, reference, 3.0, crystal)

    assert len(near) > 20 > len(near_pairs(model, reference, 3.0))
    assert sorted(listed(near)) == sorted(zip(*(axis.tolist() for axis in np.nonzero(nearest <= 3.0)), strict=True))
    assert near.distance == pytest.approx(nearest[near.model, near.reference])


def test_residues_heaped_in_one_place_are_refused_before_memory_is_taken() -> None:
    heap = np.zeros((3000, 3))
    with pytest.raises(DatasetError) as error:
        near_pairs(heap, heap, 3.0)

    expected = "a residue has 3,000 others within 3 A on average; no protein is so dense"
    assert str(error.value) == expected
