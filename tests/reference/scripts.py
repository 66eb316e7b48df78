"""What the released Cryo2StructData scripts do, re-expressed by plain loops: the oracle of the recipe `released`.

The rules are those of the scripts that normalise, label atoms and label amino acids, and of Bio.PDB's PDBParser, which
they read models with. The one deliberate difference: an index below 0 is dropped and counted, where NumPy wraps it
around to the opposite face.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .labels import AMINO_CLASS, ATOM_CLASS

BLANK = " "


@dataclass(slots=True)
class ScriptAtom:
    """An atom as PDBParser keeps it."""

    name: str
    altloc: str
    occupancy: float
    xyz: tuple[float, float, float]


@dataclass(slots=True)
class ScriptResidue:
    """A residue of one model and chain."""

    chain: str
    number: int
    icode: str
    name: str
    atoms: dict[str, ScriptAtom]
    """Of each name the alternative of the highest occupancy, the first of equals, in the place of the first."""


def residues_of(path: Path | str) -> list[ScriptResidue]:
    """All residues of all models of a PDB file: model by model, chain by chain, in the order of the file."""
    raw = Path(path).read_bytes()
    lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("ascii").splitlines()
    models: list[dict[str, dict[tuple[str, int, str], dict[str, ScriptResidue]]]] = [{}]
    for line in lines:
        if line.startswith("MODEL ") and models[-1]:
            models.append({})
        if line[:6] not in ("ATOM  ", "HETATM"):
            continue
        name = line[17:20].strip()
        het = BLANK if line[:6] == "ATOM  " else "W" if name in ("HOH", "WAT") else f"H_{name}"
        chain, number, icode = line[21], int(line[22:26]), line[26]
        # names at one place are rivals, unless they are HETATM: then the name is part of the place
        rivals = models[-1].setdefault(chain, {}).setdefault((het, number, icode), {})
        if name not in rivals:
            rivals[name] = ScriptResidue(chain, number, icode, name, {})
        atom = ScriptAtom(line[12:16].strip(), line[16], float(line[54:60].strip() or 1), xyz_of(line))
        known = rivals[name].atoms.get(atom.name)
        if known is None or (atom.occupancy > known.occupancy and BLANK not in (atom.altloc, known.altloc)):
            rivals[name].atoms[atom.name] = atom
    # of rivals the one that came last is selected
    return [list(rivals.values())[-1] for model in models for chain in model.values() for rivals in chain.values()]


def xyz_of(line: str) -> tuple[float, float, float]:
    """Position of an ATOM record."""
    return float(line[30:38]), float(line[38:46]), float(line[46:54])


def normalise(resampled: np.ndarray) -> np.ndarray:
    """Divide by the 95th percentile of all voxels that are not 0, then below 0 is 0 and above 1 is 1."""
    p95 = np.percentile(resampled[resampled != 0].astype(np.float64), 95)
    density = resampled.astype(np.float64) / p95
    density[density < 0] = 0
    density[density > 1] = 1
    return density.astype(np.float32)


@dataclass(slots=True, eq=False)
class ScriptLabels:
    """Label volumes of the scripts, uint8 (nz, ny, nx), and the number of atoms whose index is below 0 or too large."""

    atom: np.ndarray
    amino: np.ndarray
    secondary: np.ndarray
    dropped: int = 0


def make_labels(
    residues: list[ScriptResidue],
    secondary: dict[tuple[str, int, str], int],
    shape_zyx: tuple[int, ...],
    origin_xyz: np.ndarray,
) -> ScriptLabels:
    """Write every atom called CA, N or C into its voxel, one after the other, so that the last one stays.

    secondary: class by chain, number and insertion code, for the residues that have one.
    """
    made = ScriptLabels(*(np.zeros(shape_zyx, dtype=np.uint8) for _ in range(3)))
    for residue in residues:
        for atom in residue.atoms.values():
            if atom.name not in ATOM_CLASS:
                continue
            i, j, k = (math.floor(atom.xyz[axis] - float(origin_xyz[axis])) for axis in (2, 1, 0))
            if min(i, j, k) < 0:
                made.dropped += 1
                continue
            try:
                made.atom[i, j, k] = ATOM_CLASS[atom.name]
                if atom.name == "CA":
                    made.amino[i, j, k] = AMINO_CLASS.get(residue.name, 0)
                    made.secondary[i, j, k] = secondary.get((residue.chain, residue.number, residue.icode), 0)
            except IndexError:
                made.dropped += 1
    return made
