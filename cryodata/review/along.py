"""An entry as tables and arrays that a picture is drawn from: its map, its atoms, its residues along the chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.core.schema import Schema
from cryodata.core.volume import Volume
from cryodata.errors import UsageError
from cryodata.formats.absent import why_absent
from cryodata.formats.tables import vectors
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.quality import sample_trilinear
from cryodata.read.decode import VersionKey, Volumes


@dataclass(frozen=True, slots=True, eq=False)
class Residues:
    """The residues of protein along the chains, in the order of the file."""

    chain: npt.NDArray[np.str_]
    "name of the chain, (n,)"

    number: npt.NDArray[np.int32]
    "label_seq_id, (n,)"

    density: npt.NDArray[np.float64]
    "normalised density at the C-alpha, float64 (n,)"

    q_score: npt.NDArray[np.float64]
    "Q-score, float64 (n,); NaN where it was not measured"

    def starts(self) -> list[int]:
        """Row at which each chain begins."""
        return [0, *(np.flatnonzero(self.chain[1:] != self.chain[:-1]) + 1).tolist()] if len(self.chain) else []


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """One entry of a version, decoded."""

    row: Mapping[str, Any]
    "of the entries table"

    schema: Schema
    density: Volume
    "as stored, float32"

    atoms: Mapping[str, npt.NDArray[Any]]
    "columns of the atoms table; xyz (n, 3), voxel_zyx (n, 3)"

    residues: Residues


FIGURES = (
    "resolution", "fit", "fit_shift", "fit_mirrored", "q_mean", "correlation", "atom_inclusion", "resolved",
    "best_scale", "hand_margin", "n_residues", "map_mean", "map_sd", "map_contour", "percentile", "density_mean",
    "saturated",
)  # fmt: skip
"columns that are shown as numbers, where a dataset has them"


def with_figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the entries table with None for each of FIGURES that is no finite number: other builders, and whoever
    published the dataset, may have put anything there."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and bool(np.isfinite(value))

    return {**row, **{name: row[name] if is_number(row.get(name)) else None for name in FIGURES}}


def volumes_of(opened: DatasetVersion) -> Volumes:
    """The volumes of a version that is open already."""
    manifest = opened.manifest
    return Volumes(VersionKey(opened.root, manifest.name, manifest.version, opened.sha256))


def open_entry(opened: DatasetVersion, entry_id: str) -> Opened:
    """Decode one entry. Raises UsageError for an id that is not there, saying why, DatasetError for damage."""
    volumes = volumes_of(opened)
    number = _number(opened, volumes.entries, entry_id)
    row = with_figures(volumes.entries.slice(number, 1).to_pylist()[0])
    data = volumes.decode_density(number).astype(np.float32)
    density = Volume(data, np.asarray(row["voxel_size_xyz"]), np.asarray(row["origin_xyz"]))
    table = volumes.atoms.of(number)
    atoms = {name: table[name].to_numpy() for name in table.schema.names if name not in ("xyz", "voxel_zyx")}
    atoms |= {name: vectors(table[name]) for name in ("xyz", "voxel_zyx")}
    return Opened(row, opened.manifest.schema, density, atoms, residues_of(density, atoms))


def residues_of(density: Volume, atoms: Mapping[str, npt.NDArray[Any]]) -> Residues:
    """The residues that have a C-alpha."""
    rows = np.flatnonzero(atoms["state_ca"] != NOT_CA)
    q_score = atoms["q_score"][rows] if "q_score" in atoms else np.full(len(rows), np.nan)
    return Residues(
        atoms["chain"][rows],
        atoms["label_seq_id"][rows],
        sample_trilinear(density.data, density.index_of(atoms["xyz"][rows])),
        q_score.astype(np.float64),
    )


NOT_CA = 255
"state_ca of an atom that is no C-alpha"


def _number(opened: DatasetVersion, entries: pa.Table, entry_id: str) -> int:
    ids: list[str] = entries["entry_id"].to_pylist()
    if entry_id in ids:
        return ids.index(entry_id)
    raise UsageError(why_absent(opened, entry_id, ids))
