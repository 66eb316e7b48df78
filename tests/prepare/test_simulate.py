"""Simulated proteins have the geometry of real ones, and their maps show them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cryodata.core.model import HELIX, AtomicModel
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import fit, moments
from cryodata.prepare.secondary import computed_secondary
from cryodata.prepare.sidechains import FREQUENCIES, SIDE_CHAINS
from cryodata.prepare.simulate import random_protein

RADIUS = 40.0


@pytest.fixture(scope="module")
def model() -> AtomicModel:
    return random_protein(5, chains=2, residues=120, radius=RADIUS)


def positions(model: AtomicModel, name: str) -> npt.NDArray[np.float64]:
    return model.xyz[model.atom == name]


def bonded(model: AtomicModel) -> npt.NDArray[np.bool_]:
    """Whether each residue but the last goes on to the next."""
    chain = model.chain[model.atom == "CA"]
    return chain[1:] == chain[:-1]


def dihedral(points: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Degrees, IUPAC sign."""
    b0, b1, b2 = points[0] - points[1], points[2] - points[1], points[3] - points[2]
    b1 = b1 / np.linalg.norm(b1, axis=1, keepdims=True)
    v = b0 - (b0 * b1).sum(axis=1, keepdims=True) * b1
    w = b2 - (b2 * b1).sum(axis=1, keepdims=True) * b1
    return np.degrees(np.arctan2((np.cross(b1, v) * w).sum(axis=1), (v * w).sum(axis=1)))


def test_bond_lengths_are_those_of_engh_and_huber(model: AtomicModel) -> None:
    n, ca, c = (positions(model, name) for name in ("N", "CA", "C"))

    assert np.abs(np.linalg.norm(ca - n, axis=1) - 1.458).max() < 0.005
    assert np.abs(np.linalg.norm(c - ca, axis=1) - 1.525).max() < 0.005
    assert np.abs(np.linalg.norm(n[1:] - c[:-1], axis=1)[bonded(model)] - 1.329).max() < 0.005


def test_peptide_bonds_are_trans_and_alpha_carbons_3_8_apart(model: AtomicModel) -> None:
    n, ca, c = (positions(model, name) for name in ("N", "CA", "C"))
    omega = dihedral([ca[:-1], c[:-1], n[1:], ca[1:]])[bonded(model)]

    assert np.abs(np.abs(omega) - 180).max() < 1
    assert np.abs(np.linalg.norm(ca[1:] - ca[:-1], axis=1)[bonded(model)] - 3.80).max() < 0.03


def test_residues_have_the_l_hand(model: AtomicModel) -> None:
    has_cb = np.isin(model.position, model.position[model.atom == "CB"])
    n, ca, c, cb = (model.xyz[(model.atom == name) & has_cb] for name in ("N", "CA", "C", "CB"))

    # looking from H to CA: CO, R, N clockwise; the triple product is positive
    assert (np.cross(n - ca, c - ca) * (cb - ca)).sum(axis=1).min() > 1.0


def test_helices_are_right_handed(model: AtomicModel) -> None:
    ca, helix = positions(model, "CA"), model.secondary[model.atom == "CA"] == HELIX
    four = helix[:-3] & helix[1:-2] & helix[2:-1] & helix[3:]

    turns = dihedral([ca[:-3], ca[1:-2], ca[2:-1], ca[3:]])[four]

    assert len(turns) > 10
    assert np.median(turns) == pytest.approx(50, abs=8)


def test_planned_helices_are_seen_by_their_hydrogen_bonds(model: AtomicModel) -> None:
    seen, planned = computed_secondary(model), model.secondary

    assert np.mean(seen[planned == HELIX] == HELIX) > 0.8


def test_no_two_residues_clash(model: AtomicModel) -> None:
    ca = positions(model, "CA")
    chain = np.repeat([0, 1], 120)
    gaps = np.linalg.norm(ca[:, None] - ca[None], axis=2)
    far = (np.abs(np.subtract.outer(np.arange(240), np.arange(240))) >= 3) | np.not_equal.outer(chain, chain)

    assert gaps[far].min() >= 4.0


def test_every_atom_lies_in_the_sphere(model: AtomicModel) -> None:
    assert np.linalg.norm(model.xyz, axis=1).max() <= RADIUS


def test_one_seed_is_one_model(model: AtomicModel) -> None:
    again, other = (random_protein(seed, chains=2, residues=120, radius=RADIUS) for seed in (5, 6))

    assert np.array_equal(model.xyz, again.xyz)
    assert len(other) != len(model) or not np.array_equal(model.xyz, other.xyz)


def test_residues_are_drawn_by_their_natural_frequency() -> None:
    names: list[str] = []
    for seed in range(8):
        made = random_protein(seed, chains=2, residues=120, radius=RADIUS)
        names += made.residue[made.atom == "CA"].tolist()
    found = np.array([names.count(name) for name in SIDE_CHAINS]) / len(names)

    # 1,920 residues: three standard deviations of the most frequent are 0.02
    assert np.abs(found - np.array(FREQUENCIES) / sum(FREQUENCIES)).max() < 0.025


def test_a_protein_that_does_not_fit_its_sphere_is_refused() -> None:
    with pytest.raises(ValueError, match="^found no room for 1 chains of 40 residues in a sphere of radius 9"):
        random_protein(0, chains=1, residues=40, radius=9.0)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_map_shows_the_model(model: AtomicModel, noise: float) -> None:
    volume = density_of(model, resolution=3.0, voxel_size=1.5, noise=noise)

    assert fit(volume, positions(model, "CA"), moments(volume.data)) > 2


def test_the_box_holds_the_model_with_its_margin_on_a_grid_through_zero(model: AtomicModel) -> None:
    volume = density_of(model, resolution=4.0, voxel_size=1.3, margin=7.0)

    index = volume.index_of(model.xyz)
    assert (index * 1.3).min() >= 7.0
    assert ((np.array(volume.shape_zyx) - 1 - index) * 1.3).min() >= 7.0
    assert np.allclose(volume.origin_xyz / 1.3, np.round(volume.origin_xyz / 1.3))
    assert volume.data.dtype == np.float32


def test_noise_is_as_strong_as_asked_and_seeded(model: AtomicModel) -> None:
    clean, noisy, again = (
        density_of(model, resolution=4.0, voxel_size=2.0, noise=noise, seed=3).data for noise in (0.0, 0.5, 0.5)
    )

    assert np.array_equal(noisy, again)
    assert (noisy - clean).std() == pytest.approx(0.5 * clean.std(), rel=0.02)


@pytest.mark.parametrize("change", [{"resolution": 0.0}, {"voxel_size": -1.0}, {"noise": -0.1}])
def test_sizes_out_of_range_are_refused(model: AtomicModel, change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="^expected atoms, resolution and voxel_size above 0"):
        density_of(model, **{"resolution": 3.0, "voxel_size": 1.0, **change})
