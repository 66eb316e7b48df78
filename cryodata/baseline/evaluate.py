"""How good a model is: its alpha carbons against those of a reference, by several measures side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.baseline.scoring.chain_comparison import ChainComparison, compare_chains
from cryodata.baseline.scoring.matching import FloatArray, IndexArray, Pairs, match_optimally, near_pairs
from cryodata.baseline.scoring.sequences import correspondence
from cryodata.baseline.scoring.thresholds import ThresholdCurve
from cryodata.core.calphas import CAlphas, Crystal

CAPS = (1.0, 2.0, 3.0)
"A; how far apart the alpha carbons of a pair may be"

RIGHT = 3.0
"A; a residue is in register if it lies this near to the same residue of the reference"


@dataclass(frozen=True, slots=True)
class Matching:
    """The best one-to-one matching within a distance: most pairs, then the least sum of distances."""

    cap: float
    "largest distance of a pair, A"

    pairs: int
    "pairs found"

    precision: float
    "share of the model's residues that are in a pair"

    recall: float
    "share of the reference's residues that are in a pair"

    f1: float
    "harmonic mean of the two"

    rmsd: float | None
    "over the pairs, A; None without any"

    identity: float | None
    "share of the pairs with the same residue name; None without any"


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two models are under some pairing of their residues, the model staying where it stands in the map."""

    pairs: int
    "residues of the reference that have a partner"

    tm_score: float
    "TM-score over all residues of the reference, not superposed"

    lddt: float
    "lDDT of the alpha carbons (15 A; 0.5, 1, 2, 4 A); a residue without partner counts 0"


@dataclass(frozen=True, slots=True)
class ChainPair:
    """A chain of the model and the chain of the reference that it was taken for."""

    model: str
    "chain of the model"

    reference: str
    "chain of the reference"

    residues: int
    "residues of the chain of the reference"

    aligned: int
    "of them, those that the alignment of the sequences gives a partner"

    in_register: int
    "of those, the ones within 3 A of their partner"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All measures of one model."""

    model_residues: int
    "alpha carbons of the model"

    reference_residues: int
    "alpha carbons of the reference"

    comparison: ChainComparison
    "what phenix.chain_comparison prints"

    matching: tuple[Matching, ...]
    "a row for each of CAPS"

    by_place: Likeness
    "residues paired by the best matching within 3 A, whatever their names"

    by_sequence: Likeness
    "residues paired by the alignment of the sequences, whatever their places"

    chains: tuple[ChainPair, ...]
    "which chain was taken for which, so that most residues are in register"

    in_register: float
    "share of the reference's residues within 3 A of the same residue of the model"


def evaluate(model: CAlphas, reference: CAlphas, crystal: Crystal | None = None) -> Evaluation:
    """Every measure. crystal: its symmetry is used by the comparison as phenix has it, by nothing else."""
    near = near_pairs(model.xyz, reference.xyz, max(CAPS))
    pairs = {cap: match_optimally(near.take(near.distance <= cap)) for cap in CAPS}
    chains, same = _pair_chains(model, reference)
    return Evaluation(
        model_residues=len(model),
        reference_residues=len(reference),
        comparison=compare_chains(model, reference, crystal),
        matching=tuple(_matching(cap, item, model, reference) for cap, item in pairs.items()),
        by_place=_likeness(pairs[max(CAPS)], model, reference),
        by_sequence=_likeness(same, model, reference),
        chains=chains,
        in_register=float(np.count_nonzero(same.distance <= RIGHT)) / max(1, len(reference)),
    )


def as_json(found: Evaluation, curve: ThresholdCurve | None = None) -> dict[str, Any]:
    """All of it as plain values, those of phenix under `chain_comparison`."""
    value = asdict(found)
    value["chain_comparison"] = value.pop("comparison")
    if curve is not None:
        threshold, best = curve.best
        value["voxels"] = {"best_threshold": threshold, "best_f1": best, **asdict(curve)}
    return value


def residue_states(model: CAlphas, reference: CAlphas) -> npt.NDArray[np.int64]:
    """What became of each residue of the reference, int64 (n,).

    0 in register; 1 its place is taken by a residue of the same name, 2 by one of another (best matching within 3 A);
    3 missing.
    """
    states = np.full(len(reference), 3, dtype=np.int64)
    pairs = match_optimally(near_pairs(model.xyz, reference.xyz, max(CAPS)))
    states[pairs.reference] = np.where(model.residue[pairs.model] == reference.residue[pairs.reference], 1, 2)
    same = _pair_chains(model, reference)[1]
    states[same.reference[same.distance <= RIGHT]] = 0
    return states


def f1_of(precision: float, recall: float) -> float:
    """Harmonic mean, 0 if both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _matching(cap: float, pairs: Pairs, model: CAlphas, reference: CAlphas) -> Matching:
    precision, recall = len(pairs) / max(1, len(model)), len(pairs) / max(1, len(reference))
    same = model.residue[pairs.model] == reference.residue[pairs.reference]
    return Matching(
        cap=cap,
        pairs=len(pairs),
        precision=precision,
        recall=recall,
        f1=f1_of(precision, recall),
        rmsd=pairs.rmsd,
        identity=float(same.mean()) if len(pairs) else None,
    )


def _pair_chains(model: CAlphas, reference: CAlphas) -> tuple[tuple[ChainPair, ...], Pairs]:
    """Which chain is which, and the residues that the alignments pair; one-to-one, so that most are in register."""
    from scipy.optimize import linear_sum_assignment

    if not len(model) or not len(reference):
        return (), near_pairs(model.xyz[:0], reference.xyz[:0], RIGHT)
    ours, theirs = model.chains, reference.chains
    aligned: dict[tuple[str, str], IndexArray] = {}
    table: list[list[Pairs]] = []
    for one in ours.values():
        row = []
        for other in theirs.values():
            key = model.sequence(one), reference.sequence(other)
            if key not in aligned:
                aligned[key] = correspondence(*key)
            i, j = one[aligned[key][:, 0]], other[aligned[key][:, 1]]
            row.append(Pairs(i, j, np.linalg.norm(model.xyz[i] - reference.xyz[j], axis=1)))
        table.append(row)
    right = np.array([[np.count_nonzero(item.distance <= RIGHT) for item in row] for row in table])
    names = list(ours), list(theirs)
    found, kept = [], []
    for a, b in zip(*linear_sum_assignment(right, maximize=True), strict=True):
        pairs = table[a][b]
        size = len(theirs[names[1][b]])
        found.append(ChainPair(names[0][a], names[1][b], size, len(pairs), int(right[a, b])))
        kept.append(pairs)
    return tuple(found), Pairs(*(np.concatenate([getattr(item, name) for item in kept]) for name in Pairs.__slots__))


def _likeness(pairs: Pairs, model: CAlphas, reference: CAlphas) -> Likeness:
    placed: FloatArray = np.full((len(reference), 3), np.nan)
    placed[pairs.reference] = model.xyz[pairs.model]
    return Likeness(len(pairs), _tm_score(pairs, model, reference), _lddt(placed, reference))


def _tm_score(pairs: Pairs, model: CAlphas, reference: CAlphas) -> float:
    from biotite.structure import tm_score

    if not len(pairs):
        return 0.0
    ours, theirs = _atoms(model.xyz), _atoms(reference.xyz)
    return float(tm_score(theirs, ours, pairs.reference, pairs.model, len(reference)))


def _lddt(placed: FloatArray, reference: CAlphas) -> float:
    """placed: positions of the model by row of the reference, NaN where there is none."""
    from biotite.structure import lddt

    if np.isnan(placed).all() or len(reference) < 2:
        return 0.0
    score = float(lddt(_atoms(reference.xyz), placed.astype(np.float32)))
    return score if np.isfinite(score) else 0.0


def _atoms(xyz: FloatArray) -> Any:
    """Alpha carbons as biotite has them: each a residue of its own, all of one name, which the scores do not use."""
    from biotite.structure import AtomArray

    atoms = AtomArray(len(xyz))
    atoms.coord = xyz.astype(np.float32)
    atoms.res_id = np.arange(len(xyz))
    atoms.chain_id = np.full(len(xyz), "A")
    atoms.res_name = np.full(len(xyz), "ALA")
    atoms.atom_name = np.full(len(xyz), "CA")
    return atoms
