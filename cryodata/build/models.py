"""The models of a map: read, their protein found, and held against the map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryodata.core.entry import Entry
from cryodata.core.model import AtomicModel, Structure
from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc_header import MapHeader
from cryodata.formats.structure import read_structure
from cryodata.prepare.quality import FrameFit, Moments, find_frame
from cryodata.prepare.residues import is_backbone, protein_residues


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
    entry: Entry, volume: Volume, header: MapHeader, map_moments: Moments
) -> tuple[list[FittedModel], list[str]]:
    """The models that can be read and are protein; the others with the code of what is wrong. RejectedError if all are
    wrong."""
    fitted, wrong = [], {}
    for role in sorted(
        (role for role in entry.sources if role.startswith("model")), key=lambda role: (len(role), role)
    ):
        path = Path(entry.sources[role].path)
        try:
            structure = read_structure(path)
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


def _checked_protein(structure: Structure, file_name: str) -> AtomicModel:
    residues = protein_residues(structure.model)
    if not len(residues):
        found = ", ".join(sorted(set(structure.model.entity_kind.tolist())))
        raise RejectedError("no_protein", f"{file_name}: no peptide residue with a C-alpha; found {found}")
    return residues
