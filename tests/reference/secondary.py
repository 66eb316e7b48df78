"""Secondary structure of each residue: from records, else by Kabsch and Sander (Biopolymers 22, 2577, 1983)."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from .models import BACKBONE, PlainResidue

UNKNOWN, COIL, HELIX, STRAND = 0, 1, 2, 3
COUPLING = 0.42 * 0.20 * 332.0  # q1 q2 f, kcal A / mol (Kabsch and Sander 1983)
ENERGY_LIMIT = -0.5  # kcal/mol
NH_LENGTH = 1.01  # A
PEPTIDE_BREAK = 2.5  # A, C-N beyond it is a break
REACH = 8.0  # A, O-N beyond it never reaches the energy limit (5.2 A with ideal lengths)
CIF_KINDS = {"HELX": HELIX, "STRN": STRAND}  # first letters of conf_type_id
Address = tuple[str, int, str]  # chain, number, insertion code
Range = tuple[int, Address, Address]  # class, first residue, last residue
Bonds = set[tuple[int, int]]  # (residue of the C=O, residue of the N-H)


def secondary_structure(
    path: Path | str, structure: gemmi.Structure, residues: list[PlainResidue]
) -> tuple[list[int], str]:
    """Class of each residue, and the method: records or kabsch-sander.

    Records that hold no residue of this model do not count as records: a file may have been edited, cut to other
    chains, or carry records that cannot be read.
    """
    ranges = _ranges_of_cif(path) if structure.input_format == gemmi.CoorFormat.Mmcif else _ranges_of_pdb(structure)
    if any(_inside(residues, first, last) for _, first, last in ranges):
        return from_records(residues, ranges), "records"
    return kabsch_sander(residues), "kabsch-sander"


def from_records(residues: list[PlainResidue], ranges: list[Range]) -> list[int]:
    """Coil, unless a range holds the residue; strand wins over helix."""
    classes = [COIL] * len(residues)
    for wanted in (HELIX, STRAND):
        for kind, first, last in ranges:
            if kind == wanted:
                for i in _inside(residues, first, last):
                    classes[i] = wanted
    return classes


def _inside(residues: list[PlainResidue], first: Address, last: Address) -> list[int]:
    """Residues from first to last in the order of the chain; an end that is not modelled is judged by its number.

    The order of the chain counts because insertion codes may run backwards (1H .. 1A, 1 in thrombin).
    """
    members = [i for i, residue in enumerate(residues) if residue.chain == first[0]]
    if first[0] != last[0]:
        return []
    keys = {i: (residues[i].number, residues[i].icode) for i in members}
    begins = [i for i in members if keys[i] == first[1:]] or [i for i in members if keys[i] >= first[1:]]
    ends = [i for i in members if keys[i] == last[1:]] or [i for i in members if keys[i] <= last[1:]]
    if not begins or not ends:
        return []
    return [i for i in members if begins[0] <= i <= ends[-1]]


def _ranges_of_pdb(structure: gemmi.Structure) -> list[Range]:
    """HELIX (every class) and SHEET records."""
    ranges = [(HELIX, _address(helix.start), _address(helix.end)) for helix in structure.helices]
    for sheet in structure.sheets:
        ranges += [(STRAND, _address(strand.start), _address(strand.end)) for strand in sheet.strands]
    return ranges


def _address(address: gemmi.AtomAddress) -> Address:
    seqid = address.res_id.seqid
    return address.chain_name, int(seqid.num or 0), seqid.icode


def _ranges_of_cif(path: Path | str) -> list[Range]:
    """struct_conf items whose type begins with HELX or STRN, and struct_sheet_range; turns and bends are coil."""
    block = gemmi.cif.read(str(path))[0]
    ends = ["beg_auth_asym_id", "beg_auth_seq_id", "?pdbx_beg_PDB_ins_code"]
    ends += ["end_auth_asym_id", "end_auth_seq_id", "?pdbx_end_PDB_ins_code"]
    ranges: list[Range] = []
    for category, kind_item in (("_struct_conf.", "conf_type_id"), ("_struct_sheet_range.", "sheet_id")):
        for row in block.find(category, [kind_item, *ends]):
            kind = STRAND if kind_item == "sheet_id" else CIF_KINDS.get(row.str(0).upper()[:4])
            if kind is not None and row.str(2) and row.str(5):  # "?" and "." read as ""
                ranges.append((kind, _cif_address(row, 1), _cif_address(row, 4)))
    return ranges


def _cif_address(row: gemmi.cif.Table.Row, at: int) -> Address:
    icode = row.str(at + 2) if row.has(at + 2) else ""
    return row.str(at), int(row.str(at + 1)), icode or " "


def kabsch_sander(residues: list[PlainResidue]) -> list[int]:
    """Helix (H, G, I) and strand (E, B) from backbone hydrogen bonds; unknown if N, CA, C or O is missing."""
    whole = [i for i, residue in enumerate(residues) if all(name in residue.atoms for name in BACKBONE)]
    chain = [residues[i] for i in whole]
    segment = segments(chain)
    bonds = hydrogen_bonds(chain, segment)
    alpha = helix_residues(bonds, segment, 4)
    other = helix_residues(bonds, segment, 3) | helix_residues(bonds, segment, 5)
    strand = {i for bridge in bridges(bonds, segment) for i in bridge}
    classes = [UNKNOWN] * len(residues)
    for at, i in enumerate(whole):  # H before E and B before G and I, as DSSP has it
        if at in alpha:
            classes[i] = HELIX
        elif at in strand:
            classes[i] = STRAND
        else:
            classes[i] = HELIX if at in other else COIL
    return classes


def segments(chain: list[PlainResidue]) -> list[int]:
    """Number of the unbroken stretch of each residue: it changes with the chain or where C-N is longer than 2.5 A."""
    numbers: list[int] = []
    for i, residue in enumerate(chain):
        if i == 0:
            numbers.append(0)
            continue
        before = chain[i - 1]
        gap = float(np.linalg.norm(residue.atoms["N"] - before.atoms["C"]))
        broken = before.chain != residue.chain or before.subchain != residue.subchain or gap > PEPTIDE_BREAK
        numbers.append(numbers[-1] + int(broken))
    return numbers


def hydrogen_bonds(chain: list[PlainResidue], segment: list[int]) -> Bonds:
    """Pairs (i, j) with C=O of i bonded to N-H of j: electrostatic energy below -0.5 kcal/mol."""
    if not chain:
        return set()
    near = cKDTree(np.array([residue.atoms["O"] for residue in chain]))
    bonds: Bonds = set()
    for j in range(1, len(chain)):
        if chain[j].name == "PRO" or segment[j] != segment[j - 1]:
            continue  # no hydrogen, or no C=O before it that would place it
        nitrogen, before = chain[j].atoms["N"], chain[j - 1].atoms
        carbonyl = before["C"] - before["O"]
        hydrogen = nitrogen + NH_LENGTH * carbonyl / np.linalg.norm(carbonyl)
        for i in near.query_ball_point(nitrogen, REACH):
            if i not in (j, j - 1) and _energy(chain[i].atoms, nitrogen, hydrogen) < ENERGY_LIMIT:
                bonds.add((i, j))
    return bonds


def _energy(acceptor: dict[str, np.ndarray], nitrogen: np.ndarray, hydrogen: np.ndarray) -> float:
    """kcal/mol between C=O of the acceptor and N-H of the donor."""
    inverse = [
        1.0 / float(np.linalg.norm(acceptor[name] - end)) for end in (nitrogen, hydrogen) for name in ("O", "C")
    ]  # O-N, C-N, O-H, C-H
    return COUPLING * (inverse[0] + inverse[3] - inverse[2] - inverse[1])


def helix_residues(bonds: Bonds, segment: list[int], n: int) -> set[int]:
    """Residues i .. i+n-1 wherever n-turns start at i-1 and at i, inside one segment."""
    found: set[int] = set()
    for i in range(1, len(segment) - n):
        if segment[i - 1] == segment[i + n] and (i - 1, i - 1 + n) in bonds and (i, i + n) in bonds:
            found.update(range(i, i + n))
    return found


def bridges(bonds: Bonds, segment: list[int]) -> set[tuple[int, int]]:
    """Pairs (i, j), i < j, in a parallel or antiparallel bridge; i-1..i+1 and j-1..j+1 are unbroken."""
    inner = [0 < i < len(segment) - 1 and segment[i - 1] == segment[i + 1] for i in range(len(segment))]
    candidates: set[tuple[int, int]] = set()
    for a, b in bonds:  # a bond (a, b) can only serve the bridges that hold it in their definition
        for i, j in ((a + 1, b), (b, a + 1), (a, b - 1), (b - 1, a), (a, b), (a + 1, b - 1)):
            candidates.add((min(i, j), max(i, j)))
    found: set[tuple[int, int]] = set()
    for i, j in candidates:
        if i < 0 or j >= len(segment) or j - i <= 2 or not (inner[i] and inner[j]):
            continue
        parallel = ((i - 1, j) in bonds and (j, i + 1) in bonds) or ((j - 1, i) in bonds and (i, j + 1) in bonds)
        facing = ((i, j) in bonds and (j, i) in bonds) or ((i - 1, j + 1) in bonds and (j - 1, i + 1) in bonds)
        if parallel or facing:
            found.add((i, j))
    return found
