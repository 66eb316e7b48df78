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
        rows = np.flatnonzero(model.atom == name)  # few: to change the case of all would take longer
        mask[rows[np.char.upper(model.element[rows]) == BACKBONE[name]]] = True
    return mask


def protein_residues(model: AtomicModel) -> AtomicModel:
    """All atoms of the protein residues of a model, one alternative of each.

    A protein residue belongs to a peptide polymer and has an alpha carbon. Of several residue names at one
    position the one with the highest summed occupancy of N, CA, C is kept, then one alternative location by the
    same sum (the first of equals); atoms without an alternative location always belong. May be empty.
    """
    return model.take(protein_rows(model))


def protein_rows(model: AtomicModel) -> npt.NDArray[np.int64]:
    """Rows of the atoms that `protein_residues` keeps, int64 (k,), rising."""
    rows = np.flatnonzero(model.entity_kind == "peptide")
    model = model.take(rows)
    kept = _with_ca(model, np.unique(model.residue, return_inverse=True)[1])
    rows, model = rows[kept], model.take(kept)
    weight = np.where(is_backbone(model), model.occupancy, 0.0)
    kept = np.flatnonzero(best_variant(model, model.residue, np.ones(len(model), dtype=np.bool_), weight))
    rows, model, weight = rows[kept], model.take(kept), weight[kept]
    located = best_variant(model, model.altloc, _altlocs_with_ca(model), weight)
    return np.asarray(rows[(model.altloc == "") | located], dtype=np.int64)


def _with_ca(model: AtomicModel, variant: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of the (position, variant) groups with an alpha carbon."""
    groups = model.position.astype(np.int64) * (int(variant.max(initial=0)) + 1) + variant
    return np.flatnonzero(np.isin(groups, groups[is_backbone(model, ("CA",))]))


def _altlocs_with_ca(model: AtomicModel) -> npt.NDArray[np.bool_]:
    """Mask of the atoms in an alternative location that, with the atoms without one, has an alpha carbon."""
    variant = np.unique(model.altloc, return_inverse=True)[1]
    groups = model.position.astype(np.int64) * (int(variant.max(initial=0)) + 1) + variant
    ca = is_backbone(model, ("CA",))
    always = np.isin(model.position, model.position[ca & (model.altloc == "")])
    return np.asarray((model.altloc != "") & (always | np.isin(groups, groups[ca])), dtype=np.bool_)


def best_variant(
    model: AtomicModel, variant: npt.NDArray[np.str_], eligible: npt.NDArray[np.bool_], weight: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Mask of the eligible atoms whose variant has the highest summed weight at its position, the first of equals.

    weight: (n,), occupancies of those atoms that count.
    """
    rows = np.flatnonzero(eligible)
    if not len(rows):
        return eligible
    names, codes = np.unique(variant[rows], return_inverse=True)
    keys = model.position[rows].astype(np.int64) * len(names) + codes
    groups, first, group_of = np.unique(keys, return_index=True, return_inverse=True)
    # rounded so that 0.35 + 0.35 + 0.35 ties with itself whatever the order of the sum
    total = np.round(np.bincount(group_of, weights=weight[rows].astype(np.float64), minlength=len(groups)), 4)
    place = groups // len(names)
    order = np.lexsort((first, -total, place))  # best first within each position; earliest in file among equals
    best = order[np.r_[True, np.diff(place[order]) != 0]]
    mask = np.zeros(len(eligible), dtype=np.bool_)
    mask[rows[np.isin(group_of, best)]] = True
    return mask
