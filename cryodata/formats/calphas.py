"""The alpha carbons of a PDB or mmCIF file, and its crystal symmetry (gemmi)."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from cryodata.core.calphas import CAlphas, Crystal
from cryodata.errors import RejectedError
from cryodata.formats.inflate import shown
from cryodata.formats.records import place_of
from cryodata.formats.sequences import one_letter
from cryodata.formats.structure import MAX_COORDINATE, MAX_NAME, kinds_by_subchain, parse

MIN_SPACING = 10.0
"A between faces of a unit cell; the smallest protein crystals have about 15, a cell of 1 A means `no crystal`"

Row = tuple[list[float], str, str, int, bool, float]
"position, residue, chain, number, HETATM or not, occupancy"


def read_calphas(path: Path) -> tuple[CAlphas, Crystal | None]:
    """The alpha carbons of the first model, and the crystal unless it has no symmetry.

    An atom counts that is named CA, is carbon, and stands in an ATOM record or in a polymer of peptide type; of several
    at one position of a chain, the one with the highest occupancy (the first of equals).
    Raises RejectedError `unreadable_model` if the file can't be parsed, `no_protein` if it has no alpha carbon.
    """
    structure = parse(path)
    try:
        rows = _rows(structure)
    except ValueError as error:
        raise RejectedError("unreadable_model", f"{shown(path)}: {error}") from None
    if not rows:
        raise RejectedError("no_protein", f"{shown(path)}: no alpha carbon; expected a model of a protein")
    xyz, residue, chain, number, hetero, _ = zip(*rows.values(), strict=True)
    found = CAlphas(
        xyz=np.array(xyz, dtype=np.float64),
        residue=np.array(residue, dtype=np.str_),
        letter=np.array(list(one_letter(list(residue))), dtype=np.str_),
        chain=np.array(chain, dtype=np.str_),
        number=np.array(number, dtype=np.int32),
        hetero=np.array(hetero, dtype=np.bool_),
    )
    if not (np.abs(found.xyz) <= MAX_COORDINATE).all():  # a NaN is not below
        beyond = f"an alpha carbon beyond {MAX_COORDINATE:,.0f} A, or at no number"
        raise RejectedError("unreadable_model", f"{shown(path)}: {beyond}")
    return found, _crystal(structure)


def _rows(structure: gemmi.Structure) -> dict[tuple[object, ...], Row]:
    """A row by chain and place; ValueError for names that are too long or not text."""
    kinds = kinds_by_subchain(structure)
    rows: dict[tuple[object, ...], Row] = {}
    for chain in structure[0]:
        for residue in chain:
            hetero = residue.het_flag == "H"
            if hetero and kinds.get(residue.subchain) != "peptide":
                continue
            if max(len(residue.name), len(chain.name)) > MAX_NAME:
                raise ValueError(f"a name near residue {residue.seqid} has more than {MAX_NAME} letters")
            for atom in residue:
                if atom.name != "CA" or atom.element.name != "C":
                    continue
                place = place_of(residue.seqid)
                row = (atom.pos.tolist(), residue.name, chain.name, place[0], hetero, atom.occ)
                # a number that comes twice without alternatives is another residue: some programs start anew
                key = (chain.name, *place) if atom.has_altloc() else (chain.name, *place, len(rows))
                if key not in rows or atom.occ > rows[key][-1]:
                    rows[key] = row
    return rows


def _crystal(structure: gemmi.Structure) -> Crystal | None:
    """The space group with its cell; None for P 1 and where the file gives none."""
    group = gemmi.find_spacegroup_by_name(structure.spacegroup_hm)
    cell = structure.cell
    if group is None or group.number == 1 or not cell.is_crystal():
        return None
    fraction_of_xyz = np.array(cell.frac.mat.tolist(), dtype=np.float64)
    if not (np.linalg.norm(fraction_of_xyz, axis=1) <= 1 / MIN_SPACING).all():
        return None
    operations = list(group.operations())
    return Crystal(
        fraction_of_xyz,
        np.array([item.rot for item in operations], dtype=np.float64) / gemmi.Op.DEN,
        np.array([item.tran for item in operations], dtype=np.float64) / gemmi.Op.DEN,
    )
