"""Divided by the 95th percentile of the positive voxels, clipped."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.prepare.normalize import normalize_published, percentile_in_place


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

    assert percentile_in_place(values.copy(), 95) == pytest.approx(
        np.percentile(values.astype(np.float64), 95), rel=1e-12
    )


def test_a_map_without_a_positive_voxel_is_refused() -> None:
    with pytest.raises(RejectedError, match="^no voxel of the map is above 0$"):
        normalize_published(np.zeros((2, 2, 2), np.float32))
