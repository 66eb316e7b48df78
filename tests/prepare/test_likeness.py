"""How far two volumes agree: small truths written out."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.prepare.likeness import density_likeness, label_likeness, overlap

SHAPE = (20, 30, 40)


def voxels(*rows: tuple[int, int, int, str]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[:3] for row in rows], dtype=np.int32).reshape(-1, 3), np.array([row[3] for row in rows])


def test_grids_overlap_where_both_have_voxels() -> None:
    # the second begins 2 voxels after the first along z, 1 before it along y
    here, there = overlap((4, 5, 6), (4, 5, 6), (2, -1, 0)) or ((), ())

    assert here == (slice(2, 4), slice(0, 4), slice(0, 6))
    assert there == (slice(0, 2), slice(1, 5), slice(0, 6))
    assert overlap((4, 5, 6), (4, 5, 6), (4, 0, 0)) is None


def test_densities_are_compared_as_numpy_does() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(SHAPE).astype(np.float16), rng.random(SHAPE).astype(np.float32)

    found = density_likeness(first, second)

    difference = first.astype(np.float64) - second
    assert found.largest == np.abs(difference).max()
    assert found.rms == pytest.approx(np.sqrt(np.mean(difference**2)))
    assert found.correlation == pytest.approx(np.corrcoef(first.ravel().astype(float), second.ravel())[0, 1])
    assert found.voxels == 20 * 30 * 40


def test_a_density_that_is_the_same_everywhere_correlates_with_nothing() -> None:
    assert density_likeness(np.zeros(SHAPE), np.ones(SHAPE)).correlation is None


def test_classes_are_counted_in_the_first_in_the_second_and_in_both() -> None:
    first = voxels((1, 1, 1, "CA"), (6, 6, 6, "CA"), (3, 3, 3, "N"))
    second = voxels((1, 1, 1, "CA"), (6, 6, 6, "N"), (3, 3, 3, "N"), (9, 9, 9, "C"))

    found = label_likeness("atom", first, second, SHAPE)

    assert found.classes == {"C": (0, 1, 0), "CA": (2, 1, 1), "N": (1, 2, 1)}
    # 2 voxels agree of 3 + 4 - 2 that either of them labels
    assert found.share == pytest.approx(2 / 5)
    assert not found.same
    assert found.lost == 1  # the C-alpha at 6, 6, 6


def test_a_shift_is_the_mean_way_to_the_nearest_of_the_same_class() -> None:
    first = voxels((5, 5, 5, "CA"), (10, 10, 10, "CA"))
    second = voxels((5, 5, 6, "CA"), (11, 10, 10, "CA"))

    assert label_likeness("atom", first, second, SHAPE).shift_xyz == (0.5, 0.0, 0.5)


def test_a_label_at_the_face_moves_beyond_it_without_coming_in_on_the_other_side() -> None:
    first, second = voxels((0, 0, 39, "CA")), voxels((0, 1, 0, "CA"))

    found = label_likeness("atom", first, second, SHAPE)

    assert (found.shift_xyz, found.lost) == (None, 1)


def test_nothing_is_the_same_as_nothing() -> None:
    found = label_likeness("atom", voxels(), voxels(), SHAPE)

    assert (found.same, found.share, found.lost, found.shift_xyz) == (True, 1.0, 0, None)
