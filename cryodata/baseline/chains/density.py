"""What the density between two states says for a link; learned from the map itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.emission import monotone
from cryodata.core.volume import Volume

Array = npt.NDArray[Any]

LINKED, APART = (3.4, 4.2), (4.6, 6.5)
"A: distances at which two states are mostly neighbours of a chain, and at which they mostly are not"

BINS, FEWEST = 12, 200
"of the ratio; pairs of each kind from which on there is anything to learn"

LIMITS = (-2.0, 1.0)
"nats that density may count: it is no more independent of the candidates than this"


def density_links(density: Volume, xyz: Array) -> Callable[[Array, Array], Array]:
    """The score of a link between states, for `viterbi.trace(links=...)`.

    The least density at a quarter, half and three quarters of the way over the mean at both ends is compared between
    pairs 3.4 to 4.2 A apart and pairs 4.6 to 6.5 A apart; the logarithm of the ratio of the two histograms, made
    monotone, is the score. 0 throughout where there are too few pairs.
    """
    from cryodata.baseline.chains.graph import neighbours

    def ratio(one: Array, two: Array) -> Array:
        ways = [_at(density, xyz[one] + part * (xyz[two] - xyz[one])) for part in (0.25, 0.5, 0.75)]
        ends = (_at(density, xyz[one]) + _at(density, xyz[two])) / 2
        shares: Array = np.clip(np.minimum.reduce(ways) / np.maximum(ends, 1e-6), 0, 2)
        return shares

    found = []
    for reach in (LINKED, APART):
        first, other, _ = neighbours(np.asarray(xyz, dtype=np.float32), *reach)
        found.append(ratio(np.repeat(np.arange(len(xyz)), np.diff(first)), other))
    if min(len(values) for values in found) < FEWEST:
        return lambda one, two: np.zeros(len(one))
    edges = np.unique(np.quantile(np.concatenate(found), np.linspace(0, 1, BINS + 1)[1:-1]))
    linked, apart = (np.bincount(np.searchsorted(edges, v), minlength=len(edges) + 1) + 1.0 for v in found)
    score = monotone((linked / linked.sum()) / (apart / apart.sum()), apart)
    table = np.clip(np.log(score), *LIMITS)
    return lambda one, two: table[np.searchsorted(edges, ratio(one, two))]


def _at(density: Volume, xyz: Array) -> Array:
    """Density at points by trilinear interpolation; the nearest voxel of the map outside it."""
    index = np.clip(density.index_of(xyz), 0, np.array(density.shape_zyx) - 1)
    low = np.minimum(index.astype(np.int64), np.maximum(np.array(density.shape_zyx) - 2, 0))
    part = index - low
    total = np.zeros(len(index))
    for corner in np.ndindex(2, 2, 2):
        place = np.minimum(low + corner, np.array(density.shape_zyx) - 1)
        weight = np.where(corner, part, 1 - part).prod(axis=1)
        total += weight * density.data[tuple(place.T)]
    return total
