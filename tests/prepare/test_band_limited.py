"""Band-limited resampling: what a grid can hold comes through, what it can't does not fold back."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.volume import Volume
from cryodata.prepare.band_limited import resample_band_limited, taps_of
from cryodata.prepare.resample import resample

ORIGIN = np.array([3.0, -7.0, 11.0])


def wave(voxel_size: float, period: float, count: int = 96) -> Volume:
    """A cosine along x of a period in A."""
    x = np.arange(count) * voxel_size
    data = np.broadcast_to(np.cos(2 * np.pi * x / period), (12, 12, count)).astype(np.float32)
    return Volume(np.ascontiguousarray(data), np.full(3, voxel_size), ORIGIN)


def amplitude(volume: Volume) -> float:
    """Largest value away from the faces."""
    return float(np.abs(volume.data[:, :, 10:-10]).max())


def test_the_grid_is_that_of_the_published_recipe() -> None:
    volume = Volume(np.ones((20, 31, 17), dtype=np.float32), np.array([1.3, 0.7, 1.0]), ORIGIN)

    plain, better = resample(volume), resample_band_limited(volume)

    assert better.shape_zyx == plain.shape_zyx
    assert np.array_equal(better.origin_xyz, plain.origin_xyz)
    assert np.array_equal(better.data == 0, plain.data == 0)  # 0 beyond the last point, exactly
    assert np.array_equal(np.unique(better.data), [0, 1])  # weights sum to 1, also at the faces


def test_the_same_spacing_changes_no_bit() -> None:
    data = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)

    assert resample_band_limited(Volume(data, np.ones(3), ORIGIN)).data.tobytes() == data.tobytes()


@pytest.mark.parametrize("voxel_size", [1.05, 1.34, 1.74])
def test_on_a_finer_grid_waves_keep_their_height_where_lines_flatten_them(voxel_size: float) -> None:
    volume = wave(voxel_size, period=3.2 * voxel_size)
    expected = np.cos(2 * np.pi * np.arange(int(96 * voxel_size)) / (3.2 * voxel_size))[20:-20]

    errors = [np.abs(way(volume).data[5, 5, 20:-20] - expected).max() for way in (resample_band_limited, resample)]

    assert errors[0] < 0.1
    assert errors[1] > 0.4


def test_on_a_coarser_grid_what_it_cannot_hold_does_not_fold_back() -> None:
    # 1.25 A in a map of 0.5 A voxels: on a grid of 1 A it would come back as a wave of 5 A
    volume = wave(0.5, period=1.25, count=200)

    assert amplitude(resample(volume)) > 0.99
    assert amplitude(resample_band_limited(volume)) < 0.02
    assert amplitude(resample_band_limited(wave(0.5, period=6.0, count=200))) > 0.98


def test_weights_are_exact_and_sum_to_one() -> None:
    for voxel_size in (0.4, 0.65, 1.08, 1.99):
        taps = taps_of(60, int(60 * voxel_size), voxel_size, 1.0)
        inside = np.arange(int(60 * voxel_size)) / voxel_size <= 59

        assert np.array_equal(taps.weight.astype(np.float64).sum(axis=1)[inside], np.ones(inside.sum()))
        assert np.array_equal(taps.weight * 2**20, np.round(taps.weight * 2**20))
        assert taps.index.min() == 0 and taps.index.max() == 59
