"""Index and position are each other's inverse, axis order told by the name."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.volume import Volume


def volume() -> Volume:
    return Volume(np.zeros((4, 3, 2), np.float32), np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 30.0]))


def test_a_position_is_x_y_z_and_an_index_z_y_x() -> None:
    # x: 10 + 1 * 1, y: 20 + 2 * 2, z: 30 + 3 * 4
    assert volume().position_of([[3, 2, 1]]).tolist() == [[11.0, 24.0, 42.0]]
    assert volume().index_of([[11.0, 24.0, 42.0]]).tolist() == [[3.0, 2.0, 1.0]]


def test_an_index_is_neither_rounded_nor_clipped() -> None:
    assert volume().index_of([[9.5, 20.0, 30.0]]).tolist() == [[0.0, 0.0, -0.5]]


def test_data_of_another_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="^a volume has 3 axes, found 2$"):
        Volume(np.zeros((2, 2)), np.ones(3), np.zeros(3))
