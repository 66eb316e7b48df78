"""Atomic models from PDB and mmCIF files (gemmi), and mmCIF back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from cryodata.core.model import COIL, AtomicModel, Structure
from cryodata.errors import RejectedError
from cryodata.formats.assembly import copies_of_assembly
from cryodata.formats.components import is_sugar, parents_of
from cryodata.formats.inflate import foreign, inflated_bytes, inflated_digest, shown
from cryodata.formats.records import SecondaryByPlace, place_of, secondary_from_records
from cryodata.formats.sequences import sequences_of

MAX_MODEL_BYTES = 1 << 30
"decompressed bytes; the largest models in the PDB (whole capsids) are a few hundred megabytes"

MAX_NAME = 32
"letters of an atom's, residue's or chain's name; the archive has up to five"

MAX_COORDINATE = 1e6
"A; mmCIF and PDB files of the archive stay below 10,000"

_POLYMER_KINDS = {
    gemmi.PolymerType.PeptideL: "peptide",
    gemmi.PolymerType.PeptideD: "peptide",
    gemmi.PolymerType.Dna: "nucleic",
    gemmi.PolymerType.Rna: "nucleic",
    gemmi.PolymerType.DnaRnaHybrid: "nucleic",
    gemmi.PolymerType.Pna: "nucleic",
    gemmi.PolymerType.SaccharideD: "saccharide",
    gemmi.PolymerType.SaccharideL: "saccharide",
}
_OTHER_KINDS = {
    gemmi.EntityType.Polymer: "other_polymer",
    gemmi.EntityType.Branched: "branched",
    gemmi.EntityType.NonPolymer: "ligand",
    gemmi.EntityType.Water: "water",
}
_TYPES = {
    "branched": gemmi.EntityType.NonPolymer,  # whose links nobody says
    "ligand": gemmi.EntityType.NonPolymer,
    "unknown": gemmi.EntityType.NonPolymer,
    "water": gemmi.EntityType.Water,
}
"how entities are written; others are polymers"


def model_digest(path: Path) -> tuple[str, int]:
    """sha256 and number of the decompressed bytes of a model; RejectedError `unreadable_model`."""
    return inflated_digest(path, "unreadable_model", _largest(path))


def _largest(path: Path) -> int:
    """Bytes that a model may inflate to: text of coordinates shrinks to a fifth, hardly ever to less than a tenth."""
    return min(MAX_MODEL_BYTES, (64 << 20) + 200 * (path.stat().st_size if path.is_file() else 0))


def read_structure(path: Path, every_model: bool = False) -> Structure:
    """Read the first model of a PDB or mmCIF file, gzip or plain, or every one; which of the two, the content says.

    Raises RejectedError `unreadable_model` if it can't be parsed or has no atoms.
    """
    structure = parse(path)
    try:
        kinds = kinds_by_subchain(structure)
        secondary, parents = secondary_from_records(structure), parents_of(structure)
        wanted = [item for item in structure if item.count_atom_sites()] if every_model else [structure[0]]
        models = [_columns(item, kinds, secondary, parents) for item in wanted]
        sequences = tuple(sequences_of(structure, kinds))
        copies = copies_of_assembly(structure)
    except UnicodeDecodeError:
        raise _unreadable(path, "names that are not ASCII or UTF-8") from None
    except ValueError as error:
        raise _unreadable(path, str(error)) from None
    for model in models:
        wrong = np.flatnonzero(~(np.abs(model.xyz) <= MAX_COORDINATE).all(axis=1))  # a NaN is not below
        if len(wrong):
            row = int(wrong[0])
            found = "no number" if not np.isfinite(model.xyz[row]).all() else f"beyond {MAX_COORDINATE:,.0f} A"
            raise _unreadable(path, f"atom {row + 1} has a coordinate that is {found}")
    return Structure(models[0], sequences, secondary is not None, copies, tuple(models[1:]))


def parse(path: Path) -> gemmi.Structure:
    """A PDB or mmCIF file, gzip or plain, as gemmi reads it; every chain has a name.

    Raises RejectedError `unreadable_model` if it can't be parsed or has no atoms.
    """
    content = inflated_bytes(path, "unreadable_model", _largest(path))
    try:
        structure = gemmi.read_structure_string(content, format=gemmi.CoorFormat.Detect)
    except (RuntimeError, ValueError, IndexError) as error:
        kind, reason = foreign(content[:64]), " ".join(str(error).split())[:200]
        raise _unreadable(path, f"neither PDB nor mmCIF ({kind or reason})") from None
    if not len(structure) or not structure[0].count_atom_sites():
        kind = foreign(content[:64])
        if kind is not None:
            raise _unreadable(path, f"neither PDB nor mmCIF ({kind})")
        raise _unreadable(path, "no atoms; expected a PDB or mmCIF file with a model")
    try:
        _name_chains(structure)
    except UnicodeDecodeError:
        raise _unreadable(path, "names that are not ASCII or UTF-8") from None
    return structure


def write_mmcif(path: Path, model: AtomicModel, name: str, full: Mapping[str, str] | None = None) -> None:
    """Write a model as mmCIF. `name`: the data block's name. The same model gives the same bytes.

    full: full sequence of each protein chain, in letters, as far as it is known; None: what is modelled is all.
    """
    structure = gemmi.Structure()
    structure.name = name
    structure.add_model(gemmi.Model(1))
    # rows where a chain begins, and where a residue does
    chain_starts = np.flatnonzero(np.r_[True, model.chain[1:] != model.chain[:-1]])
    residue_starts = np.flatnonzero(np.r_[True, model.position[1:] != model.position[:-1]])
    for first, last in zip(residue_starts, [*residue_starts[1:], len(model)], strict=True):
        if first in chain_starts:
            structure[0].add_chain(gemmi.Chain(str(model.chain[first])))
        structure[0][-1].add_residue(_gemmi_residue(model, int(first), int(last)))
    structure.setup_entities()
    chain_of = {residue.subchain: chain.name for chain in structure[0] for residue in chain}
    for entity in structure.entities:
        if entity.entity_type == gemmi.EntityType.Polymer:
            polymer = structure[0].get_subchain(entity.subchains[0])
            entity.full_sequence = [residue.name for residue in polymer]
            if full is not None:
                letters = full.get(chain_of[entity.subchains[0]], "")
                entity.full_sequence = gemmi.expand_one_letter_sequence(letters, gemmi.ResidueKind.AA)
    structure.assign_label_seq_id()
    path.write_text(structure.make_mmcif_document().as_string(), encoding="utf-8")


def _gemmi_residue(model: AtomicModel, first: int, last: int) -> gemmi.Residue:
    residue = gemmi.Residue()
    residue.name = str(model.residue[first])
    residue.seqid = gemmi.SeqId(int(model.auth_seq_id[first]), str(model.insertion_code[first]) or " ")
    residue.label_seq = int(model.label_seq_id[first]) or None
    residue.entity_type = _TYPES.get(str(model.entity_kind[first]), gemmi.EntityType.Polymer)
    residue.het_flag = "A" if residue.entity_type == gemmi.EntityType.Polymer else "H"
    for row in range(first, last):
        residue.add_atom(_gemmi_atom(model, row))
    return residue


def _gemmi_atom(model: AtomicModel, row: int) -> gemmi.Atom:
    atom = gemmi.Atom()
    atom.name = str(model.atom[row])
    atom.element = gemmi.Element(str(model.element[row]))
    atom.pos = gemmi.Position(*model.xyz[row])
    atom.occ = float(model.occupancy[row])
    atom.b_iso = float(model.b_factor[row])
    atom.altloc = str(model.altloc[row]) or "\0"
    return atom


def _name_chains(structure: gemmi.Structure) -> None:
    """Give blank chains a name: gemmi makes no entity of a chain without one."""
    for model in structure:
        for chain in model:
            chain.name = chain.name or "_"


def kinds_by_subchain(structure: gemmi.Structure) -> dict[str, str]:
    """Which of ENTITY_KINDS each subchain is; sets up the entities."""
    structure.setup_entities()
    kinds = {}
    for entity in structure.entities:
        kind = _OTHER_KINDS.get(entity.entity_type, "unknown")
        if entity.entity_type == gemmi.EntityType.Polymer:
            kind = _POLYMER_KINDS.get(entity.polymer_type, kind)
        for subchain in entity.subchains:
            kinds[subchain] = kind
    return kinds


def _unreadable(path: Path, found: str) -> RejectedError:
    return RejectedError("unreadable_model", f"{shown(path)}: {found}")


def _columns(
    model: gemmi.Model, kinds: dict[str, str], secondary: SecondaryByPlace | None, parents: dict[str, str]
) -> AtomicModel:
    """One row per atom, by a Python loop: what belongs to the residue is told once for all its atoms. ValueError for a
    residue that can't be a row."""
    residues: list[tuple[object, ...]] = []
    atoms: list[tuple[object, ...]] = []
    sizes: list[int] = []
    position = -1
    for chain in model:
        place: tuple[object, ...] = ()
        for residue in chain:
            kind = kinds.get(residue.subchain, "unknown")
            if kind == "ligand" and is_sugar(residue.name):
                kind = "branched"
            here = place_of(residue.seqid)
            if here != place:
                place, position = here, position + 1
            mine = [(a.pos.tolist(), a.name, a.element.name, a.altloc, a.occ, a.b_iso) for a in residue]
            # NumPy gives every row of a column the length of its longest name
            if max(len(residue.name), len(chain.name), *(len(atom[1]) for atom in mine)) > MAX_NAME:
                raise ValueError(f"a name near residue {here[0]} has more than {MAX_NAME} letters")
            atoms += mine
            sizes.append(len(mine))
            residues.append(
                (
                    residue.name,
                    chain.name,
                    residue.label_seq or 0,
                    here[0],
                    here[1].strip(),
                    kind,
                    position,
                    secondary.get((chain.name, *here), COIL) if secondary is not None and kind == "peptide" else 0,
                    parents[residue.name],
                )
            )
    xyz, atom, element, altloc, occ, b = zip(*atoms, strict=True)
    name, chains, label, auth, icode, kinds_, places, sse, parent = zip(*residues, strict=True)

    def each(values: Sequence[object], dtype: Any) -> npt.NDArray[Any]:
        """A column of the atoms from one of the residues."""
        return np.repeat(np.array(values, dtype=dtype), sizes)

    return AtomicModel(
        xyz=np.array(xyz, dtype=np.float64),
        atom=np.array(atom, dtype=np.str_),
        element=np.array(element, dtype=np.str_),
        residue=each(name, np.str_),
        chain=each(chains, np.str_),
        label_seq_id=each(label, np.int32),
        auth_seq_id=each(auth, np.int32),
        insertion_code=each(icode, np.str_),
        altloc=np.char.strip(np.array(altloc, dtype=np.str_), "\0 "),
        entity_kind=each(kinds_, np.str_),
        occupancy=np.array(occ, dtype=np.float32),
        b_factor=np.array(b, dtype=np.float32),
        position=each(places, np.int32),
        secondary=each(sse, np.uint8),
        parent=each(parent, np.str_),
    )
