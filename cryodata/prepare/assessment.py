"""Everything that is measured of how map and model agree, and what is refused for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel, ChainSequence
from cryodata.core.parameters import Parameter, above_0, share, yes_or_no
from cryodata.core.schema import IGNORE, FactSpec, Schema
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.prepare.agreement import (
    best_scale,
    contour_of,
    correlation_in_mask,
    included,
    mirrored_fit,
    within_reach,
)
from cryodata.prepare.hand import hand_margin
from cryodata.prepare.qscore import SHELLS, SIGMA, q_scores, residue_means
from cryodata.prepare.quality import Moments

THRESHOLDS: Mapping[str, tuple[str, str, str]] = {
    "min_inclusion": ("atom_inclusion", "low_inclusion", "share of atoms inside the contour"),
    "min_resolved": ("resolved", "low_resolved", "share of the sequence that is modelled and shown"),
    "min_correlation": ("correlation", "low_correlation", "correlation of map and model in the mask"),
    "min_q_mean": ("q_mean", "low_q_score", "mean Q-score of the residues"),
}
"fact, code of the refusal and what is measured, by setting; 0 refuses nothing"

NEEDS_ALL = ("min_correlation", "min_q_mean", "min_q")
"settings that need what is measured only where `quality` asks for it"

SETTINGS = (
    Parameter("quality", False, yes_or_no, True, "measure Q-scores, correlation and hand, which costs some time"),
    Parameter("q_sigma", SIGMA, above_0, True, "A; width of the reference of Q-scores (validation reports: 0.4)"),
    Parameter("min_q", 0.0, share, True, "labels of residues with a lower Q-score become 255, ignore; 0: none do"),
    *(Parameter(name, 0.0, share, True, f"refused if lower: {what}") for name, (_, _, what) in THRESHOLDS.items()),
)

FACTS = (
    FactSpec("map_contour", "float64", "contour of the map as deposited, in its units"),
    FactSpec("map_contour_source", "string", "entry: recommended by the authors; mean + 3 sd: of the map, else"),
    FactSpec("atom_inclusion", "float64", "share of protein and nucleic atoms, hydrogens apart, inside the contour"),
    FactSpec("resolved", "float64", "share of the full sequence's residues with half of their atoms in the contour"),
    FactSpec("fit_mirrored", "float64", "best fit in the map with one axis turned round; near fit: its hand is wrong"),
    FactSpec("mirrored_axis", "string", "the axis of fit_mirrored"),
    FactSpec("best_scale", "float64", "voxel size at which the model fits best, as a share of the header's"),
    FactSpec("correlation", "float64", "of map and model's density about the mean, within 2 A or more of an atom"),
    FactSpec("q_mean", "float64", "mean Q-score of protein and nucleic residues"),
    FactSpec("q_sigma", "float64", "A; width of the reference of the Q-scores"),
    FactSpec("q_low", "float64", "share of protein and nucleic residues that min_q makes 255, or Q-score below 0.3"),
    FactSpec("hand_margin", "float64", "sd by which pieces of backbone fit better than mirrored; below 0: wrong hand"),
)

READS = ("contour_level", "resolution")
"fields of an entry that these figures come from"

LOW_Q = 0.3
"Q-score under which `q_low` counts a residue where min_q is not set: side chains are not seen there"


@dataclass(frozen=True, slots=True)
class Claims:
    """What is said of an entry, which its map is held against."""

    resolution: float | None
    "A; None if unknown"

    contour_level: float | None
    "recommended by the authors; None if unknown"

    sequences: Sequence[ChainSequence]
    "of the chains of its models"


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """What was found."""

    facts: dict[str, Any]
    "by the names of FACTS; None where it was not measured"

    q_score: npt.NDArray[np.float32]
    "of the residue of each atom, float32 (n,); NaN where it was not measured"


def ignoring(schema: Schema, parameters: Mapping[str, Any]) -> Schema:
    """The schema with labels that ignore residues of a Q-score below `min_q`."""
    least = parameters["min_q"]
    told = f"; {IGNORE} where the Q-score of the residue is below {least:g}: ignore"
    arrays = [
        replace(array, ignore_below=least, description=array.description + told) if array in schema.labels else array
        for array in schema.arrays
    ]
    return replace(schema, arrays=tuple(arrays)) if least else schema


def assess(
    volume: Volume, atoms: LabelPoints, claims: Claims, map_moments: Moments, parameters: Mapping[str, Any]
) -> Assessment:
    """Hold a model against its map.

    volume: as deposited, where the model lies in it. atoms: of the whole molecule, one alternative of each residue.
    parameters: values of SETTINGS. Raises RejectedError with a code of THRESHOLDS.
    """
    model, heavy = atoms.model, atoms.part != "hydrogen"
    protein = atoms.kind == "protein"
    polymer = protein | (atoms.kind == "nucleic")
    residue = np.unique(model.position, return_inverse=True)[1]
    contour = contour_of(claims.contour_level, map_moments)
    inside = included(volume, model.xyz, contour.level)
    is_ca = protein & (model.atom == "CA")
    backbone = model.xyz[protein & (is_ca | (model.atom == "N") | (model.atom == "C"))]
    ca_xyz = model.xyz[is_ca]
    mirrored, axis = mirrored_fit(volume, ca_xyz, map_moments) if len(ca_xyz) else (None, None)
    facts: dict[str, Any] = {
        "map_contour": contour.level,
        "map_contour_source": contour.source,
        "atom_inclusion": float(inside[heavy & polymer].mean()) if polymer.any() else None,
        "resolved": _resolved(inside[heavy & polymer], residue[heavy & polymer], claims.sequences),
        "fit_mirrored": mirrored,
        "mirrored_axis": axis,
        "best_scale": best_scale(volume, backbone),
        **dict.fromkeys(("correlation", "q_mean", "q_sigma", "q_low", "hand_margin")),
    }
    q_score = np.full(len(model), np.nan)
    if parameters["quality"] or any(parameters[name] for name in NEEDS_ALL):
        if claims.resolution is not None:
            facts["correlation"] = correlation_in_mask(volume, model.take(heavy), claims.resolution)
        facts["hand_margin"] = hand_margin(volume, model.take(protein), map_moments)
        means = _residue_scores(volume, model, heavy, residue, parameters["q_sigma"])
        q_score = means[residue]
        of_polymer, facts["q_sigma"] = means[np.unique(residue[polymer & heavy])], parameters["q_sigma"]
        if len(of_polymer):
            facts["q_mean"] = float(of_polymer.mean())
            facts["q_low"] = float(np.mean(of_polymer < (parameters["min_q"] or LOW_Q)))
    _refuse(facts, parameters)
    return Assessment(facts, q_score.astype(np.float32))


def _residue_scores(
    volume: Volume,
    model: AtomicModel,
    heavy: npt.NDArray[np.bool_],
    residue: npt.NDArray[np.int64],
    sigma: float,
) -> npt.NDArray[np.float64]:
    """Mean Q-score of each residue, of its atoms but hydrogens; NaN for one of hydrogens alone."""
    rows = np.flatnonzero(heavy)
    scores = np.zeros(len(rows))
    near = within_reach(volume, model.xyz[rows], 2 * float(SHELLS[-1]))
    scores[near] = q_scores(volume, model.xyz[rows[near]], sigma=sigma)
    return residue_means(np.r_[scores, 0.0], np.r_[residue[rows], residue.max() + 1])[:-1]


def _resolved(
    inside: npt.NDArray[np.bool_], residue: npt.NDArray[np.int64], sequences: Sequence[ChainSequence]
) -> float | None:
    """Share of the residues of all sequences that have at least half of their atoms inside the contour."""
    shares = np.bincount(residue, inside)[np.unique(residue)] / np.bincount(residue)[np.unique(residue)]
    modelled = len(shares)
    full = sum(len(item.full) or len(item.modelled) for item in sequences if item.kind in ("peptide", "nucleic"))
    return min(1.0, float(np.count_nonzero(shares >= 0.5)) / max(full, modelled)) if modelled else None


def _refuse(facts: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    for setting, (fact, code, what) in THRESHOLDS.items():
        value, least = facts[fact], parameters[setting]
        if least and (value is None or value < least):
            found = "unknown" if value is None else f"{value:.3f}"
            raise RejectedError(code, f"{what} is {found}; expected {least:g} at least ({setting})")
