"""F1 against threshold: counted by hand on a small map, and chance as chance gives it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cryodata.baseline.scoring.thresholds import threshold_curve
from cryodata.cli import app
from cryodata.core.volume import Volume
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.mrc import write_map
from cryodata.prepare.draw import draw
from cryodata.prepare.points import BoxPoints
from cryodata.prepare.residues import is_backbone, protein_residues
from cryodata.prepare.rules import LabelRule
from cryodata.prepare.simulate import random_protein
from tests.baseline.models import calphas, write_pdb

NEAREST = LabelRule("nearest")


def volume(data: np.ndarray) -> Volume:
    return Volume(data, np.ones(3), np.array([10.0, 20.0, 30.0]))


def at(*places: tuple[float, float, float]) -> np.ndarray:
    """Positions at fractional x, y, z indices of the volume."""
    return np.array(places, dtype=np.float64) + np.array([10.0, 20.0, 30.0])


def test_scores_are_counted_voxel_by_voxel() -> None:
    data = np.zeros((4, 4, 4), dtype=np.float32)
    data[1, 2, 3], data[0, 0, 0], data[3, 3, 3], data[2, 2, 2] = 0.9, 0.5, 0.7, 1.0
    # x 3, y 2, z 1 with 0.9; x 0 with 0.5; one more where nothing is predicted; one outside the map
    reference = at((3.2, 1.9, 0.6), (0, 0, 0), (1, 1, 1), (1, 9, 1))
    curve = threshold_curve(volume(data), reference, NEAREST)
    rows = {t: i for i, t in enumerate(curve.thresholds)}

    assert (curve.voxels, curve.labelled, curve.outside) == (64, 3, 1)
    assert (curve.precision[rows[0.0]], curve.recall[rows[0.0]]) == (3 / 64, 1)  # every voxel is predicted
    assert (curve.precision[rows[0.5]], curve.recall[rows[0.5]]) == (2 / 4, 2 / 3)
    assert (curve.precision[rows[0.51]], curve.recall[rows[0.51]]) == (1 / 3, 1 / 3)
    assert (curve.precision[rows[0.9]], curve.recall[rows[0.9]]) == (1 / 2, 1 / 3)
    assert (curve.precision[rows[1.0]], curve.recall[rows[1.0]]) == (0, 0)
    assert curve.f1[rows[0.5]] == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert curve.best == (0.01, pytest.approx(4 / 7))


def test_labels_by_the_published_formula_lie_half_a_voxel_lower() -> None:
    data = np.zeros((4, 4, 4), dtype=np.float32)
    data[2, 2, 2] = 1.0
    reference = at((2.7, 2.7, 2.7))

    assert threshold_curve(volume(data), reference, LabelRule("floor")).best[1] == 1
    assert threshold_curve(volume(data), reference, LabelRule("stored")).best[1] == 1
    assert threshold_curve(volume(data), reference, NEAREST).best[1] < 0.1


def test_spheres_label_what_training_labels() -> None:
    model = protein_residues(random_protein(3, chains=1, residues=20, radius=14.0))
    ca, others = (model.xyz[is_backbone(model, names)] for names in (("CA",), ("N", "C")))
    shape, origin = (30, 34, 32), model.xyz.min(axis=0) + np.array([6.0, 5.0, -1.0])  # some atoms lie outside
    place = Volume(np.zeros(shape, np.float32), np.ones(3), origin)
    kinds = np.select([is_backbone(model, (name,)) for name in ("CA", "N", "C")], [1, 2, 3], 0).astype(np.uint8)
    keep = kinds > 0
    drawn = {"atom": np.zeros((1, *shape), np.uint8)}
    rows = np.zeros(int(keep.sum()), np.int64)
    points = BoxPoints(place.index_of(model.xyz[keep]), rows, {"atom": kinds[keep]})
    draw(LabelRule("sphere", 1.5), [points], drawn)
    wanted = drawn["atom"][0] == 1
    curve = threshold_curve(Volume(wanted.astype(np.float32), np.ones(3), origin), ca, LabelRule("sphere", 1.5), others)

    assert curve.labelled == np.count_nonzero(wanted) > 100
    assert curve.f1[50] == 1
    assert curve.outside > 0


def test_a_rule_without_voxels_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        threshold_curve(volume(np.zeros((3, 3, 3), np.float32)), at((1, 1, 1)), LabelRule("gaussian", 1.5))

    expected = "labels by 'gaussian:1.5' fill no voxels of their own; expected nearest, floor, stored or sphere:R"
    assert str(error.value) == expected


def test_the_curve_of_chance_is_what_random_probabilities_give() -> None:
    rng = np.random.default_rng(0)
    reference = at(*rng.uniform(0, 29, (500, 3)).tolist())
    curve = threshold_curve(volume(rng.random((30, 30, 30), dtype=np.float32)), reference, NEAREST)

    assert curve.f1[:90] == pytest.approx(curve.random_f1[:90], abs=0.006)
    assert curve.random_f1[0] == pytest.approx(2 * curve.labelled / (27_000 + curve.labelled))
    assert curve.random_f1[-1] == 0


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
def test_what_is_no_probability_is_refused(value: float) -> None:
    data = np.zeros((3, 3, 3), dtype=np.float32)
    data[0, 1, 2] = value
    with pytest.raises(DatasetError) as error:
        threshold_curve(volume(data), at((1, 1, 1)), NEAREST)

    expected = "the predicted map has values outside 0 to 1; expected probabilities of an alpha carbon"
    assert str(error.value) == expected


def test_a_reference_in_another_frame_is_refused() -> None:
    with pytest.raises(DatasetError) as error:
        threshold_curve(volume(np.zeros((3, 3, 3), np.float32)), at((100, 1, 1)), NEAREST)

    expected = "no alpha carbon of the reference lies in the predicted map; expected both in one frame"
    assert str(error.value) == expected


def test_the_command_reads_a_map_of_probabilities(tmp_path: Path) -> None:
    reference = calphas({"A": ("ACDEF", at(*[(i, i, i) for i in range(5)]))})
    data = np.zeros((6, 7, 8), dtype=np.float32)
    data[range(4), range(4), range(4)] = 0.8
    write_map(tmp_path / "ca.mrc.gz", volume(data))
    file = str(write_pdb(tmp_path / "model.pdb", reference))
    words = ["evaluate", file, file, "--probability", str(tmp_path / "ca.mrc.gz")]
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["voxels"]

    assert (found["best_f1"], found["recall"][80], found["precision"][80]) == (pytest.approx(8 / 9), 0.8, 1)
    assert "best F1 0.889" in CliRunner().invoke(app, [*words, "--png", str(tmp_path / "a.png")]).stdout
