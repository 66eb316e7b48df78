"""Divided by the 95th percentile of the positive voxels, clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.prepare.normalize import normalize_published, normalize_released, percentile_above_0


def test_only_positive_voxels_set_the_scale() -> None:
    # positives 1..21: the 95th percentile is the 20th of 21 = 20
    values = np.concatenate([np.arange(1, 22), -np.arange(1000), np.zeros(5)]).astype(np.float32)

    density, divisor = normalize_published(values.reshape(-1, 1, 1).copy())

    assert divisor == 20.0
    assert density.max() == 1.0
    assert density.min() == 0.0
    assert density.reshape(-1)[9] == np.float32(0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1001])
def test_the_percentile_is_numpys_in_float64(count: int) -> None:
    values = np.random.Generator(np.random.PCG64(count)).random(count).astype(np.float32)

    assert percentile_above_0(values, len(values), 95) == pytest.approx(
        np.percentile(values.astype(np.float64), 95), rel=1e-12
    )


@pytest.mark.parametrize(
    "lying", [np.asfortranarray, lambda values: values[:, ::-1], lambda values: values[::2, :, 1:]]
)
@pytest.mark.parametrize("normalize", [normalize_published, normalize_released])
def test_values_that_do_not_lie_in_a_row_are_scaled_too(normalize: Any, lying: Any) -> None:
    values = lying(np.random.Generator(np.random.PCG64(1)).normal(size=(6, 5, 4)).astype(np.float32))
    expected, percentile = normalize(np.ascontiguousarray(values).copy())

    found, divisor = normalize(values)

    assert not values.flags.c_contiguous
    assert divisor == percentile
    assert np.array_equal(found, expected)


def test_a_map_without_a_positive_voxel_is_refused() -> None:
    with pytest.raises(RejectedError, match="^no voxel of the map is above 0$"):
        normalize_published(np.zeros((2, 2, 2), np.float32))


@pytest.mark.parametrize("percent", [0.0, 5.0, 50.0, 95.0, 99.9, 100.0])
@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0]),
        np.full(1000, 2.5),
        np.tile([0.0, 1.0, 2.0, 3.0], 1000),
        np.r_[np.zeros(1_000_000), np.ones(5)],
        np.arange(1_000_000.0),
        np.r_[np.zeros(3_000_000), np.linspace(0.1, 1, 100)],  # a sample that says little
        np.repeat([0.0, 5.0, -1.0, 7.0], 300_000),
    ],
    ids=range(7),
)
def test_the_percentile_is_exact_however_the_values_lie(values: np.ndarray[Any, Any], percent: float) -> None:
    values = values.astype(np.float32)
    positive = np.sort(values[values > 0]).astype(np.float64)
    place = percent / 100 * (len(positive) - 1)
    low, high = positive[int(place)], positive[min(int(place) + 1, len(positive) - 1)]

    assert percentile_above_0(values, len(positive), percent) == low + (high - low) * (place - int(place))
