"""Q-scores: closed forms, the published pseudocode written out plainly, and what blur must do."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray, Volume
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import read_structure
from cryodata.prepare.neighbours import near_rows
from cryodata.prepare.qscore import SIGMA, q_scores, residue_means

REAL = {
    "EMD-3488": ("emd_3488.map.gz", "5ni1.pdb"),
    "EMD-20026-crop": ("emd_20026_crop.map.gz", "3ajo_fitted_refined.pdb"),
    "EMD-6272-zone": ("emd_6272_zone.map.gz", "3j9s.ent"),
}

SAMPLE = 40
"atoms of each entry that the plain reading scores in every run"

Sphere = Callable[[int], "list[FloatArray]"]


def gaussian_atom(width: float, voxel: float = 0.1, reach: float = 3.0, height: float = 3.0) -> Volume:
    """One atom at 0, on a fine grid; the height and the offset must not matter."""
    axis = np.arange(-round(reach / voxel), round(reach / voxel) + 1) * voxel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    density = height * np.exp(-(z**2 + y**2 + x**2) / (2 * width**2)) - 0.7
    return Volume(density.astype(np.float32), np.full(3, voxel), np.full(3, axis[0]))


def quadrature(width: float, sigma: float) -> float:
    """Correlation about the mean of two gaussians over the 21 radii, equally weighted: what a lone atom gives."""
    radii = [step / 10 for step in range(21)]
    found = [math.exp(-0.5 * (r / width) ** 2) for r in radii]
    expected = [math.exp(-0.5 * (r / sigma) ** 2) for r in radii]
    return float(np.corrcoef(found, expected)[0, 1])


def test_an_isolated_atom_of_the_reference_width_scores_one() -> None:
    score = q_scores(gaussian_atom(SIGMA), np.zeros((1, 3)))

    assert score.shape == (1,)
    assert score[0] > 0.999


@pytest.mark.parametrize("sigma", [0.4, 0.6])
@pytest.mark.parametrize("width", [0.3, 0.45, 0.8, 1.2, 2.0])
def test_an_isolated_atom_of_another_width_scores_what_the_quadrature_gives(width: float, sigma: float) -> None:
    score = q_scores(gaussian_atom(width), np.zeros((1, 3)), sigma=sigma)[0]

    assert quadrature(width, sigma) < 0.998
    assert score == pytest.approx(quadrature(width, sigma), abs=0.002)


def test_height_and_offset_of_the_map_do_not_matter() -> None:
    low, high = gaussian_atom(0.9, height=1.0), gaussian_atom(0.9, height=100.0)

    assert q_scores(low, np.zeros((1, 3)))[0] == pytest.approx(q_scores(high, np.zeros((1, 3)))[0], abs=1e-5)


def test_a_constant_map_and_a_place_outside_it_score_zero() -> None:
    flat = Volume(np.full((9, 9, 9), 4.0, dtype=np.float32), np.ones(3), np.full(3, -4.0))

    assert q_scores(flat, np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]])).tolist() == [0.0, 0.0]


def test_an_inverted_map_scores_the_negative() -> None:
    volume = gaussian_atom(0.8)
    inverted = Volume(-volume.data, volume.voxel_size_xyz, volume.origin_xyz)

    assert q_scores(inverted, np.zeros((1, 3)))[0] == pytest.approx(-q_scores(volume, np.zeros((1, 3)))[0], abs=1e-9)


def test_points_that_belong_to_a_neighbour_are_not_counted() -> None:
    volume, pair = gaussian_atom(SIGMA), np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]])
    axis = np.arange(-30, 31) * 0.1
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    second = 9.0 * np.exp(-(z**2 + y**2 + (x - 1.5) ** 2) / (2 * SIGMA**2))
    both = Volume((volume.data + second).astype(np.float32), volume.voxel_size_xyz, volume.origin_xyz)

    alone = q_scores(both, pair[:1])[0]
    together = q_scores(both, pair, np.array([0]))[0]

    assert alone < 0.8
    assert together > alone + 0.1


def test_no_atoms_have_no_scores() -> None:
    assert q_scores(gaussian_atom(SIGMA), np.zeros((0, 3))).shape == (0,)
    assert q_scores(gaussian_atom(SIGMA), np.zeros((1, 3)), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_the_mean_of_a_residue_is_that_of_its_atoms() -> None:
    means = residue_means(np.array([0.2, 0.4, 0.9]), np.array([0, 0, 2]))

    assert means[0] == pytest.approx(0.3)
    assert math.isnan(means[1])
    assert means[2] == 0.9


def test_neighbours_are_those_that_all_distances_give() -> None:
    points = np.random.default_rng(5).uniform(-9, 9, (300, 3))
    wanted = np.array([3, 3, 250, 0])
    distance = np.linalg.norm(points[wanted][:, None] - points, axis=2)

    first, rows = near_rows(points, wanted, 4.0)

    for number, row in enumerate(wanted):
        expected = [other for other in np.flatnonzero(distance[number] < 4.0) if other != row]
        assert rows[first[number] : first[number + 1]].tolist() == expected


def real_pair(shared_data: Path, entry: str) -> tuple[Volume, AtomicModel]:
    """Map and heavy atoms of a real entry, one alternative of each."""
    map_name, model_name = REAL[entry]
    folder = shared_data / "entries" / entry
    model = read_structure(folder / model_name).model
    volume = read_volume(folder / map_name, read_header(folder / map_name))
    return volume, model.take((model.element != "H") & np.isin(model.altloc, ["", "A"]))


def plain_q_score(
    volume: Volume, xyz: FloatArray, atom: int, sphere: Sphere, centre_counts: tuple[int, ...] = (8,)
) -> list[float]:
    """The pseudocode line by line: MapQ, documentation/AtomQScore_Pseudocode; sigma 0.6, 8 points.

    It writes the centre down once, the program counts it 8 times: a score for each of `centre_counts`.
    """
    centre = xyz[atom]
    around = xyz[np.linalg.norm(xyz - centre, axis=1) < 8.0]
    found, expected = [], []
    for step in range(1, 21):
        radius = step * 0.1
        for attempt in range(100):
            kept = []
            for direction in sphere(8 + attempt):
                point = centre + radius * direction
                if np.linalg.norm(around - point, axis=1).min() >= radius - 1e-9:
                    kept.append(point)
            if len(kept) >= 8:
                break
        found += [plain_value(volume, point) for point in kept]
        expected += [math.exp(-0.5 * (radius / 0.6) ** 2)] * len(kept)
    middle = plain_value(volume, centre)
    return [float(np.corrcoef([middle] * n + found, [1.0] * n + expected)[0, 1]) for n in centre_counts]


@lru_cache
def program_sphere(count: int) -> list[FloatArray]:
    """Points spread evenly as the program spreads them: a spiral from pole to pole."""
    points, angle = [], 0.0
    for k in range(1, count + 1):
        height = -1.0 + 2.0 * (k - 1) / (count - 1)
        polar = math.acos(height)
        angle = 0.0 if k in (1, count) else (angle + 3.6 / math.sqrt(count * (1.0 - height**2))) % (2 * math.pi)
        points.append(np.array([math.sin(polar) * math.cos(angle), math.sin(polar) * math.sin(angle), math.cos(polar)]))
    return points


@lru_cache
def golden_sphere(count: int) -> list[FloatArray]:
    """Points spread evenly in another way: the golden spiral."""
    golden = math.pi * (3 - math.sqrt(5))
    points = []
    for k in range(count):
        height = 1 - 2 * (k + 0.5) / count
        ring = math.sqrt(1 - height**2)
        points.append(np.array([ring * math.cos(golden * k), ring * math.sin(golden * k), height]))
    return points


def plain_value(volume: Volume, xyz: FloatArray) -> float:
    """Trilinear, one corner after the other; 0 outside."""
    place = [(float(xyz[a]) - float(volume.origin_xyz[a])) / float(volume.voxel_size_xyz[a]) for a in (2, 1, 0)]
    if any(not 0 <= p <= n - 1 for p, n in zip(place, volume.shape_zyx, strict=True)):
        return 0.0
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        weight, at = 1.0, []
        for p, bit, n in zip(place, corner, volume.shape_zyx, strict=True):
            low = min(int(p), n - 2)
            weight *= (p - low) if bit else 1 - (p - low)
            at.append(low + bit)
        total += weight * float(volume.data[tuple(at)])
    return total


@pytest.mark.parametrize("entry", REAL)
def test_real_scores_equal_the_published_pseudocode(shared_data: Path, entry: str) -> None:
    volume, model = real_pair(shared_data, entry)
    rows = np.random.default_rng(7).choice(len(model), SAMPLE, replace=False)

    ours = q_scores(volume, model.xyz, rows)
    plain = np.array([plain_q_score(volume, model.xyz, row, program_sphere, (8, 1)) for row in rows])

    assert ours.std() > 0.05
    assert np.abs(ours - plain[:, 0]).max() < 1e-6
    assert abs(ours.mean() - plain[:, 1].mean()) < 0.01


@pytest.mark.full
@pytest.mark.parametrize("sphere", [program_sphere, golden_sphere])
@pytest.mark.parametrize("entry", REAL)
def test_the_mean_of_a_real_entry_does_not_hang_on_how_points_are_spread(
    shared_data: Path, entry: str, sphere: Sphere
) -> None:
    volume, model = real_pair(shared_data, entry)
    rows = np.random.default_rng(8).choice(len(model), 600, replace=False)

    plain = np.array([plain_q_score(volume, model.xyz, row, sphere)[0] for row in rows])

    assert abs(q_scores(volume, model.xyz, rows).mean() - plain.mean()) < 0.01


def test_blur_lowers_the_score_of_a_real_entry_step_by_step(shared_data: Path) -> None:
    volume, model = real_pair(shared_data, "EMD-3488")
    rows = np.arange(0, len(model), 10)
    frequencies = [np.fft.fftfreq(n, s) for n, s in zip(volume.shape_zyx, volume.voxel_size_xyz[::-1], strict=True)]
    square = sum(np.square(f).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, f in enumerate(frequencies))
    spectrum = np.fft.fftn(volume.data)

    means = []
    for b_factor in (0.0, 50.0, 100.0, 200.0, 400.0, 800.0):
        blurred = np.fft.ifftn(spectrum * np.exp(-b_factor / 4 * square)).real.astype(np.float32)
        means.append(q_scores(Volume(blurred, volume.voxel_size_xyz, volume.origin_xyz), model.xyz, rows).mean())

    assert means[0] > 0.65
    assert np.all(np.diff(means) < 0)
    assert means[-1] < 0.3


def test_a_wider_atom_scores_lower() -> None:
    scores = [q_scores(gaussian_atom(width), np.zeros((1, 3)))[0] for width in (0.6, 0.8, 1.0, 1.3, 1.7, 2.2)]

    assert np.all(np.diff(scores) < 0)


@pytest.mark.parametrize("entry", REAL)
def test_without_numba_the_scores_are_the_same_bytes(
    shared_data: Path, entry: str, numpy_alone: Callable[[], None]
) -> None:
    volume, model = real_pair(shared_data, entry)
    rows = np.arange(0, len(model), len(model) // 300)

    compiled = q_scores(volume, model.xyz, rows)
    numpy_alone()

    np.testing.assert_array_equal(q_scores(volume, model.xyz, rows), compiled)
