"""A grid of equal spacing, the origin kept, exactly 0 beyond the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cryodata.core.volume import Volume
from cryodata.prepare.resample import resample, resampled_size

pytestmark = pytest.mark.usefixtures("loops")


def ramp(shape: tuple[int, int, int], voxel: float) -> Volume:
    z, y, x = np.meshgrid(*(np.arange(n) * voxel for n in shape), indexing="ij")
    return Volume((100 * z + 10 * y + x).astype(np.float32), np.full(3, voxel), np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("count", "voxel", "expected"),
    [
        (300, 0.727, 218),  # 218.1: the paper's figure 7
        (312, 0.637, 198),  # 198.7: the paper's figure 13
        (100, 1.05, 105),  # 105.0, however it is rounded
        (100, float(np.float32(1.05)), 105),
        (500, 0.9999995, 500),  # the same spacing: left as it is, not 499
    ],
)
def test_the_size_is_truncated_not_rounded(count: int, voxel: float, expected: int) -> None:
    assert resampled_size(count, voxel, 1.0) == expected


@pytest.mark.parametrize("voxel", [0.5, 0.8, 1.3, 2.0])
def test_a_linear_ramp_is_reproduced_where_there_is_data_and_is_zero_beyond(voxel: float) -> None:
    volume = ramp((12, 9, 7), voxel)

    result = resample(volume)

    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in result.data.shape), indexing="ij")
    inside = (z <= 11 * voxel + 1e-9) & (y <= 8 * voxel + 1e-9) & (x <= 6 * voxel + 1e-9)
    assert not inside.all() or voxel < 1
    assert np.allclose(result.data, np.where(inside, 100 * z + 10 * y + x, 0), rtol=1e-6)
    assert not result.data[~inside].any()


def test_the_origin_is_kept_and_the_spacing_exact() -> None:
    result = resample(ramp((10, 10, 10), 1.1))

    assert result.origin_xyz.tolist() == [1.0, 2.0, 3.0]
    assert result.voxel_size_xyz.tolist() == [1.0, 1.0, 1.0]


def test_the_same_spacing_changes_no_bit() -> None:
    volume = ramp((5, 6, 7), 1.0 + 1e-8)

    assert np.array_equal(volume.data, resample(volume).data)


def test_axes_may_differ() -> None:
    volume = Volume(np.ones((10, 10, 10), np.float32), np.array([1.0, 2.0, 0.5]), np.zeros(3))

    assert resample(volume).data.shape == (5, 20, 10)


def test_a_volume_smaller_than_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than one step of 1 A"):
        resample(ramp((1, 4, 4), 0.5))


@pytest.mark.parametrize(
    ("shape", "voxel", "shared"),
    [
        ((40, 31, 77), (0.7, 0.9, 0.5), True),
        ((33, 12, 9), (1.0, 1.0, 1.0), True),
        ((70, 9, 12), (0.3, 1.0, 1.0), True),
        ((90, 31, 20), (1.02, 1.0, 1.003), True),  # steps are wider, and yet there are no more points
        ((20, 70, 12), (2.2, 0.3, 1.0), True),  # an axis grows, another shrinks by more
        ((20, 30, 12), (1.1, 1.2, 1.0), False),  # there is no room
        ((70, 20, 12), (1.6, 1.6, 0.3), False),  # there would be, but not where planes are still to be read
    ],
)
def test_the_result_may_take_the_memory_of_the_map_and_is_the_same(
    shape: tuple[int, int, int], voxel: tuple[float, float, float], shared: bool
) -> None:
    data = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    volume = Volume(data, np.array(voxel), np.zeros(3))
    kept = data.copy()
    expected = resample(volume)
    assert np.array_equal(data, kept)

    result = resample(volume, overwrite=True)

    assert np.array_equal(result.data, expected.data)
    assert np.shares_memory(result.data, data) == shared
    assert np.array_equal(data, kept) != shared or voxel == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "voxel", [(1.06, 1.06, 1.06), (1.9, 1.0, 1.2), (0.5, 2.1, 1.4), (2.0, 2.0, 2.0), (1.3, 0.9, 1)]
)
@pytest.mark.parametrize("more", [0, 1, 4000])
def test_a_map_at_the_end_of_an_array_leaves_its_result_at_the_begin(
    loops: str, voxel: tuple[float, float, float], more: int
) -> None:
    values = np.random.default_rng(5).standard_normal((23, 31, 17), dtype=np.float32)
    expected = resample(Volume(values, np.array(voxel), np.zeros(3)))
    memory = np.empty(max(values.size, expected.data.size) + more, dtype=np.float32)
    data = memory[len(memory) - values.size :].reshape(values.shape)
    data[...] = values

    result = resample(Volume(data, np.array(voxel), np.zeros(3)), overwrite=True)

    assert result.data.tobytes() == expected.data.tobytes()
    assert np.shares_memory(result.data, memory[:1])


@pytest.mark.parametrize("voxel", [(0.7, 1.3, 0.9), (1.0, 0.5, 2.1), (1.2, 1.0, 1.0)])
def test_compiled_loops_give_the_bytes_of_numpy(
    voxel: tuple[float, float, float], numpy_alone: Callable[[], None]
) -> None:
    data = np.random.default_rng(4).standard_normal((21, 90, 75), dtype=np.float32)
    volume = Volume(data, np.array(voxel), np.zeros(3))
    found = resample(volume)
    numpy_alone()

    assert resample(volume).data.tobytes() == found.data.tobytes()
