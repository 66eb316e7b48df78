"""All atoms of a model: one alternative of each residue, what each is part of, and where in its residue it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel
from cryodata.prepare.residues import best_variant, is_backbone, protein_rows

HYDROGENS = ("H", "D")

KIND_OF = {
    "peptide": "protein",
    "nucleic": "nucleic",
    "saccharide": "glycan",
    "branched": "glycan",
    "ligand": "ligand",
    "water": "water",
}
"kind of molecule by kind of entity; others are `other`"

NO_IONS = ("H", "B", "C", "N", "O", "P", "S", "SI", "SE", "HE", "NE", "AR", "KR", "XE", "X", "")
"elements that make no ion where they stand alone: pieces of larger molecules, and noble gases"

BACKBONE_ATOMS = ("N", "CA", "C", "O", "OXT")

PHOSPHATE = ("P", "OP1", "OP2", "OP3", "O1P", "O2P", "O3P")
"atoms of a phosphate in the names of today and of old files; O3' and O5' are counted with the sugar"


def molecule(model: AtomicModel) -> AtomicModel:
    """All atoms of a model in the order of the file, one alternative of each residue.

    Of a protein residue the alternative that `protein_residues` keeps; of anything else the residue name, then the
    alternative location, of the highest summed occupancy, the first of equals; atoms without an alternative location
    always belong.
    """
    return model.take(molecule_rows(model))


def molecule_rows(model: AtomicModel) -> npt.NDArray[np.int64]:
    """Rows of the atoms that `molecule` keeps, int64 (k,), rising."""
    protein = protein_rows(model)
    others = np.flatnonzero(~np.isin(model.position, model.position[protein]))
    rest = model.take(others)
    kept = np.flatnonzero(best_variant(rest, rest.residue, np.ones(len(rest), dtype=np.bool_), rest.occupancy))
    others, rest = others[kept], rest.take(kept)
    located = rest.altloc != ""
    others = others[~located | best_variant(rest, rest.altloc, located, rest.occupancy)]
    return np.asarray(np.sort(np.concatenate([protein, others])), dtype=np.int64)


def named_atoms(model: AtomicModel) -> AtomicModel:
    """All atoms of a model in the order of the file, alternatives chosen as the published scripts do (Bio.PDB).

    Atom by atom the alternative location of the highest occupancy, the first of equals; of several residue names at
    one place of a polymer the one that comes last. Modified residues stand in HETATM records, where the name is part of
    the place: they are nobody's alternatives.
    """
    rows = np.arange(len(model))
    rival = np.isin(model.entity_kind, ("peptide", "nucleic")) & (model.residue == model.parent)
    codes = np.unique(model.residue, return_inverse=True)[1]
    groups = model.position.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    began = first[group_of]  # row where each residue begins
    latest = np.zeros(int(model.position.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(latest, model.position[rival], began[rival])
    rows = rows[~rival | (began == latest[model.position])]
    names = np.unique(model.atom[rows], return_inverse=True)[1]
    order = np.lexsort((rows, -model.occupancy[rows].astype(np.float64), names, began[rows]))
    best = np.r_[True, (np.diff(names[order]) != 0) | (np.diff(began[rows][order]) != 0)]
    return model.take(np.sort(rows[order[best]]))


def named_points(model: AtomicModel) -> LabelPoints:
    """What each atom is part of. Voxels and states are not known yet, nor Q-scores.

    model: as `molecule` or `protein_residues` gives it, or several such merged.
    """
    count = len(model)
    kind = kinds(model)
    return LabelPoints(
        model=model,
        kind=kind,
        part=parts(model, kind),
        q_score=np.full(count, np.nan, dtype=np.float32),
        voxel_zyx=np.zeros((count, 3), dtype=np.int32),
        state=np.full(count, 255, dtype=np.uint8),
        state_ca=np.full(count, 255, dtype=np.uint8),
    )


def kinds(model: AtomicModel) -> npt.NDArray[np.str_]:
    """One of KINDS for each atom, (n,)."""
    kind = np.full(len(model), "other", dtype="<U7")
    for entity, name in KIND_OF.items():
        kind[model.entity_kind == entity] = name
    with_ca = np.isin(model.position, model.position[is_backbone(model, ("CA",))])
    kind[(kind == "protein") & ~with_ca] = "other"
    alone = np.bincount(model.position)[model.position] == 1
    rows = np.flatnonzero((kind == "ligand") & alone)
    kind[rows[~np.isin(np.char.upper(model.element[rows]), NO_IONS)]] = "ion"
    return kind


def parts(model: AtomicModel, kind: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """One of PARTS for each atom, (n,)."""
    atom = model.atom
    protein, nucleic = kind == "protein", kind == "nucleic"
    rows, sugar = np.flatnonzero(nucleic), np.zeros(len(model), dtype=np.bool_)
    sugar[rows] = (np.char.find(atom[rows], "'") >= 0) | (np.char.find(atom[rows], "*") >= 0)
    return np.select(
        [
            np.isin(model.element, HYDROGENS),
            protein & np.isin(atom, BACKBONE_ATOMS),
            protein,
            nucleic & np.isin(atom, PHOSPHATE),
            nucleic & sugar,
            nucleic,
        ],
        ["hydrogen", "backbone", "sidechain", "phosphate", "sugar", "base"],
        default="",
    )
