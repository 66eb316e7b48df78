"""A model of a part of a symmetric map: does the map show the copies that the assembly adds?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryodata.core.model import AtomicModel, ChainCopy
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.merge import MAX_OVERLAP, OVERLAP_DISTANCE, within
from cryodata.prepare.quality import GOOD_FIT, Moments, fit, share_outside
from cryodata.prepare.residues import is_backbone

MAX_RESIDUES = 1_000_000
"of a model with its copies: their backbone takes about half a gigabyte; whole capsids have some hundred thousand"

MAX_SKEW = 1e-3
"largest difference of R R^T from the unit matrix: files write rotations with six decimals"

MAX_OUTSIDE = 0.5
"share of a copy's C-alphas beyond the map; a model with more is refused as well"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the assembly of one model."""

    copies: tuple[ChainCopy, ...]
    "all that it adds if it is used, none otherwise"

    reason: str
    "used, does_not_fit, outside, overlaps, too_large, not_rigid or adds_nothing"

    lowest_fit: float | None
    "of the copies that were held against the map; None if none was"


def judge(
    volume: Volume,
    map_moments: Moments,
    residues: AtomicModel,
    copies: Sequence[ChainCopy],
    there: Sequence[FloatArray],
) -> Verdict:
    """All copies or none: each must lie in the map, fit it, and be where no other residue is.

    volume: as deposited, where the model lies in it. residues: protein of the model. there: C-alphas of everything that
    is used besides the copies, float64 (n, 3), A.
    """
    is_ca = is_backbone(residues, ("CA",))
    ca_xyz, chain = residues.xyz[is_ca], residues.chain[is_ca]
    rows = [np.flatnonzero(np.isin(chain, copy.chains)) for copy in copies]
    if not all(map(is_rigid, copies)):
        return Verdict((), "not_rigid", None)
    if sum(map(len, rows)) + sum(map(len, there)) > MAX_RESIDUES:
        return Verdict((), "too_large", None)
    kept = [(copy, copy.moved(ca_xyz[mine])) for copy, mine in zip(copies, rows, strict=True) if len(mine)]
    if not kept:  # there is none, or all are without protein
        return Verdict((), "adds_nothing", None)
    lowest: float | None = None
    for _, moved in kept:
        if share_outside(volume, moved) > MAX_OUTSIDE:
            return Verdict((), "outside", lowest)
        found = fit(volume, moved, map_moments)
        lowest = found if lowest is None else min(lowest, found)
        if found < GOOD_FIT:
            return Verdict((), "does_not_fit", lowest)
    placed = np.concatenate(there)
    for _, moved in kept:
        if within(moved, placed, OVERLAP_DISTANCE).mean() >= MAX_OVERLAP:
            return Verdict((), "overlaps", lowest)
        placed = np.concatenate([placed, moved])
    return Verdict(tuple(copy for copy, _ in kept), "used", lowest)


def is_rigid(copy: ChainCopy) -> bool:
    """Is it a rotation and a shift, and no mirror image?"""
    matrix = copy.rotation
    if not (np.isfinite(matrix).all() and np.isfinite(copy.shift_xyz).all()):
        return False
    skew = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    return skew <= MAX_SKEW and float(np.linalg.det(matrix)) > 0


def copied(model: AtomicModel, copy: ChainCopy) -> AtomicModel:
    """The atoms of the copied chains at their new places, named as before."""
    return model.take(np.isin(model.chain, copy.chains)).moved(copy)
