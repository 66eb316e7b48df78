"""Pairs of positions of two models: all that are near, the greedy choice among them, and the best one (scipy)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cryodata.core.calphas import Crystal
from cryodata.errors import DatasetError

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

MAX_PAIRS = 100
"pairs by residue; alpha carbons lie 3.8 A apart, so that only files with residues heaped in one place have more"


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of a row of the model and a row of the reference."""

    model: IndexArray
    "rows of the model, int64 (n,), ascending"

    reference: IndexArray
    "rows of the reference, int64 (n,)"

    distance: FloatArray
    "float64 (n,), A"

    def __len__(self) -> int:
        return len(self.model)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Pairs:
        """Some of them, given as indices or as a mask."""
        return Pairs(self.model[rows], self.reference[rows], self.distance[rows])

    @property
    def rmsd(self) -> float | None:
        """Root of the mean squared distance, A; None if there is no pair."""
        return float(np.sqrt(np.mean(self.distance**2))) if len(self) else None


def near_pairs(model_xyz: FloatArray, reference_xyz: FloatArray, cap: float, crystal: Crystal | None = None) -> Pairs:
    """All pairs at most `cap` A apart, by row of the model, then distance, then row of the reference.

    model_xyz, reference_xyz: float64 (n, 3) and (m, 3), A; either may be empty. With a crystal, the distance is the one
    to the nearest symmetry copy of the reference. Memory grows with the number of pairs, not with n x m.
    """
    from scipy.spatial import cKDTree

    rows = np.arange(len(reference_xyz))
    if crystal is not None:
        model_xyz = crystal.into_cell(model_xyz)
        reference_xyz, rows = crystal.images(reference_xyz, cap)
    if not len(model_xyz) or not len(reference_xyz):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    # a little further: the tree squares its distances, and the cap itself is within
    trees = cKDTree(model_xyz), cKDTree(reference_xyz)
    reach = cap * (1 + 1e-9)
    crowd = int(trees[0].count_neighbors(trees[1], reach))
    if crowd > MAX_PAIRS * (len(model_xyz) + len(reference_xyz)):
        mean = crowd // max(len(model_xyz), 1)
        raise DatasetError(f"a residue has {mean:,} others within {cap:g} A on average; no protein is so dense")
    found = trees[0].sparse_distance_matrix(trees[1], reach, output_type="ndarray")
    model, reference = found["i"].astype(np.int64), rows[found["j"]]
    distance = np.linalg.norm(model_xyz[model] - reference_xyz[found["j"]], axis=1)
    order = np.lexsort((distance, reference, model))
    order = order[distance[order] <= cap]
    keys = np.stack([model[order], reference[order]])
    order = order[np.r_[True, (np.diff(keys, axis=1) != 0).any(axis=0)]] if len(order) else order  # nearest copy
    order = order[np.lexsort((reference[order], distance[order], model[order]))]
    return Pairs(model[order], reference[order], distance[order])


def nearest_distance(xyz: FloatArray, others: FloatArray) -> FloatArray:
    """Distance from each position to the nearest of others, float64 (n,), A; `others` is not empty."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(others).query(xyz)[0], dtype=np.float64)


def match_greedily(near: Pairs) -> Pairs:
    """One-to-one, as phenix.chain_comparison chooses: each row of the model, in order, takes the nearest of the
    reference; if that is taken, the next nearest; if that is taken too, none.

    near: as `near_pairs` gives it. What comes out depends on the order of the model.
    """
    taken: set[int] = set()
    chosen = []
    starts = np.flatnonzero(np.diff(near.model, prepend=-1)).tolist()
    for first, last in pairwise([*starts, len(near)]):
        for row in range(first, min(first + 2, last)):
            if int(near.reference[row]) not in taken:
                taken.add(int(near.reference[row]))
                chosen.append(row)
                break
    return near.take(np.array(chosen, dtype=np.int64))


def match_optimally(near: Pairs) -> Pairs:
    """One-to-one: as many pairs as can be, and among such choices the one with the least sum of distances.

    near: as `near_pairs` gives it. The graph stays sparse: 20,000 residues take a second and some megabytes.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(near):
        return near
    models, row = np.unique(near.model, return_inverse=True)
    references, column = np.unique(near.reference, return_inverse=True)
    # a column of its own for each row, dearer than any detour through the others, makes a full matching exist; all
    # weights are above 0 because a weight of 0 is no edge
    alone = float(near.distance.max()) * (len(models) + 1) + 1.0
    count = len(models)
    weights = np.concatenate([near.distance + 1.0, np.full(count, alone + 1.0)])
    rows = np.concatenate([row, np.arange(count)])
    columns = np.concatenate([column, len(references) + np.arange(count)])
    graph = csr_array((weights, (rows, columns)), shape=(count, len(references) + count))
    left, right = min_weight_full_bipartite_matching(graph)
    real = right < len(references)
    keys = row.astype(np.int64) * len(references) + column
    order = np.argsort(keys)
    chosen = order[np.searchsorted(keys[order], left[real].astype(np.int64) * len(references) + right[real])]
    return near.take(np.sort(chosen))
