"""Plain reading of a model: gemmi parses, explicit loops pick the protein residues and their atoms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np

BACKBONE = ("N", "CA", "C", "O")
OCCUPANCY_ATOMS = ("N", "CA", "C")  # what decides between names and between altlocs
BLANK = "\0"  # gemmi's altloc of an atom that has none


@dataclass(frozen=True, slots=True, eq=False)
class PlainResidue:
    """One protein residue: one name and one conformer of a position of a chain."""

    chain: str
    """Chain name as authors gave it."""
    subchain: str
    """label_asym_id of an mmCIF file, else gemmi's name for the part of the chain."""
    number: int
    """Author's residue number."""
    icode: str
    """Insertion code, a blank if there is none."""
    label_seq: int | None
    """label_seq_id of an mmCIF file."""
    name: str
    """Residue name, three letters as a rule."""
    atoms: dict[str, np.ndarray]
    """N, CA, C, O as far as present, in file order: float64 (3,) A. CA is always there."""


def read_structure(path: Path | str) -> gemmi.Structure:
    """Parse a .pdb, .ent or .cif file, gzip or not, and let gemmi tell polymers from the rest."""
    structure = gemmi.read_structure(str(path))
    structure.setup_entities()
    return structure


def protein_residues(structure: gemmi.Structure) -> list[PlainResidue]:
    """The protein residues of the first model, in file order, one per position.

    Raises: ValueError if there is none.
    """
    found: list[PlainResidue] = []
    for chain in structure[0] if len(structure) else []:
        for part in chain.subchains():
            if not _is_peptide(part, structure.get_entity_of(part)):
                continue
            for rivals in _positions(part):
                with_ca = [residue for residue in rivals if _has_carbon_alpha(residue)]
                if with_ca:
                    found.append(_chosen(chain.name, part.subchain_id(), with_ca))
    if not found:
        raise ValueError("no_protein: no polymer of peptide type has a C-alpha")
    return found


def ca_positions(residues: list[PlainResidue]) -> np.ndarray:
    """float64 (n, 3), A."""
    return np.array([residue.atoms["CA"] for residue in residues], dtype=np.float64)


def _is_peptide(part: gemmi.ResidueSpan, entity: gemmi.Entity | None) -> bool:
    """True for a polymer of L or D amino acids.

    gemmi makes no entity for a chain without a name, so the residues themselves are asked there.
    """
    if entity is None:
        is_polymer = all(residue.entity_type == gemmi.EntityType.Polymer for residue in part)
        kind = part.check_polymer_type()
    else:
        is_polymer = entity.entity_type == gemmi.EntityType.Polymer
        kind = entity.polymer_type
    return is_polymer and kind in (gemmi.PolymerType.PeptideL, gemmi.PolymerType.PeptideD)


def _positions(part: gemmi.ResidueSpan) -> list[list[gemmi.Residue]]:
    """Residues that follow each other under one number and insertion code are rivals for one position."""
    positions: list[list[gemmi.Residue]] = []
    last = None
    for residue in part:
        here = (residue.seqid.num, residue.seqid.icode)
        if positions and here == last:
            positions[-1].append(residue)
        else:
            positions.append([residue])
        last = here
    return positions


def _is_carbon_alpha(atom: gemmi.Atom) -> bool:
    """Named CA and made of carbon: a calcium ion is not one."""
    return atom.name == "CA" and atom.element == gemmi.Element("C")


def _has_carbon_alpha(residue: gemmi.Residue) -> bool:
    return any(_is_carbon_alpha(atom) for atom in residue)


def _chosen(chain: str, subchain: str, rivals: list[gemmi.Residue]) -> PlainResidue:
    """The name with the higher summed occupancy of N, CA, C (all its altlocs); the first if equal."""
    best, best_sum = rivals[0], -1.0
    for residue in rivals:
        total = 0.0
        for atom in residue:
            if atom.name in OCCUPANCY_ATOMS:
                total += atom.occ
        if total > best_sum:
            best, best_sum = residue, total
    return PlainResidue(
        chain=chain,
        subchain=subchain,
        number=int(best.seqid.num or 0),
        icode=best.seqid.icode,
        label_seq=best.label_seq,
        name=best.name,
        atoms=_conformer(best),
    )


def _conformer(residue: gemmi.Residue) -> dict[str, np.ndarray]:
    """Backbone atoms of one altloc: the one with the higher summed occupancy of N, CA, C; blank always belongs."""
    sums: dict[str, float] = {}
    with_ca: set[str] = set()
    for atom in residue:
        sums.setdefault(atom.altloc, 0.0)
        if atom.name in OCCUPANCY_ATOMS:
            sums[atom.altloc] += atom.occ
        if _is_carbon_alpha(atom):
            with_ca.add(atom.altloc)
    altlocs = [altloc for altloc in sums if altloc != BLANK]
    if BLANK not in with_ca:  # a conformer without a C-alpha would lose the residue
        altlocs = [altloc for altloc in altlocs if altloc in with_ca]
    kept = BLANK
    for altloc in altlocs:
        if kept == BLANK or sums[altloc] > sums[kept]:
            kept = altloc
    atoms: dict[str, np.ndarray] = {}
    for atom in residue:
        if atom.altloc not in (BLANK, kept) or atom.name not in BACKBONE or atom.name in atoms:
            continue
        if atom.name == "CA" and not _is_carbon_alpha(atom):
            continue
        atoms[atom.name] = np.array([atom.pos.x, atom.pos.y, atom.pos.z], dtype=np.float64)
    return atoms
