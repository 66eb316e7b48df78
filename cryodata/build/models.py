"""The models of a map: read, their protein found, and held against the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.core.entry import Entry
from cryodata.core.model import AtomicModel, ChainSequence, Structure
from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc_header import MapHeader
from cryodata.formats.structure import read_structure
from cryodata.prepare.assembly import Verdict, copied, judge
from cryodata.prepare.merge import chain_names, merged
from cryodata.prepare.molecule import molecule, named_atoms
from cryodata.prepare.quality import FrameFit, Moments, find_frame
from cryodata.prepare.residues import is_backbone, protein_residues
from cryodata.prepare.secondary import computed_secondary


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """One of the models of a map, and how it fits."""

    role: str
    "model, model2, model3, ... in order of their ids"

    structure: Structure
    residues: AtomicModel
    "its protein residues, one alternative of each"

    ca_xyz: FloatArray
    "C-alphas, float64 (n, 3), A"

    frame: FrameFit
    "where the map lies by this model alone"


def fitted_models(
    entry: Entry, volume: Volume, header: MapHeader, map_moments: Moments, every_model: bool = False
) -> tuple[list[FittedModel], list[str]]:
    """The models that can be read and are protein; the others with the code of what is wrong. RejectedError if all are
    wrong. every_model: of a file, read the models behind the first too."""
    fitted, wrong = [], {}
    for role in sorted(
        (role for role in entry.sources if role.startswith("model")), key=lambda role: (len(role), role)
    ):
        path = Path(entry.sources[role].path)
        try:
            structure = read_structure(path, every_model)
            residues = _checked_protein(structure, path.name)
        except RejectedError as error:
            wrong[role] = error
            continue
        ca_xyz = residues.xyz[is_backbone(residues, ("CA",))]
        frame = find_frame(volume, header.frames, header.frame, ca_xyz, map_moments)
        fitted.append(FittedModel(role, structure, residues, ca_xyz, frame))
    if not fitted:
        raise next(iter(wrong.values()))
    return fitted, [f"{role}={error.code}" for role, error in wrong.items()]


def atoms_of(item: FittedModel, secondary: str, by_name: bool) -> tuple[str, AtomicModel]:
    """How secondary structure was found, and the atoms of the molecule with it.

    secondary: `records` or `computed`. by_name: of every model in the file, as the published scripts take them; else
    of the first, one alternative of each residue.
    """
    structure = item.structure
    models = (structure.model, *structure.others)
    atoms = [named_atoms(model) for model in models] if by_name else [molecule(structure.model)]
    if secondary == "records" and structure.has_secondary_records:
        method = "records"
    else:
        method = "computed"
        residues = (item.residues, *map(protein_residues, structure.others))
        atoms = [_with_computed(*pair) for pair in zip(atoms, residues, strict=False)]
    same = {name: name for name in {*np.concatenate([model.chain for model in atoms]).tolist()}}
    return method, merged(atoms, [same] * len(atoms))


def _with_computed(atoms: AtomicModel, residues: AtomicModel) -> AtomicModel:
    """The atoms with the computed secondary structure of their positions. residues: those that are protein."""
    positions = 1 + max(int(model.position.max(initial=0)) for model in (atoms, residues))
    by_position = np.zeros(positions, dtype=np.uint8)
    by_position[residues.position] = computed_secondary(residues)
    return atoms.with_secondary(by_position[atoms.position])


def _checked_protein(structure: Structure, file_name: str) -> AtomicModel:
    residues = protein_residues(structure.model)
    if not len(residues):
        found = ", ".join(sorted(set(structure.model.entity_kind.tolist())))
        raise RejectedError("no_protein", f"{file_name}: no peptide residue with a C-alpha; found {found}")
    return residues


def judged_assemblies(volume: Volume, map_moments: Moments, used: Sequence[FittedModel]) -> list[Verdict]:
    """What becomes of assembly 1 of each model, in their order. volume: as deposited, where the models lie in it."""
    there, verdicts = [item.ca_xyz for item in used], []
    for item in used:
        verdict = judge(volume, map_moments, item.residues, item.structure.copies, there)
        is_ca = is_backbone(item.residues, ("CA",))
        there += [copied(item.residues.take(is_ca), copy).xyz for copy in verdict.copies]
        verdicts.append(verdict)
    return verdicts


def completed(
    used: Sequence[FittedModel], atoms: Sequence[AtomicModel], verdicts: Sequence[Verdict]
) -> tuple[AtomicModel, tuple[ChainSequence, ...]]:
    """One model of those that are used and of the copies that their assemblies add, and the sequences of its chains.

    The second copy of chain A of the only model is `A-3`, as the archives name it.
    """
    copies = [(number, copy) for number, verdict in enumerate(verdicts) for copy in verdict.copies]
    parts = [*atoms, *(copied(atoms[number], copy) for number, copy in copies)]
    names = chain_names([*(item.structure.model.chain.tolist() for item in used), *(copy.chains for _, copy in copies)])
    whose = [*range(len(used)), *(number for number, _ in copies)]
    sequences = [
        replace(item, chain=new[item.chain])
        for number, new in zip(whose, names, strict=True)
        for item in used[number].structure.sequences
        if item.chain in new
    ]
    return merged(parts, names), tuple(sequences)


def assembly_facts(used: Sequence[FittedModel], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What the entries table tells of assemblies."""
    told = [(item.role, verdict) for item, verdict in zip(used, verdicts, strict=False) if item.structure.copies]
    return {
        "assembly": " ".join(f"{role}={verdict.reason}" for role, verdict in told),
        "assembly_fits": " ".join(
            f"{role}={verdict.lowest_fit:.4f}" for role, verdict in told if verdict.lowest_fit is not None
        ),
        "assembly_copies": sum(len(verdict.copies) for _, verdict in told),
    }
