"""Traced alpha carbons as mmCIF and PDB files (gemmi)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
import numpy.typing as npt

from cryodata.core.volume import FloatArray
from cryodata.errors import UsageError

PDB_CHAINS, PDB_RESIDUES, PDB_COORDINATE = 62, 9_999, 9_999.0
"what the columns of a PDB file hold: chain names of one letter, numbers of four digits, coordinates below 10,000 A"


@dataclass(frozen=True, slots=True, eq=False)
class TracedChain:
    """A chain as far as it was found."""

    name: str
    residues: tuple[str, ...]
    "names of all residues of the sequence, such as ALA"

    xyz: FloatArray
    "alpha carbons, (L, 3), A; NaN where a residue was not found"

    confidence: npt.NDArray[np.float64]
    "0 to 100, (L,)"


def write_model(path: Path, chains: Sequence[TracedChain], name: str) -> None:
    """Write the residues that were found; the B column holds the confidence, numbers are those of the sequence.

    The format is that of the name's ending, .cif or .pdb. A PDB file has chain names of one letter: A to Z, a to z,
    0 to 9 in order where a name is longer. Raises UsageError for another ending or what a PDB file can't hold.
    The same chains give the same bytes.
    """
    if path.suffix not in (".cif", ".pdb"):
        raise UsageError(f"{path.name}: a model is written as .cif or .pdb, found '{path.suffix}'")
    names = [chain.name for chain in chains] if path.suffix == ".cif" else _pdb_names(chains, path)
    structure = gemmi.Structure()
    structure.name = name
    structure.add_model(gemmi.Model(1))
    for chain, short in zip(chains, names, strict=True):
        if np.isfinite(chain.xyz).any():
            structure[0].add_chain(_chain(chain, short))
    _add_entities(structure, chains, names)
    if path.suffix == ".cif":
        path.write_text(structure.make_mmcif_document().as_string(), encoding="utf-8")
    else:
        path.write_text(structure.make_pdb_string(), encoding="ascii")


def _chain(chain: TracedChain, short: str) -> gemmi.Chain:
    made = gemmi.Chain(short)
    for number in np.flatnonzero(np.isfinite(chain.xyz).all(axis=1)).tolist():
        atom = gemmi.Atom()
        atom.name, atom.element, atom.occ = "CA", gemmi.Element("C"), 1.0
        atom.pos = gemmi.Position(*chain.xyz[number])
        atom.b_iso = round(float(chain.confidence[number]), 2)
        residue = gemmi.Residue()
        residue.name = chain.residues[number]
        residue.seqid = gemmi.SeqId(number + 1, " ")
        residue.label_seq = number + 1
        residue.entity_type = gemmi.EntityType.Polymer
        residue.subchain = short  # one chain of the file is one polymer
        residue.add_atom(atom)
        made.add_residue(residue)
    return made


def _add_entities(structure: gemmi.Structure, chains: Sequence[TracedChain], names: Sequence[str]) -> None:
    """One for each sequence, with the residues that were not found too."""
    written = {chain.name for chain in structure[0]}
    entities: dict[tuple[str, ...], gemmi.Entity] = {}
    for chain, short in zip(chains, names, strict=True):
        if short in written:
            if chain.residues not in entities:
                entity = gemmi.Entity(str(len(entities) + 1))
                entity.entity_type = gemmi.EntityType.Polymer
                entity.polymer_type = gemmi.PolymerType.PeptideL
                entity.full_sequence = list(chain.residues)
                entities[chain.residues] = entity
            entities[chain.residues].subchains = [*entities[chain.residues].subchains, short]
    structure.entities = gemmi.EntityList(list(entities.values()))


def _pdb_names(chains: Sequence[TracedChain], path: Path) -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    most = max((len(chain.residues) for chain in chains), default=0)
    far = max((float(np.nanmax(np.abs(c.xyz))) for c in chains if np.isfinite(c.xyz).any()), default=0.0)
    if len(chains) > PDB_CHAINS or most > PDB_RESIDUES or far > PDB_COORDINATE:
        raise UsageError(f"{path.name}: {len(chains)} chains of up to {most:,} residues don't fit a PDB file; use .cif")
    kept = [chain.name if len(chain.name) == 1 else "" for chain in chains]
    free = (letter for letter in letters if letter not in kept)
    return [name or next(free) for name in kept]
