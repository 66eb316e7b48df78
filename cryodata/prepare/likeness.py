"""How far two volumes of one map agree: densities voxel by voxel, labels class by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.subgrids import Shape

SLAB = 16
"planes that are compared at a time"

REACH = 2.0
"voxels within which a label that moved is looked for; C-alphas are 3.8 A apart"

Voxels = tuple[npt.NDArray[np.int32], npt.NDArray[np.str_]]
"voxels int32 (n, 3), z, y, x, and the name of the class of each (n,)"


@dataclass(frozen=True, slots=True)
class DensityLikeness:
    """Two densities over the voxels that both have."""

    voxels: int
    largest: float
    "largest absolute difference"

    rms: float
    "root of the mean squared difference"

    correlation: float | None
    "Pearson's; None if one of them is the same everywhere"


@dataclass(frozen=True, slots=True)
class LabelLikeness:
    """The voxels of one label in two volumes."""

    label: str
    classes: Mapping[str, tuple[int, int, int]]
    "by class: voxels in the first, in the second, in both"

    shift_xyz: tuple[float, float, float] | None
    "mean way from a voxel of the first to the nearest of its class in the second, voxels; None if there is none near"

    lost: int
    "voxels of the first without one of their class in the second within REACH"

    @property
    def same(self) -> bool:
        """Whether every voxel has the same class."""
        return all(first == second == both for first, second, both in self.classes.values())

    @property
    def share(self) -> float:
        """Voxels of one class in both, as a share of those that have one in either."""
        first, second, both = (sum(counts[i] for counts in self.classes.values()) for i in range(3))
        return both / (first + second - both) if first + second else 1.0


def overlap(
    first: Shape, second: Shape, offset_zyx: tuple[int, int, int]
) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]] | None:
    """Where two grids share voxels, in each; None if nowhere. offset: index in the first of voxel 0 of the second."""
    low = [max(0, offset) for offset in offset_zyx]
    high = [min(n, m + offset) for n, m, offset in zip(first, second, offset_zyx, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    here = [slice(a, b) for a, b in zip(low, high, strict=True)]
    there = [slice(a - o, b - o) for a, b, o in zip(low, high, offset_zyx, strict=True)]
    return (here[0], here[1], here[2]), (there[0], there[1], there[2])


def density_likeness(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> DensityLikeness:
    """Compare two densities of one shape, in memory for some planes as float64."""
    largest, count, sums = 0.0, first.size, np.zeros(6)
    for z in range(0, len(first), SLAB):
        a, b = (part[z : z + SLAB].astype(np.float64) for part in (first, second))
        difference = a - b
        largest = max(largest, float(np.abs(difference).max()))
        sums += [a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum(), (difference * difference).sum()]
    mean, other, square, other_square, product, squares = (float(value) / count for value in sums)
    spread = (square - mean * mean) * (other_square - other * other)
    correlation = max(-1.0, min(1.0, (product - mean * other) / math.sqrt(spread))) if spread > 0 else None
    return DensityLikeness(count, largest, math.sqrt(squares), correlation)


def label_likeness(label: str, first: Voxels, second: Voxels, shape_zyx: Shape) -> LabelLikeness:
    """Compare the voxels of a label, all in the index of the first; those outside `shape_zyx` don't count."""
    names = sorted({*first[1].tolist(), *second[1].tolist()})
    low, high = np.full(3, -4), np.asarray(shape_zyx) + 4  # room for what is looked for around a voxel
    places = []
    for voxel, name in (first, second):
        inside = np.all((voxel >= 0) & (voxel < np.asarray(shape_zyx)), axis=1)
        code = np.searchsorted(names, name[inside])
        places.append((voxel[inside].astype(np.int64) - low, code))
    span = tuple((high - low).tolist())
    keys = [np.ravel_multi_index((code, *voxel.T), (max(1, len(names)), *span)) for voxel, code in places]
    shared = np.isin(keys[0], keys[1])
    classes = {
        name: (int((places[0][1] == i).sum()), int((places[1][1] == i).sum()), int((places[0][1][shared] == i).sum()))
        for i, name in enumerate(names)
    }
    shift, lost = _shift(places[0], keys[1], (max(1, len(names)), *span))
    return LabelLikeness(label, classes, shift, lost)


def _shift(
    first: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], keys: npt.NDArray[np.int64], span: tuple[int, ...]
) -> tuple[tuple[float, float, float] | None, int]:
    """Mean way to the nearest voxel of the same class, x, y, z in voxels, and how many have none near."""
    voxel, code = first
    found = np.zeros((len(voxel), 3))
    open_ = np.ones(len(voxel), dtype=np.bool_)
    for step in _steps():
        rows = np.flatnonzero(open_)
        if not len(rows):
            break
        there = np.isin(np.ravel_multi_index((code[rows], *(voxel[rows] + step).T), span), keys)
        found[rows[there]] = step
        open_[rows[there]] = False
    if open_.all():
        return None, len(voxel)
    z, y, x = found[~open_].mean(axis=0).tolist()
    return (x, y, z), int(open_.sum())


def _steps() -> list[npt.NDArray[np.int64]]:
    """Ways of whole voxels, the shortest first."""
    most = int(REACH)
    steps = np.stack(np.meshgrid(*[np.arange(-most, most + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(steps, axis=1)
    return [steps[i] for i in np.argsort(length, kind="stable").tolist() if length[i] <= REACH]
