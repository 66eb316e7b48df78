"""F1 of predicted voxels against the probability at which they count, and what chance gives: the paper's figure 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.calphas import CAlphas
from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import DatasetError

STEPS = 100
"thresholds are 0, 1/STEPS, ... 1"

CELL_START = {"nearest": -0.5, "floor": 0.0}
"where the voxel of an atom begins, in voxels from its centre, by the rule that labels were written with"


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
    "voxels that hold an alpha carbon of the reference"

    outside: int
    "alpha carbons of the reference that lie outside the map"

    @property
    def best(self) -> tuple[float, float]:
        """Threshold with the highest F1, and that F1."""
        index = int(np.argmax(self.f1))
        return self.thresholds[index], self.f1[index]


def threshold_curve(probability: Volume, reference: CAlphas, cell: str = "nearest") -> ThresholdCurve:
    """Scores against threshold, voxel by voxel.

    probability: of an alpha carbon, (nz, ny, nx), 0 to 1; read plane by plane. reference: its alpha carbons each label
    one voxel. cell: `nearest`, or `floor` for networks that were trained on labels by the published formula.
    Raises DatasetError for values outside 0 to 1 and if no alpha carbon lies in the map.
    """
    places, outside = _labelled(probability, reference, cell)
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


def _labelled(volume: Volume, reference: CAlphas, cell: str) -> tuple[npt.NDArray[np.int64], int]:
    """The voxels that hold an alpha carbon, each once, int64 (n, 3), and how many alpha carbons lie outside."""
    index: FloatArray = np.floor(volume.index_of(reference.xyz) - CELL_START[cell])
    inside = ((index >= 0) & (index < volume.data.shape)).all(axis=1)
    places = np.unique(index[inside].astype(np.int64), axis=0)
    return places, int(np.count_nonzero(~inside))


def _histogram(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """How many values lie in [0, 1/STEPS), [1/STEPS, 2/STEPS), ..., and at 1."""
    # a float16 or float32 a little above 1 is the rounding of 1
    if not ((values >= 0) & (values <= 1.001)).all():
        raise DatasetError("the predicted map has values outside 0 to 1; expected probabilities of an alpha carbon")
    # a float32 may lie a little below the threshold that it was written as
    bins = np.floor(values.astype(np.float64) * STEPS + 1e-4).astype(np.int64)
    return np.bincount(np.minimum(bins, STEPS).reshape(-1), minlength=STEPS + 1)
