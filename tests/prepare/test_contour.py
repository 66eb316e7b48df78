"""Scaling by what lies inside and outside the contour."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.prepare.contour import normalize_refined
from cryodata.prepare.normalize import normalize_released, percentile_of


def noisy(seed: int = 0) -> np.ndarray:
    """Noise about 5 with a bright cube of an eighth of 1 %."""
    data = np.random.default_rng(seed).normal(5.0, 1.0, (40, 40, 40)).astype(np.float32)
    data[10:14, 10:14, 10:14] += np.linspace(20, 60, 64, dtype=np.float32).reshape(4, 4, 4)
    return data


@pytest.mark.parametrize("contour", [None, 15.0])
def test_zero_and_one_are_where_the_formula_says(contour: float | None) -> None:
    data = noisy()
    level = data.mean(dtype=np.float64) + 3 * data.std(dtype=np.float64) if contour is None else contour
    inside = data >= np.float32(level)
    low = data[~inside].mean(dtype=np.float64) + 0.5 * data[~inside].std(dtype=np.float64)
    high = np.percentile(data[inside].astype(np.float64), 99.9)
    expected = np.clip((data.astype(np.float64) - low) / (high - low), 0, 1)

    found, scale = normalize_refined(data.copy(), contour)

    assert np.allclose(found, expected, rtol=0, atol=1e-6)
    assert (scale.low, scale.high) == pytest.approx((low, high), rel=1e-12)
    assert scale.source == ("map" if contour is None else "entry")


@pytest.mark.parametrize("contour", [-1e9, 1e9])
def test_a_level_with_nothing_on_one_side_is_not_believed(contour: float) -> None:
    found, scale = normalize_refined(noisy(), contour)

    assert scale.source == "map"
    assert np.array_equal(found, normalize_refined(noisy(), None)[0])


def test_other_units_and_another_zero_change_nothing() -> None:
    plain, _ = normalize_refined(noisy(), None)
    moved, _ = normalize_refined(noisy() * np.float32(16) - np.float32(256), None)

    assert np.allclose(plain, moved, rtol=0, atol=1e-5)


@pytest.mark.parametrize("data", [np.zeros((4, 4, 4)), np.full((4, 4, 4), 7.0)], ids=["zero", "constant"])
def test_a_map_without_contrast_is_refused(data: np.ndarray) -> None:
    with pytest.raises(RejectedError) as caught:
        normalize_refined(data.astype(np.float32), None)

    assert caught.value.code == "no_contrast"


def test_released_counts_negative_voxels_and_leaves_out_zeros() -> None:
    data = np.array([0, 0, 0, 0, -1, 1, 2, 3, 4], dtype=np.float32)
    # 95 % of the way through -1 1 2 3 4 is 3.8
    found, percentile = normalize_released(data.copy())

    assert percentile == pytest.approx(3.8)
    assert found.tolist() == pytest.approx([0, 0, 0, 0, 0, 1 / 3.8, 2 / 3.8, 3 / 3.8, 1])


@pytest.mark.parametrize("data", [[0, 0], [-1, -2, -3], [0, 0, -1]], ids=str)
def test_released_refuses_what_the_scripts_turn_inside_out(data: list[float]) -> None:
    with pytest.raises(RejectedError) as caught:
        normalize_released(np.array(data, dtype=np.float32))

    assert caught.value.code == "no_positive_percentile"


def test_a_percentile_is_that_of_numpy() -> None:
    values = np.random.default_rng(1).normal(size=1001).astype(np.float32)
    for percent in (0.0, 50.0, 95.0, 99.9, 100.0):
        assert percentile_of(values.copy(), percent) == np.percentile(values.astype(np.float64), percent)
