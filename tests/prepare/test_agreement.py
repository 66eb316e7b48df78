"""Correlation, inclusion, mirror images and voxel size: measured on densities whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryodata.core.model import AtomicModel
from cryodata.core.volume import Volume
from cryodata.prepare.agreement import (
    Contour,
    best_scale,
    contour_of,
    correlation_in_mask,
    included,
    mirrored_fit,
    near_atoms,
)
from cryodata.prepare.hand import LENGTH, hand_margin
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import Moments, fit, moments
from cryodata.prepare.residues import is_backbone
from cryodata.prepare.simulate import random_protein


@pytest.fixture(scope="module")
def model() -> AtomicModel:
    found = random_protein(3, chains=1, residues=90, radius=28.0)
    heavy = found.take(found.element != "H")
    return replace(heavy, b_factor=np.full(len(heavy), 30, dtype=np.float32))


@pytest.fixture(scope="module")
def volume(model: AtomicModel) -> Volume:
    return density_of(model, resolution=3.0, voxel_size=1.1, noise=0.2, seed=4)


def ca_of(model: AtomicModel) -> np.ndarray:
    return model.xyz[is_backbone(model, ("CA",))]


def test_the_contour_is_the_authors_or_three_deviations_above_the_mean() -> None:
    assert contour_of(0.31, Moments(1.0, 2.0)) == Contour(0.31, "entry")
    assert contour_of(None, Moments(1.0, 2.0)) == Contour(7.0, "mean + 3 sd")


def test_atoms_at_or_above_the_level_are_included_and_those_outside_the_map_are_not() -> None:
    data = np.zeros((3, 3, 3), dtype=np.float32)
    data[1, 1, 1] = 2.0
    volume = Volume(data, np.ones(3), np.zeros(3))
    places = np.array([[1, 1, 1], [1, 1, 1.5], [1, 1, 1.6], [9, 9, 9]])

    assert included(volume, places, 1.0).tolist() == [True, True, False, False]
    assert included(volume, places, -1.0).tolist() == [True, True, True, False]


def test_the_mask_holds_every_voxel_near_the_voxel_of_an_atom() -> None:
    volume = Volume(np.zeros((11, 12, 13), dtype=np.float32), np.array([1.0, 1.5, 2.0]), np.array([-3.0, 0.0, 5.0]))
    xyz = np.random.default_rng(0).uniform(-8, 30, (40, 3))
    size = volume.voxel_size_xyz[::-1]
    expected = np.zeros(volume.shape_zyx, dtype=bool)
    for voxel in np.floor(volume.index_of(xyz) + 0.5):
        apart = (np.stack(np.indices(volume.shape_zyx), axis=-1) - voxel) * size
        expected |= np.square(apart).sum(axis=-1) <= 3.1**2

    low, mask = near_atoms(volume, xyz, 3.1)

    found = np.zeros_like(expected)
    found[tuple(slice(n, n + m) for n, m in zip(low, mask.shape, strict=True))] = mask
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(found, expected)


def test_the_mask_of_atoms_far_from_the_map_is_empty() -> None:
    volume = Volume(np.zeros((4, 4, 4), dtype=np.float32), np.ones(3), np.zeros(3))

    assert near_atoms(volume, np.full((2, 3), 90.0), 2.0)[1].size == 0


def test_a_map_made_from_the_model_correlates_with_it_and_noise_and_shifts_lower_it(model: AtomicModel) -> None:
    clean = density_of(model, resolution=3.0, voxel_size=0.9)
    noisy = density_of(model, resolution=3.0, voxel_size=0.9, noise=1.0, seed=1)
    shifted = Volume(clean.data, clean.voxel_size_xyz, clean.origin_xyz + 1.5)

    found = [correlation_in_mask(item, model, 3.0) for item in (clean, noisy, shifted)]

    assert found[0] is not None and found[1] is not None and found[2] is not None
    assert found[0] > 0.99
    assert 0.3 < found[1] < 0.95
    assert found[2] < 0.7


def test_height_offset_and_sign_of_a_map_change_its_correlation_as_they_must(
    model: AtomicModel, volume: Volume
) -> None:
    found = correlation_in_mask(volume, model, 3.0)
    other = Volume((volume.data * -7 + 1000).astype(np.float32), volume.voxel_size_xyz, volume.origin_xyz)

    assert found is not None
    assert correlation_in_mask(other, model, 3.0) == pytest.approx(-found, abs=1e-3)


def test_a_constant_map_has_no_correlation(model: AtomicModel, volume: Volume) -> None:
    flat = Volume(np.ones_like(volume.data), volume.voxel_size_xyz, volume.origin_xyz)

    assert correlation_in_mask(flat, model, 3.0) is None


@pytest.mark.parametrize("axis", [0, 1, 2], ids="xyz")
def test_a_file_that_was_turned_round_along_an_axis_is_found(model: AtomicModel, volume: Volume, axis: int) -> None:
    turned = Volume(np.ascontiguousarray(np.flip(volume.data, 2 - axis)), volume.voxel_size_xyz, volume.origin_xyz)
    found = moments(turned.data)

    assert fit(turned, ca_of(model), found) < 0.5 * fit(volume, ca_of(model), found)
    mirrored, which = mirrored_fit(turned, ca_of(model), found)

    assert which == "xyz"[axis]
    assert mirrored == pytest.approx(fit(volume, ca_of(model), found), abs=1e-6)


@pytest.mark.parametrize("scale", [0.97, 0.99, 1.0, 1.012, 1.03])
def test_a_wrong_voxel_size_is_found(model: AtomicModel, volume: Volume, scale: float) -> None:
    backbone = model.xyz[is_backbone(model)]
    centre = backbone.mean(axis=0)
    # the header says smaller voxels than they are by `scale`, about the model's centre
    wrong = Volume(volume.data, volume.voxel_size_xyz / scale, centre + (volume.origin_xyz - centre) / scale)

    assert best_scale(wrong, backbone) == pytest.approx(scale, abs=0.003)


def test_one_atom_has_no_scale(volume: Volume) -> None:
    assert best_scale(volume, np.zeros((1, 3))) is None


def test_a_map_of_the_right_hand_fits_pieces_better_than_their_mirror_images(
    model: AtomicModel, volume: Volume
) -> None:
    margin = hand_margin(volume, model, moments(volume.data))

    assert margin is not None and margin > 0.5


def test_a_map_of_the_wrong_hand_into_which_right_handed_pieces_were_fitted_has_a_negative_margin(
    model: AtomicModel, volume: Volume
) -> None:
    centre = model.xyz.mean(axis=0)
    mirrored = model.xyz.copy()
    mirrored[:, 0] = 2 * centre[0] - mirrored[:, 0]
    wrong = density_of(replace(model, xyz=mirrored), resolution=3.0, voxel_size=1.1, noise=0.2, seed=4)
    # each piece of the mirrored trace made right-handed again, about its own axis: what fitting by force does
    forced = mirrored.copy()
    for first in range(0, 90, LENGTH):
        mine = (model.label_seq_id > first) & (model.label_seq_id <= first + LENGTH)
        middle = forced[mine].mean(axis=0)
        axis = np.linalg.svd(forced[mine & is_backbone(model)] - middle)[2][2]
        forced[mine] -= 2 * np.outer((forced[mine] - middle) @ axis, axis)

    margin = hand_margin(wrong, replace(model, xyz=forced), moments(wrong.data))

    assert margin is not None and margin < 0.0


def test_pieces_that_are_too_short_tell_no_hand(model: AtomicModel, volume: Volume) -> None:
    few = model.take(model.label_seq_id < LENGTH)

    assert hand_margin(volume, few, moments(volume.data)) is None
