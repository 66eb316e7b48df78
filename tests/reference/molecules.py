"""Atoms of a model by class, counted from the records of the file by plain loops; nothing of gemmi but its reader of
mmCIF tables.

A PDB file: what stands before the TER of its chain is polymer (in a chain without one, its ATOM records). An mmCIF
file: `_entity.type` and `_entity_poly.type`; in a file without them ATOM records are polymer.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gemmi

SUGARS = {"NAG", "NDG", "BMA", "MAN", "FUC", "GAL", "GLC", "XYS", "BGC", "SIA"}
NUCLEOTIDES = {"A", "C", "G", "U", "I", "DA", "DC", "DG", "DT", "DU", "DI"}
NOT_IONS = {"H", "C", "N", "O", "S", "P"}
BACKBONE = {"N", "CA", "C", "O", "OXT"}
PHOSPHATE = {"P", "OP1", "OP2", "OP3", "O1P", "O2P", "O3P"}


@dataclass(slots=True)
class Record:
    """One ATOM or HETATM record of the first model."""

    place: tuple[str, str, str]
    """Chain, number, insertion code."""
    name: str
    atom: str
    element: str
    altloc: str
    occupancy: float
    entity: str
    """peptide, nucleic, glycan, ligand or water; empty for a polymer of a kind that the names must tell."""


def counts_of(path: Path) -> dict[str, int]:
    """Atoms by kind, and part in protein and nucleic acid; one alternative of each residue; hydrogens apart."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("latin-1")
    records = list(_from_cif(text) if ".cif" in path.name else _from_pdb(text.splitlines()))
    places: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        places.setdefault(record.place, []).append(record)
    found: Counter[str] = Counter()
    for rivals in places.values():
        kind, kept = _kind_and_atoms(rivals)
        found.update(_class(kind, record) for record in kept)
    return dict(sorted(found.items()))


def _kind_and_atoms(rivals: list[Record]) -> tuple[str, list[Record]]:
    """What the residue at a place is, and the atoms of the alternative that counts."""
    entity = rivals[0].entity
    if not entity:
        entity = "nucleic" if rivals[0].name in NUCLEOTIDES else "peptide"
    weighing = rivals
    if entity == "peptide":
        with_ca = {record.name for record in rivals if record.atom == "CA" and record.element == "C"}
        if with_ca:
            weighing = [record for record in rivals if record.name in with_ca]
    only_backbone = entity == "peptide" and weighing is not rivals
    name = _heaviest([(record.name, record) for record in weighing], only_backbone)
    kept = [record for record in rivals if record.name == name]
    located = [record for record in kept if record.altloc]
    if only_backbone and not any(record.atom == "CA" and not record.altloc for record in kept):
        whole = {record.altloc for record in located if record.atom == "CA"}
        located = [record for record in located if record.altloc in whole]
    altloc = _heaviest([(record.altloc, record) for record in located], only_backbone) if located else ""
    kept = [record for record in kept if record.altloc in ("", altloc)]
    if entity == "peptide" and not only_backbone:
        return "other", kept
    if entity == "ligand" and len(kept) == 1 and kept[0].element not in NOT_IONS:
        return "ion", kept
    return {"peptide": "protein"}.get(entity, entity), kept


def _heaviest(variants: Iterable[tuple[str, Record]], only_backbone: bool) -> str:
    """The variant with the highest summed occupancy, the first of equals."""
    sums: dict[str, float] = {}
    for variant, record in variants:
        counts = not only_backbone or record.atom in ("N", "CA", "C")
        sums[variant] = sums.get(variant, 0.0) + (record.occupancy if counts else 0.0)
    return max(sums, key=lambda variant: round(sums[variant], 4))


def _class(kind: str, record: Record) -> str:
    if record.element in ("H", "D"):
        return "hydrogen"
    if kind == "protein":
        return "backbone" if record.atom in BACKBONE else "side chain"
    if kind == "nucleic":
        return "phosphate" if record.atom in PHOSPHATE else "sugar" if "'" in record.atom else "base"
    return kind


def _from_pdb(lines: list[str]) -> Iterable[Record]:
    ended: set[str] = set()
    has_end = {line[21] for line in lines if line.startswith("TER") and len(line) > 21}
    last = ""
    for line in lines:
        if line.startswith("ENDMDL"):
            return
        if line.startswith("TER"):
            ended.add(line[21] if len(line) > 21 else last)
        if line[:6] not in ("ATOM  ", "HETATM"):
            continue
        chain, name = line[21], line[17:20].strip()
        last = chain
        polymer = chain not in ended if chain in has_end else line.startswith("ATOM")
        entity = "" if polymer else "water" if name in ("HOH", "DOD") else "glycan" if name in SUGARS else "ligand"
        element = (line[76:78].strip() or line[12:14].strip().lstrip("0123456789")[:1]).upper()
        place = (chain, line[22:26].strip(), line[26].strip())
        occupancy = float(line[54:60].strip() or 1)
        yield Record(place, name, line[12:16].strip(), element, line[16].strip(), occupancy, entity)


def _from_cif(text: str) -> Iterable[Record]:
    block = gemmi.cif.read_string(text).sole_block()
    types = {row.str(0): row.str(1) for row in block.find("_entity.", ["id", "type"])}
    polymers = {row.str(0): row.str(1) for row in block.find("_entity_poly.", ["entity_id", "type"])}
    names = ["auth_asym_id", "auth_seq_id", "?pdbx_PDB_ins_code", "label_comp_id", "label_atom_id", "type_symbol"]
    names += ["label_alt_id", "?occupancy", "label_entity_id", "group_PDB", "?pdbx_PDB_model_num"]
    first = ""
    for row in block.find("_atom_site.", names):
        model = row.str(10) if row.has(10) else "1"
        first = first or model
        if model != first:
            return
        name, kind = row.str(3), types.get(row.str(8), "")
        if kind == "polymer" or (not kind and row.str(9) == "ATOM"):
            told = polymers.get(row.str(8), "")
            entity = "peptide" if told.startswith("polypeptide") else "nucleic" if "nucleotide" in told else ""
        elif kind == "water" or name in ("HOH", "DOD"):
            entity = "water"
        else:
            entity = "glycan" if kind == "branched" or name in SUGARS else "ligand"
        icode = row.str(2) if row.has(2) else ""
        occupancy = float(row.str(7) or 1) if row.has(7) else 1.0
        place = (row.str(0), row.str(1), icode)
        yield Record(place, name, row.str(4), row.str(5).upper(), row.str(6), occupancy, entity)
