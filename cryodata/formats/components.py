"""What gemmi's table of components knows of residues: parents of modified ones, and which are sugars."""

from __future__ import annotations

import gemmi

SUGARS = (gemmi.ResidueKind.PYR, gemmi.ResidueKind.KET)
"pyranoses and ketopyranoses"

NUCLEOTIDES = {gemmi.ResidueKind.RNA: "", gemmi.ResidueKind.DNA: "D"}
"what stands before the letter in the name of a nucleotide"

AMINO_ACIDS = (gemmi.ResidueKind.AA, gemmi.ResidueKind.AAD, gemmi.ResidueKind.PAA, gemmi.ResidueKind.MAA)
"L, D, proline-like and methylated"


def is_sugar(name: str) -> bool:
    """Whether a residue is a sugar, bound or free."""
    return gemmi.find_tabulated_residue(name).kind in SUGARS


def parent_of(name: str) -> str:
    """Standard residue that a residue is or was made from; empty if gemmi's table names none."""
    found = gemmi.find_tabulated_residue(name)
    letter = found.one_letter_code.strip().upper()
    if not letter or letter == "X":
        return ""
    if found.kind in NUCLEOTIDES:
        return NUCLEOTIDES[found.kind] + letter
    return str(gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA) or "") if found.kind in AMINO_ACIDS else ""


def parents_of(structure: gemmi.Structure) -> dict[str, str]:
    """Parent of each residue name of a file; of one that gemmi does not know, what the file itself says
    (MODRES, pdbx_struct_mod_residue) of its parent, if gemmi knows that."""
    told = {item.res_id.name: item.parent_comp_id for item in structure.mod_residues}
    names = {residue.name for model in structure for chain in model for residue in chain}
    return {name: parent_of(name) or parent_of(told.get(name, "")) for name in sorted(names)}
