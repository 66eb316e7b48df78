"""F1 of predicted voxels against the probability at which they count, and what chance gives: the paper's figure 6."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cryodata.baseline.predictions import Prediction
from cryodata.baseline.scoring.matching import nearest_distance
from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.structure import read_structure
from cryodata.prepare.residues import is_backbone, protein_residues
from cryodata.prepare.rules import LabelRule

STEPS = 100
"thresholds are 0, 1/STEPS, ... 1"

CELL_START = {"nearest": -0.5, "floor": 0.0, "stored": 0.0}
"where the voxel of an atom begins, in voxels from its centre; the published recipe stores labels by `floor`"


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """Scores of the voxels whose probability is at least a threshold, for each of the thresholds."""

    thresholds: tuple[float, ...]
    "probabilities, ascending"

    precision: tuple[float, ...]
    "share of the predicted voxels that are labelled"

    recall: tuple[float, ...]
    "share of the labelled voxels that are predicted"

    f1: tuple[float, ...]
    "harmonic mean of the two"

    random_f1: tuple[float, ...]
    "expected F1 of a probability drawn uniformly from 0 to 1 for every voxel"

    voxels: int
    "voxels of the map"

    labelled: int
    "voxels that the alpha carbons of the reference label"

    outside: int
    "alpha carbons of the reference that lie outside the map"

    @property
    def best(self) -> tuple[float, float]:
        """Threshold with the highest F1, and that F1."""
        index = int(np.argmax(self.f1))
        return self.thresholds[index], self.f1[index]


def threshold_curve(
    probability: Volume, ca_xyz: FloatArray, rule: LabelRule, others_xyz: FloatArray | None = None
) -> ThresholdCurve:
    """Scores against threshold, voxel by voxel.

    probability: of an alpha carbon, (nz, ny, nx), 0 to 1; read plane by plane. ca_xyz: alpha carbons of the reference,
    float64 (n, 3), A. rule: how they label voxels, as the network was trained. others_xyz: its other backbone atoms,
    which take the voxels of a sphere that are nearer to them. Raises DatasetError for values outside 0 to 1 and if no
    alpha carbon lies in the map, UsageError for a rule that labels no voxels.
    """
    index = probability.index_of(ca_xyz)
    inside = ((index >= -0.5) & (index < np.array(probability.data.shape) - 0.5)).all(axis=1)
    outside = int(np.count_nonzero(~inside))
    places = _labelled(probability, ca_xyz, rule, others_xyz)
    if not len(places):
        raise DatasetError("no alpha carbon of the reference lies in the predicted map; expected both in one frame")
    everywhere = np.zeros(STEPS + 1, dtype=np.int64)
    for plane in probability.data:
        everywhere += _histogram(np.asarray(plane))
    hits = np.cumsum(_histogram(probability.data[tuple(places.T)])[::-1])[::-1]
    predicted = np.cumsum(everywhere[::-1])[::-1]
    voxels, labelled = int(predicted[0]), len(places)
    thresholds = np.arange(STEPS + 1) / STEPS
    random = (1 - thresholds) * voxels
    return ThresholdCurve(
        thresholds=tuple(thresholds.tolist()),
        precision=tuple((hits / np.maximum(predicted, 1)).tolist()),
        recall=tuple((hits / labelled).tolist()),
        f1=tuple((2 * hits / (predicted + labelled)).tolist()),
        random_f1=tuple((2 * (1 - thresholds) * labelled / (random + labelled)).tolist()),
        voxels=voxels,
        labelled=labelled,
        outside=outside,
    )


def reference_curve(probability: Volume, reference: Path, labels: str) -> ThresholdCurve:
    """`threshold_curve` for a model file. labels: the rule of training, as `labels=` takes it."""
    rule = LabelRule.parse(labels)
    atoms = protein_residues(read_structure(reference).model)
    ca, others = (atoms.xyz[is_backbone(atoms, names)] for names in (("CA",), ("N", "C")))
    return threshold_curve(probability, ca, rule, others)


def predicted_curve(prediction: Prediction, reference: Path, labels: str = "") -> ThresholdCurve:
    """`reference_curve` of what `cryodata predict` made. labels: the rule of its training if empty."""
    trained = [run["labels"] for run in prediction.told["runs"] if "atom" in run["heads"]]
    return reference_curve(prediction.channel("atom", 1), reference, labels or (trained or ["nearest"])[0])


def _labelled(
    volume: Volume, ca_xyz: FloatArray, rule: LabelRule, others_xyz: FloatArray | None
) -> npt.NDArray[np.int64]:
    """The voxels that are labelled, each once, int64 (n, 3)."""
    index = volume.index_of(ca_xyz)
    if rule.kind in CELL_START:
        found = np.floor(index - CELL_START[rule.kind]).astype(np.int64)
    elif rule.kind == "sphere":
        reach = np.ceil(rule.reach / volume.voxel_size_xyz[::-1]).astype(np.int64) + 1
        around = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
        found = (np.rint(index).astype(np.int64)[:, None] + around).reshape(-1, 3)
    else:
        raise UsageError(f"labels by '{rule}' fill no voxels of their own; expected nearest, floor, stored or sphere:R")
    inside = ((found >= 0) & (found < volume.data.shape)).all(axis=1)
    found = np.unique(found[inside], axis=0)
    if rule.kind == "sphere" and len(found):
        centres = volume.position_of(found)
        near = nearest_distance(centres, ca_xyz)
        mine = near <= rule.reach
        if others_xyz is not None and len(others_xyz):
            mine &= near <= nearest_distance(centres, others_xyz)
        found = found[mine]
    return found


def _histogram(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """How many values lie in [0, 1/STEPS), [1/STEPS, 2/STEPS), ..., and at 1."""
    # a float16 or float32 a little above 1 is the rounding of 1
    if not ((values >= 0) & (values <= 1.001)).all():
        raise DatasetError("the predicted map has values outside 0 to 1; expected probabilities of an alpha carbon")
    # a float32 may lie a little below the threshold that it was written as
    bins = np.floor(values.astype(np.float64) * STEPS + 1e-4).astype(np.int64)
    return np.bincount(np.minimum(bins, STEPS).reshape(-1), minlength=STEPS + 1)
