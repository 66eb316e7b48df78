"""Which residues of a model are protein, and which of their alternatives count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.core.model import AtomicModel

BACKBONE = {"N": "N", "CA": "C", "C": "C"}
"element of each backbone atom by name; a calcium ion is also named CA"


def is_backbone(model: AtomicModel, names: tuple[str, ...] = tuple(BACKBONE)) -> npt.NDArray[np.bool_]:
    """Mask of the atoms with one of the backbone names and its element, bool (n,)."""
    mask = np.zeros(len(model), dtype=np.bool_)
    for name in names:
        mask |= (model.atom == name) & (np.char.upper(model.element) == BACKBONE[name])
    return mask


def protein_residues(model: AtomicModel) -> AtomicModel:
    """All atoms of the protein residues of a model, one alternative of each.

    A protein residue belongs to a peptide polymer and has an alpha carbon. Of several residue names at one
    position the one with the highest summed occupancy of N, CA, C is kept, then one alternative location by the
    same sum (the first of equals); atoms without an alternative location always belong. May be empty.
    """
    model = model.take(model.entity_kind == "peptide")
    model = _keep_with_ca(model, np.unique(model.residue, return_inverse=True)[1])
    model = model.take(_best(model, model.residue, np.ones(len(model), dtype=np.bool_)))
    return model.take((model.altloc == "") | _best(model, model.altloc, _altlocs_with_ca(model)))


def _keep_with_ca(model: AtomicModel, variant: npt.NDArray[np.int64]) -> AtomicModel:
    """Drop the (position, variant) groups without an alpha carbon."""
    groups = model.position.astype(np.int64) * (int(variant.max(initial=0)) + 1) + variant
    return model.take(np.isin(groups, groups[is_backbone(model, ("CA",))]))


def _altlocs_with_ca(model: AtomicModel) -> npt.NDArray[np.bool_]:
    """Mask of the atoms in an alternative location that, with the atoms without one, has an alpha carbon."""
    variant = np.unique(model.altloc, return_inverse=True)[1]
    groups = model.position.astype(np.int64) * (int(variant.max(initial=0)) + 1) + variant
    ca = is_backbone(model, ("CA",))
    always = np.isin(model.position, model.position[ca & (model.altloc == "")])
    return np.asarray((model.altloc != "") & (always | np.isin(groups, groups[ca])), dtype=np.bool_)


def _best(model: AtomicModel, variant: npt.NDArray[np.str_], eligible: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mask of the eligible atoms whose variant has the highest backbone occupancy at its position."""
    rows = np.flatnonzero(eligible)
    if not len(rows):
        return eligible
    names, codes = np.unique(variant[rows], return_inverse=True)
    keys = model.position[rows].astype(np.int64) * len(names) + codes
    groups, first, group_of = np.unique(keys, return_index=True, return_inverse=True)
    weight = np.where(is_backbone(model)[rows], model.occupancy[rows].astype(np.float64), 0.0)
    # rounded so that 0.35 + 0.35 + 0.35 ties with itself whatever the order of the sum
    total = np.round(np.bincount(group_of, weights=weight, minlength=len(groups)), 4)
    place = groups // len(names)
    order = np.lexsort((first, -total, place))  # best first within each position; earliest in file among equals
    best = order[np.r_[True, np.diff(place[order]) != 0]]
    mask = np.zeros(len(eligible), dtype=np.bool_)
    mask[rows[np.isin(group_of, best)]] = True
    return mask
