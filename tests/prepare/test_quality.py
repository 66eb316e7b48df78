"""Where the map lies, and whether the model lies in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cryodata.core.volume import Volume
from cryodata.prepare.quality import find_frame, fit, fit_shift, moments, sample_trilinear, share_outside


def blob(origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Volume:
    """A peak at index (20, 12, 8), 3 voxels wide."""
    z, y, x = np.ogrid[:40, :24, :16]
    data = np.exp(-((z - 20) ** 2 + (y - 12) ** 2 + (x - 8) ** 2) / 18.0).astype(np.float32)
    return Volume(data, np.ones(3), np.array(origin))


PEAK_XYZ = np.array([[8.0, 12.0, 20.0]])


def test_trilinear_values_by_hand() -> None:
    data = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    # the centre of the cube is the mean of its corners; a corner is itself; outside is 0
    places = np.array([[0.5, 0.5, 0.5], [1, 1, 1], [0, 0, 0.25], [1.01, 0, 0], [0, -0.01, 0]])

    assert sample_trilinear(data, places).tolist() == [3.5, 7.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (17, 9, 12)], ids=str)
def test_trilinear_values_are_the_same_to_the_last_bit_without_numba(
    shape: tuple[int, int, int], numpy_alone: Callable[[], None]
) -> None:
    generator = np.random.Generator(np.random.PCG64(2))
    data = generator.normal(size=shape).astype(np.float32)
    places = generator.uniform(-1, np.add(shape, 1), (500, 3))
    places[:100] = np.rint(places[:100])
    places[100:103] = np.diag([np.nan, np.inf, -np.inf])
    compiled = sample_trilinear(data, places)

    numpy_alone()

    assert sample_trilinear(data, places).tobytes() == compiled.tobytes()
    assert (compiled[100:103] == 0).all()


def test_indices_of_another_shape_are_refused(loops: str) -> None:
    for places in (np.zeros(3), np.zeros((4, 2))):
        with pytest.raises(ValueError, match=r"^indices have shape \(n, 3\), found "):
            sample_trilinear(np.zeros((3, 3, 3), np.float32), places)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 8, 9), (2, 3, 5), (5, 16, 16), (40, 31, 77)], ids=str)
@pytest.mark.parametrize(("mean", "sd"), [(3, 2), (0, 1e-6), (1e6, 1), (-5, 0)])
def test_moments_are_those_of_the_whole_map(loops: str, shape: tuple[int, int, int], mean: float, sd: float) -> None:
    data = np.random.Generator(np.random.PCG64(0)).normal(mean, sd, shape).astype(np.float32)

    found = moments(data)

    assert found.mean == pytest.approx(data.mean(dtype=np.float64), rel=1e-12, abs=1e-15)
    assert found.sd == pytest.approx(data.std(dtype=np.float64), rel=1e-9, abs=1e-15)
    assert moments(np.asfortranarray(data)) == found


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 8, 9), (5, 16, 16), (40, 31, 77)], ids=str)
def test_moments_are_the_same_to_the_last_bit_without_numba(
    shape: tuple[int, int, int], numpy_alone: Callable[[], None]
) -> None:
    data = np.random.Generator(np.random.PCG64(1)).normal(0.3, 2, shape).astype(np.float32)
    compiled = moments(data)

    numpy_alone()

    assert moments(data) == compiled


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 1, 1), (2, 2, 2)])
def test_one_bad_voxel_shows_in_the_moments(loops: str, place: tuple[int, int, int], bad: float) -> None:
    data = np.zeros((3, 3, 3), np.float32)
    data[place] = bad

    found = moments(data)

    assert not np.isfinite([found.mean, found.sd]).all()


def test_numbers_so_large_that_their_squares_are_none_are_told_from_bad_ones(loops: str) -> None:
    data = np.full((3, 3, 3), 3e38, np.float32)
    data[1, 1, 1] = -3e38

    found = moments(data)

    assert np.isfinite([found.mean, found.sd]).all()


def test_a_model_on_the_peak_fits_and_one_beside_it_does_not() -> None:
    volume = blob()

    assert fit(volume, PEAK_XYZ, moments(volume.data)) > 2
    assert fit(volume, PEAK_XYZ + 11, moments(volume.data)) < 0


def test_the_headers_frame_holds_if_the_model_fits_there() -> None:
    volume = blob((5.0, 5.0, 5.0))
    frames = {"nstart": np.zeros(3), "origin": np.full(3, 5.0), "zero": np.zeros(3), "sum": np.full(3, 5.0)}

    found = find_frame(volume, frames, "origin", PEAK_XYZ + 5, moments(volume.data))

    assert found.frame == "origin"
    assert list(found.fits) == ["origin"]


def test_otherwise_the_first_frame_that_fits_holds() -> None:
    volume = blob()
    frames = {"nstart": np.full(3, -9.0), "origin": np.full(3, 30.0), "zero": np.zeros(3), "sum": np.full(3, 21.0)}

    found = find_frame(volume, frames, "origin", PEAK_XYZ - 9, moments(volume.data))

    assert found.frame == "nstart"
    assert sorted(found.fits) == ["nstart", "origin", "sum", "zero"]


def test_without_any_fit_the_headers_frame_stays() -> None:
    volume = blob()
    frames = dict.fromkeys(("nstart", "origin", "zero", "sum"), np.full(3, 500.0))

    assert find_frame(volume, frames, "nstart", PEAK_XYZ, moments(volume.data)).frame == "nstart"


def test_a_true_fit_beats_almost_every_shift() -> None:
    volume = blob()

    assert fit_shift(volume, PEAK_XYZ, moments(volume.data)) >= 0.98
    assert fit_shift(volume, PEAK_XYZ + 11, moments(volume.data)) < 0.5


def test_outside_begins_half_a_voxel_beyond_the_outer_points() -> None:
    volume = blob()

    assert share_outside(volume, np.array([[-0.5, 0, 0], [15.5, 23.5, 39.5]])) == 0.0
    assert share_outside(volume, np.array([[-0.51, 0, 0], [0, 0, 39.51], [0, 0, 0], [0, 0, 0]])) == 0.5
