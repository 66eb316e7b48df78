"""The numbers of a baseline, map by map and part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLUMNS = {
    "residues": "residues",
    "precision": "precision, 2 A",
    "recall": "recall, 2 A",
    "f1_1": "F1, 1 A",
    "f1_2": "F1, 2 A",
    "f1_3": "F1, 3 A",
    "chance_f1": "F1 of chance, 2 A",
    "rmsd": "RMSD, A",
    "matching": "matching, %",
    "identity": "sequence match, %",
    "tm_score": "TM-score",
    "in_register": "in register",
    "voxel_f1": "best voxel F1",
    "voxel_random": "chance",
}
"what a row tells, and its head; RMSD, matching and sequence match as phenix.chain_comparison has them"


def row_of(score: Mapping[str, Any]) -> dict[str, float | None]:
    """One map, as `COLUMNS` names it."""
    one, two, three = score["matching"]
    comparison, voxels = score["chain_comparison"], score["voxels"]
    best = voxels["thresholds"].index(voxels["best_threshold"])
    return {
        "residues": score["reference_residues"],
        "precision": two["precision"],
        "recall": two["recall"],
        "f1_1": one["f1"],
        "f1_2": two["f1"],
        "f1_3": three["f1"],
        "chance_f1": score["chance_f1"],
        "rmsd": comparison["rmsd"],
        "matching": comparison["found_percent"],
        "identity": comparison["seq_match_percent"],
        "tm_score": score["by_sequence"]["tm_score"],
        "in_register": score["in_register"],
        "voxel_f1": voxels["best_f1"],
        "voxel_random": voxels["random_f1"][best],
    }


def mean_row(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean over maps; what a map has no number for is left out, and None if none has one."""
    means: dict[str, float | None] = {}
    for name in COLUMNS:
        values = [value for row in rows if (value := row[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means


def slope_of(log: Sequence[Mapping[str, float]], name: str) -> float | None:
    """How much a column of a run's log still grows in 1,000 steps, over its last half; None with fewer than 3 rows."""
    points = [(row["step"], row[name]) for row in log if name in row]
    points = points[len(points) // 2 :] if len(points) >= 6 else points
    if len(points) < 3:
        return None
    steps, values = np.array(points).T
    return float(np.polyfit(steps / 1000.0, values, 1)[0])
