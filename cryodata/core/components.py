"""What hangs together: components of a graph, and the split of each unit so that none of them is divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cryodata.core.splits import TEST, TRAIN, UNASSIGNED, VALIDATION, VALIDATION_SHARE, fraction_of

LARGEST_HELD_OUT = 0.05
"share of all units; a component with more is for training: validation is a tenth, and no seed may make it far more"

_BITS = {TRAIN: 1, VALIDATION: 2, TEST: 4}

Edges = npt.NDArray[np.int64]
"pairs of units that must not stand in different splits, int64 (n, 2), by their numbers"


def components(count: int, edges: Edges) -> npt.NDArray[np.int64]:
    """The component of each of `count` things, int64 (count,): the lowest number in it."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        new = label.copy()
        np.minimum.at(new, edges[:, 0], low)
        np.minimum.at(new, edges[:, 1], low)
        np.minimum.at(new, label[edges[:, 0]], low)
        np.minimum.at(new, label[edges[:, 1]], low)
        while not np.array_equal(new, new[new]):
            new = new[new]
        if np.array_equal(new, label):
            return label
        label = new


def split_components(units: Sequence[str], edges: Edges, fixed: Mapping[str, str], seed: int) -> dict[str, str]:
    """The split of each unit by the scheme `sequence`.

    fixed: units whose split stands: by a list, by the source or by the parent version. Each other unit goes where what
    it is joined to stands; one that is joined to two splits, itself or through others that are new, is unassigned. What
    is joined to nothing that stands is held out by the hash of its component.
    """
    splits = {unit: fixed[unit] for unit in units if unit in fixed}
    bits = np.array([_BITS.get(splits.get(unit, ""), 0) for unit in units], dtype=np.int64)
    new = np.array([unit not in splits for unit in units], dtype=bool)
    touched = np.zeros(len(units), dtype=np.int64)
    for here, there in ((0, 1), (1, 0)):
        np.bitwise_or.at(touched, edges[:, here], bits[edges[:, there]])
    bridging = new & _several(touched)
    free = new & ~bridging
    label = components(len(units), edges[free[edges].all(axis=1)])
    together = np.zeros(len(units), dtype=np.int64)
    np.bitwise_or.at(together, label[free], touched[free])
    members: dict[int, list[int]] = {}
    for number in np.flatnonzero(free).tolist():
        members.setdefault(int(label[number]), []).append(number)
    splits |= {units[number]: UNASSIGNED for number in np.flatnonzero(bridging).tolist()}
    for root, numbers in members.items():
        mine = [units[number] for number in numbers]
        found = [split for split, bit in _BITS.items() if together[root] & bit]
        split = _hashed(mine, len(units), seed) if not found else found[0] if len(found) == 1 else UNASSIGNED
        splits |= dict.fromkeys(mine, split)
    return splits


def _hashed(component: Sequence[str], total: int, seed: int) -> str:
    """By the smallest hash of its units. The smallest of n is below x with probability 1 - (1 - x)^n: taken as it is,
    it would hold out every large component."""
    size = len(component)
    if size > max(1.0, LARGEST_HELD_OUT * total):
        return TRAIN
    smallest = min(fraction_of(unit, seed) for unit in component)
    return VALIDATION if 1.0 - (1.0 - smallest) ** size < VALIDATION_SHARE else TRAIN


def _several(bits: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where more than one bit is set."""
    result: npt.NDArray[np.bool_] = (bits & (bits - 1)) != 0
    return result
