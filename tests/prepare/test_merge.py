"""Models of one map: those that show different molecules are merged, of the same molecule the best is taken."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.prepare.merge import chain_names, choose_models, merged, overlap, within
from cryodata.prepare.simulate import random_protein


@pytest.mark.parametrize("seed", range(5))
def test_points_within_a_distance_are_those_that_all_pairs_give(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.uniform(-9, 9, (200, 3)), rng.uniform(-9, 12, (300, 3))
    expected = (np.linalg.norm(one[:, None] - two[None], axis=2) <= 2.0).any(axis=1)
    assert 0 < expected.sum() < 200

    np.testing.assert_array_equal(expected, within(one, two, 2.0))


def test_overlap_is_the_larger_share() -> None:
    one = np.arange(10)[:, None] * [4.0, 0.0, 0.0]

    assert overlap(one, one[:5]) == 1.0  # all of the five, half of the ten
    assert overlap(one, one + 100.0) == 0.0


A = np.arange(20)[:, None] * [4.0, 0.0, 0.0]
B = A + np.array([0.0, 50.0, 0.0])


@pytest.mark.parametrize(
    ("models", "fits", "expected"),
    [
        pytest.param([A], [0.2], [0], id="the only one"),
        pytest.param([A, B], [3.0, 2.0], [0, 1], id="two molecules"),
        pytest.param([A, B], [3.0, 0.9], [0], id="one does not fit"),
        pytest.param([A, A + 0.5], [3.0, 3.5], [1], id="the same molecule: the better"),
        pytest.param([A, A + 0.5, B], [3.0, 3.5, 2.0], [0, 2], id="in order of their ids"),
        pytest.param([A, B], [0.3, 0.4], [1], id="none fits"),
        pytest.param([A, np.concatenate([A[:1], B[:18]])], [2.0, 2.0], [0, 1], id="one of nineteen is shared"),
        pytest.param([A, np.concatenate([A[:2], B[:18]])], [2.0, 2.1], [1], id="a tenth is too much"),
    ],
)
def test_models_that_fit_and_do_not_overlap_are_chosen(
    models: list[np.ndarray], fits: list[float], expected: list[int]
) -> None:
    assert choose_models(models, fits) == expected


def test_merged_models_keep_every_atom_under_names_of_their_own() -> None:
    one, two = (
        random_protein(1, chains=2, residues=16, radius=22.0),
        random_protein(2, chains=2, residues=16, radius=22.0),
    )
    names = chain_names([one.chain.tolist(), two.chain.tolist()])

    both = merged([one, two], names)

    assert names == [{"A": "A", "B": "B"}, {"A": "A-2", "B": "B-2"}]
    assert len(both) == len(one) + len(two)
    assert len(np.unique(both.position)) == len(np.unique(one.position)) + len(np.unique(two.position))
    assert set(both.chain.tolist()) == {"A", "B", "A-2", "B-2"}
