"""What a confusion matrix tells: precision, recall and F1 of each class, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Confusion = npt.NDArray[np.int64]


def confusion_of(truth: npt.NDArray[Any], found: npt.NDArray[Any], classes: int) -> Confusion:
    """How many voxels of each class (rows) were taken for which (columns); int64 (classes, classes)."""
    pairs = truth.reshape(-1).astype(np.int64) * classes + found.reshape(-1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores_of(confusion: Confusion, names: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 of each class, and their means over the foreground classes that occur.

    A class that is neither there nor found has no score (None) and counts in no mean. Background is the first class;
    its score is told and in no mean: it is so common that it would hide all others.
    """
    hit = np.diag(confusion).astype(np.float64)
    there, told = confusion.sum(axis=1), confusion.sum(axis=0)
    classes = {}
    for number, name in enumerate(names):
        occurs = there[number] + told[number] > 0
        classes[name] = {
            "precision": _share(hit[number], told[number]) if occurs else None,
            "recall": _share(hit[number], there[number]) if occurs else None,
            "f1": _share(2 * hit[number], there[number] + told[number]) if occurs else None,
            "voxels": int(there[number]),
        }
    foreground = list(classes.values())[1:]
    means = {f"macro_{key}": _mean([row[key] for row in foreground]) for key in ("precision", "recall", "f1")}
    return {**means, "classes": classes, "confusion": confusion.tolist()}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
