"""What the `published` recipe makes of a map and a model, by plain reading: the oracle of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .labels import ClassCount, make_labels
from .maps import normalise, place, read_map, resample
from .models import ca_positions, protein_residues, read_structure
from .secondary import secondary_structure

SPACING = 1.0  # A


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSample:
    """Arrays (nz, ny, nx) at 1 A and the numbers that go with them."""

    density: np.ndarray
    """float32 in [0, 1], before storage."""
    atom: np.ndarray
    """uint8: 0 none, 1 CA, 2 N, 3 C."""
    amino: np.ndarray
    """uint8: 1 .. 20 at C-alphas."""
    secondary: np.ndarray
    """uint8: 1 coil, 2 helix, 3 strand at C-alphas."""
    origin_xyz: np.ndarray
    """float64 (3,), centre of voxel 0, A."""
    voxel: float
    """A per voxel."""
    fit: float
    """Density at the C-alphas in standard deviations above the mean, on the map as read."""
    fits: dict[str, float]
    """The same in every frame that was tried."""
    p95: float
    """The percentile that divides."""
    frame: str
    """nstart, origin, zero or sum."""
    secondary_method: str
    """records or kabsch-sander."""
    counts: dict[str, dict[int, ClassCount]]
    """By volume (atom, amino, secondary) and class."""


def reference_sample(map_path: Path | str, model_path: Path | str) -> ReferenceSample:
    """Read both files and follow the `published` recipe.

    Raises: ValueError if a file cannot be read or holds nothing to work on. A bad fit is reported, not refused.
    """
    density = read_map(map_path)
    structure = read_structure(model_path)
    residues = protein_residues(structure)
    placed = place(density, ca_positions(residues))
    normalised, p95 = normalise(resample(density, SPACING))
    secondary, method = secondary_structure(model_path, structure, residues)
    labels = make_labels(residues, secondary, normalised.shape, placed.origin_xyz)
    return ReferenceSample(
        density=normalised,
        atom=labels.atom,
        amino=labels.amino,
        secondary=labels.secondary,
        origin_xyz=placed.origin_xyz,
        voxel=SPACING,
        fit=float(placed.fit if placed.fit is not None else "nan"),
        fits=placed.fits,
        p95=p95,
        frame=placed.frame,
        secondary_method=method,
        counts=labels.counts,
    )
