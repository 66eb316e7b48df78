"""Balanced draws: expected numbers as defined, draws that keep to them, the same by the same key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cryodata.core.balance import Balance, draws
from cryodata.errors import UsageError

VOLUME = np.array([3, 3, 3, 3, 8, 8, 5])
COLUMNS = {"n_ca_core": np.array([0, 10, 20, 10, 0, 0, 10], dtype=np.int32), "occupied": np.full(7, 0.5, np.float32)}


def test_by_map_each_map_gets_the_same_share() -> None:
    # a third for each of three maps: 4, 2 and 1 sub-grids
    expected = [1 / 12] * 4 + [1 / 6] * 2 + [1 / 3]

    assert np.allclose(expected, Balance.parse("map").shares(VOLUME, {}), rtol=1e-15)


def test_by_atoms_a_sub_grid_gets_its_share_of_the_c_alphas_and_a_little() -> None:
    even = 0.05 / 7
    # of 50 C-alphas
    expected = [even, 0.95 * 0.2 + even, 0.95 * 0.4 + even, 0.95 * 0.2 + even, even, even, 0.95 * 0.2 + even]

    assert Balance.parse("atoms").columns == ("n_ca_core",)
    assert np.allclose(expected, Balance.parse("atoms").shares(VOLUME, COLUMNS), rtol=1e-14)


def test_by_columns_the_weight_is_the_sum_of_factor_times_value() -> None:
    balance = Balance.parse({"n_ca_core": 2, "occupied": 10.0})
    weight = np.array([5, 25, 45, 25, 5, 5, 25])

    assert balance.columns == ("n_ca_core", "occupied")
    assert np.allclose(0.95 * weight / 135 + 0.05 / 7, balance.shares(VOLUME, COLUMNS), rtol=1e-14)


def test_a_block_without_atoms_is_drawn_evenly() -> None:
    shares = Balance.parse("atoms").shares(VOLUME[:4], {"n_ca_core": np.zeros(4, dtype=np.int32)})

    assert shares.tolist() == [0.25] * 4


def test_a_block_without_sub_grids_has_no_shares() -> None:
    assert len(Balance.parse("atoms").shares(VOLUME[:0], {"n_ca_core": np.zeros(0)})) == 0
    assert len(Balance.parse("map").shares(VOLUME[:0], {})) == 0


@pytest.mark.parametrize("value", ["map", "atoms", {"occupied": 1e308}], ids=["map", "atoms", "large"])
def test_shares_add_up_to_1_and_none_is_0(value: Any) -> None:
    shares = Balance.parse(value).shares(VOLUME, COLUMNS)

    assert abs(shares.sum() - 1) < 1e-12
    assert shares.min() > 0


KINDS = "expected 'map', 'atoms' or a dictionary {column of the sub-grid table: factor}"
FACTOR = "expected a column and a number of 0 or above"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("maps", f"balance='maps'; {KINDS}", id="word"),
        pytest.param({}, f"balance={{}}; {KINDS}", id="empty"),
        pytest.param({"occupied": -1}, f"balance: found 'occupied': -1; {FACTOR}", id="negative"),
        pytest.param({"occupied": float("nan")}, f"balance: found 'occupied': nan; {FACTOR}", id="nan"),
        pytest.param({"occupied": "1"}, f"balance: found 'occupied': '1'; {FACTOR}", id="text"),
        pytest.param({"occupied": True}, f"balance: found 'occupied': True; {FACTOR}", id="bool"),
        pytest.param({1: 1}, f"balance: found 1: 1; {FACTOR}", id="no name"),
        pytest.param({"occupied": 0}, "balance: every factor is 0; expected at least one above 0", id="all 0"),
    ],
)
def test_what_is_no_balance_is_refused(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Balance.parse(value)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param([1.0, np.nan], "balance: column x holds nan; expected finite numbers of 0 or above", id="nan"),
        pytest.param([1.0, -2.0], "balance: column x holds -2; expected finite numbers of 0 or above", id="negative"),
        pytest.param(["a", "b"], "balance: column x holds no numbers", id="text"),
    ],
)
def test_a_column_that_is_no_weight_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Balance.parse({"x": 1}).shares(np.zeros(2, dtype=int), {"x": np.array(values)})

    assert message == str(caught.value)


# draws


def test_each_is_drawn_its_expected_number_of_times_rounded_down_or_up() -> None:
    rng = np.random.default_rng(0)
    for case in range(200):
        weights = rng.random(rng.integers(1, 60)) * (rng.random() < 0.5 or rng.integers(0, 2))
        weights[rng.integers(len(weights))] += 1
        count = int(rng.integers(0, 300))

        chosen, expected = draws(weights, count, "case", case)

        assert len(chosen) == count
        assert np.allclose(count * weights / weights.sum(), expected, rtol=1e-12)
        assert np.all(np.abs(np.bincount(chosen, minlength=len(weights)) - expected) < 1 + 1e-9)


def test_over_many_keys_the_mean_is_the_expected_number() -> None:
    weights = np.array([0.0, 0.1, 0.2, 3.0, 0.7])
    total = np.zeros(5)
    for seed in range(4000):
        chosen, expected = draws(weights, 10, seed)
        total += np.bincount(chosen, minlength=5)

    # a number between two whole ones has a standard deviation of at most 0.5
    assert np.all(np.abs(total / 4000 - expected) < 5 * 0.5 / np.sqrt(4000))
    assert total[0] == 0


def test_equal_weights_draw_each_exactly_once() -> None:
    chosen, expected = draws(np.full(1331, 0.3), 1331, 0)

    assert sorted(chosen.tolist()) == list(range(1331))
    assert np.allclose(expected, 1, rtol=1e-12)


def test_what_weighs_nothing_is_never_drawn() -> None:
    for seed in range(500):
        chosen, _ = draws([0.0, 0.0, 1.0, 0.0, 1e-30, 0.0], 7, seed)

        assert set(chosen.tolist()) <= {2, 4}


def test_the_order_is_mixed() -> None:
    chosen, _ = draws(np.ones(1000), 1000, 0)

    assert abs(np.corrcoef(chosen, np.arange(1000))[0, 1]) < 0.15


def test_draws_follow_from_the_key_alone() -> None:
    weights = np.random.default_rng(1).random(50)

    assert np.array_equal(draws(weights, 50, 1, 2, 3, 4)[0], draws(weights, 50, 1, 2, 3, 4)[0])
    assert not np.array_equal(draws(weights, 50, 1, 2, 3, 4)[0], draws(weights, 50, 1, 2, 3, 5)[0])


def test_the_draws_are_fixed_for_all_time() -> None:
    # a state stored by an older version must find the same draws
    assert draws([1, 2, 3, 0, 2], 8, 0, 0, 0, 0)[0].tolist() == [4, 4, 0, 2, 1, 2, 2, 1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        pytest.param([0, 0], "balance: every weight is 0; expected at least one above 0", id="all 0"),
        pytest.param(
            [1, np.inf], "balance: the list of weights holds inf; expected finite numbers of 0 or above", id="infinite"
        ),
        pytest.param(
            [-1, 1], "balance: the list of weights holds -1; expected finite numbers of 0 or above", id="negative"
        ),
    ],
)
def test_weights_that_are_none_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        draws(weights, 3, 0)

    assert message == str(caught.value)
