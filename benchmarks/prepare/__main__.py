"""How long do Q-scores take, compiled and by NumPy alone, and the other figures of quality beside them?

    python -m benchmarks.prepare

CPU seconds of one core for the real maps of ../shared/data, the better of two runs, compiling left out. `per 1,000
residues` counts all heavy atoms of the files, waters and ligands too. It does not show what reading the files takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.record import record
from cryodata import compiled
from cryodata.core.model import AtomicModel
from cryodata.core.volume import Volume
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import read_structure
from cryodata.prepare import qscore
from cryodata.prepare.agreement import best_scale, correlation_in_mask
from cryodata.prepare.hand import hand_margin
from cryodata.prepare.quality import fit_shift, moments
from cryodata.prepare.residues import is_backbone, protein_residues

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "entries"

CASES = (
    ("EMD-3488", "emd_3488.map.gz", "5ni1.pdb", 3.2),
    ("EMD-6272-zone", "emd_6272_zone.map.gz", "3j9s.ent", 2.6),
    ("EMD-20026-crop", "emd_20026_crop.map.gz", "3ajo_fitted_refined.pdb", 1.75),
)

NUMPY_ATOMS = 500
"atoms that are scored without numba; the rest takes as long each"


def measure(volume: Volume, model: AtomicModel, resolution: float, numpy_atoms: int = NUMPY_ATOMS) -> dict[str, Any]:
    """CPU seconds for one map and model."""
    heavy = model.take((model.element != "H") & np.isin(model.altloc, ["", "A"]))
    protein = protein_residues(model)
    found, backbone = moments(volume.data), protein.xyz[is_backbone(protein)]
    ca_xyz = protein.xyz[is_backbone(protein, ("CA",))]
    residues = len(np.unique(heavy.position))
    rows = np.arange(min(numpy_atoms, len(heavy)))
    scores = qscore.q_scores(volume, heavy.xyz)
    compiled = _seconds(lambda: qscore.q_scores(volume, heavy.xyz))
    numpy = _seconds(lambda: _by_numpy(volume, heavy, rows)) / len(rows) * len(heavy)
    return {
        "residues": residues,
        "atoms": len(heavy),
        "mean Q-score": float(scores.mean()),
        "compiled": compiled,
        "by numpy": numpy,
        "per 1,000 residues": {"compiled": 1000 * compiled / residues, "by numpy": 1000 * numpy / residues},
        "correlation": _seconds(lambda: correlation_in_mask(volume, heavy, resolution)),
        "hand": _seconds(lambda: hand_margin(volume, protein, found)),
        "scale": _seconds(lambda: best_scale(volume, backbone)),
        "fit_shift": _seconds(lambda: fit_shift(volume, ca_xyz, found)),
    }


def _by_numpy(volume: Volume, heavy: AtomicModel, rows: np.ndarray[Any, Any]) -> None:
    with patch.object(compiled, "_installed", lambda: False):
        qscore.q_scores(volume, heavy.xyz, rows)


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(2):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return round(min(times), 4)


def main() -> None:
    """Measure all cases and keep the result."""
    rows = {}
    for entry, map_name, model_name, resolution in CASES:
        folder = DATA / entry
        volume = read_volume(folder / map_name, read_header(folder / map_name))
        rows[entry] = measure(volume, read_structure(folder / model_name).model, resolution)
        print(entry, rows[entry])
    print(record("quality", ("numpy", "numba", "gemmi"), rows))


if __name__ == "__main__":
    main()
