"""What the density of a made-up model promises: the box, the peaks, the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import fit, moments
from cryodata.prepare.simulate import random_protein


@pytest.fixture(scope="module")
def density(model: AtomicModel) -> Volume:
    return density_of(model, resolution=3.0, voxel_size=1.06)


def carbons(xyz: Sequence[Sequence[float]]) -> AtomicModel:
    """Lone carbon atoms with B factors of 30 A^2."""
    single = random_protein(0, chains=1, residues=1, radius=12.0).take(np.ones(len(xyz), dtype=int))
    return replace(single, xyz=np.array(xyz, dtype=np.float64), b_factor=np.full(len(xyz), 30, dtype=np.float32))


def test_the_box_keeps_the_margin_on_every_side_of_long_and_flat_models() -> None:
    volume = density_of(carbons([(0, 0, 0), (30, 0, 0), (0, 9.5, 5)]), resolution=3.0, voxel_size=1.0, margin=10.0)

    # x: -10 to 40, y: -10 to 20 (19.5 and up to the next point), z: -10 to 15
    assert volume.shape_zyx == (26, 31, 51)
    assert volume.origin_xyz.tolist() == [-10.0, -10.0, -10.0]
    assert volume.voxel_size_xyz.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("voxel_size", [0.83, 1.06, 1.4])
@pytest.mark.parametrize("margin", [0.0, 10.0])
def test_every_atom_is_a_margin_away_from_the_faces(model: AtomicModel, voxel_size: float, margin: float) -> None:
    volume = density_of(model, resolution=4.0, voxel_size=voxel_size, margin=margin)
    nearest = np.rint(volume.index_of(model.xyz))
    last_xyz = volume.position_of(np.array(volume.shape_zyx) - 1)

    assert (model.xyz.min(axis=0) - volume.origin_xyz >= margin - 1e-9).all()
    assert (last_xyz - model.xyz.max(axis=0) >= margin - 1e-9).all()
    assert (nearest >= 0).all() and (nearest < volume.shape_zyx).all()


@pytest.mark.parametrize("voxel_size", [0.83, 1.06, 1.4])
def test_the_origin_is_a_whole_number_of_voxels(model: AtomicModel, voxel_size: float) -> None:
    volume = density_of(model, resolution=4.0, voxel_size=voxel_size)

    assert not np.allclose(volume.origin_xyz, 0)
    assert volume.origin_xyz == pytest.approx(np.rint(volume.origin_xyz / voxel_size) * voxel_size, abs=1e-9)


def test_the_density_of_an_atom_is_highest_where_the_atom_is() -> None:
    volume = density_of(carbons([(1.0, 2.0, 3.0)]), resolution=3.0, voxel_size=0.5, margin=6.0)

    highest = np.unravel_index(int(volume.data.argmax()), volume.data.shape)

    assert volume.position_of(highest).tolist() == [1.0, 2.0, 3.0]


def test_every_residue_stands_out_of_the_map(model: AtomicModel, density: Volume) -> None:
    at_ca = values_at(density, model.xyz[model.atom == "CA"])

    assert density.data.dtype == np.float32
    assert at_ca.min() > density.data.mean() + 2 * density.data.std()


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_the_model_fits_its_map_by_more_than_2_sd_under_noise(model: AtomicModel, noise: float) -> None:
    volume = density_of(model, resolution=3.0, voxel_size=1.06, noise=noise)
    at_ca = values_at(volume, model.xyz[model.atom == "CA"])
    beside = values_at(volume, model.xyz[model.atom == "CA"] * -0.5)

    assert fit(volume, model.xyz[model.atom == "CA"], moments(volume.data)) > 2
    assert at_ca.mean() > volume.data.mean() + 2 * volume.data.std()
    assert beside.mean() < at_ca.mean() - volume.data.std()


def test_noise_is_a_share_of_the_density_and_follows_its_seed(model: AtomicModel, density: Volume) -> None:
    one, again, other = (
        density_of(model, resolution=3.0, voxel_size=1.06, noise=0.5, seed=seed).data for seed in (1, 1, 2)
    )
    added = one.astype(np.float64) - density.data

    assert added.std() == pytest.approx(0.5 * density.data.std(), rel=0.01)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_noise_is_as_smooth_as_the_resolution_says(model: AtomicModel, density: Volume) -> None:
    noisy = density_of(model, resolution=3.0, voxel_size=1.06, noise=0.5).data
    added = noisy.astype(np.float64) - density.data

    neighbours = np.corrcoef(added[:, :, :-1].ravel(), added[:, :, 1:].ravel())[0, 1]

    # amplitudes exp(-(d s)^2) give exp(-(pi x / d)^2 / 2) at a distance x: 0.54 at 1.06 A of 3 A
    assert neighbours == pytest.approx(0.54, abs=0.03)


def test_a_lower_resolution_spreads_the_same_density() -> None:
    sharp, blurred = (
        density_of(carbons([(0, 0, 0)]), resolution=resolution, voxel_size=0.5, margin=9.0).data
        for resolution in (2.0, 4.0)
    )

    assert sharp.max() > 1.5 * blurred.max()
    assert sharp.sum() == pytest.approx(blurred.sum(), rel=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"resolution": 0.0}, id="resolution"),
        pytest.param({"voxel_size": -1.0}, id="voxel"),
        pytest.param({"margin": -1.0}, id="margin"),
        pytest.param({"noise": -0.1}, id="noise"),
    ],
)
def test_a_density_of_impossible_size_is_refused(settings: dict[str, float]) -> None:
    asked = {"resolution": 3.0, "voxel_size": 1.0, "margin": 10.0, "noise": 0.0, **settings}

    with pytest.raises(ValueError, match="expected atoms, resolution and voxel_size above 0"):
        density_of(carbons([(0, 0, 0)]), **asked)


def values_at(volume: Volume, xyz: FloatArray) -> npt.NDArray[np.float32]:
    """Of the nearest voxels."""
    return np.asarray(volume.data[tuple(np.rint(volume.index_of(xyz)).astype(int).T)])
