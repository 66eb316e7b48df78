"""The published procedure with its own operations: zlib, trilinear `map_coordinates`, `numpy.percentile`, a Python
loop over the atoms for each label, a pair of float64 `.npy` files for each sub-grid.

Facts from the paper of Cryo2StructData and its scripts; the code is written anew. ChimeraX, Perl and Stride are left
out: they would take longer.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from scipy.ndimage import map_coordinates

BOX, CORE, MARGIN = 32, 20, 6
ATOMS = {"CA": 1, "N": 2, "C": 3}


def read(path: Path) -> tuple[np.ndarray[Any, Any], float]:
    """Density and voxel size."""
    raw = gzip.decompress(path.read_bytes())
    nx, ny, nz = np.frombuffer(raw, "<i4", 3)
    cell = np.frombuffer(raw, "<f4", 3, 40)
    return np.frombuffer(raw, "<f4", int(nx) * int(ny) * int(nz), 1024).reshape(nz, ny, nx), float(cell[0] / nx)


def resampled(data: np.ndarray[Any, Any], spacing: float) -> np.ndarray[Any, Any]:
    """One voxel an A."""
    count = int(data.shape[0] * spacing + 1e-4)
    axis = np.arange(count) / spacing
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    return map_coordinates(data, grid, order=1, mode="constant")  # type: ignore[no-any-return]


def normalised(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Divided by the 95th percentile of what is positive, cut to 0 and 1."""
    data = data / np.percentile(data[data > 0], 95)
    data[data < 0] = 0
    data[data > 1] = 1
    return data


def labelled(model: Path, shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    """Atom, residue and secondary structure volumes, an atom at a time."""
    names = {name: number for number, name in enumerate(sorted(gemmi.expand_one_letter_sequence(
        "ARNDCQEGHILKMFPSTWYV", gemmi.ResidueKind.AA)), 1)}  # fmt: skip
    atoms, amino, secondary = (np.zeros(shape) for _ in range(3))
    structure = gemmi.read_structure(str(model))
    for chain in structure[0]:
        for residue in chain:
            for atom in residue:
                if atom.name in ATOMS:
                    x, y, z = (int(np.floor(value)) for value in atom.pos.tolist())
                    if 0 <= x < shape[2] and 0 <= y < shape[1] and 0 <= z < shape[0]:
                        atoms[z, y, x] = ATOMS[atom.name]
                        if atom.name == "CA":
                            amino[z, y, x] = names.get(residue.name, 0)
                            secondary[z, y, x] = 1
    return [atoms, amino, secondary]


def write_subgrids(data: np.ndarray[Any, Any], label: np.ndarray[Any, Any], folder: Path) -> int:
    """A pair of files for each sub-grid, removed at once: only the work and the bytes are of interest."""
    written = 0
    counts = [-(-n // CORE) for n in data.shape]
    padding = [
        (MARGIN, count * CORE + 2 * MARGIN + BOX - CORE - MARGIN - n)
        for count, n in zip(counts, data.shape, strict=True)
    ]
    data, label = np.pad(data.astype(np.float64), padding), np.pad(label.astype(np.float64), padding)
    for z, y, x in np.ndindex(*counts):
        here = tuple(slice(CORE * i, CORE * i + BOX) for i in (z, y, x))
        for name, array in (("density", data), ("label", label)):
            path = folder / f"{name}-{z}-{y}-{x}.npy"
            np.save(path, array[here])
            written += path.stat().st_size
            path.unlink()
    return written


def work(map_path: Path, model_path: Path, folder: Path) -> int:
    """All of it; bytes that it leaves on disk."""
    data, spacing = read(map_path)
    density = normalised(resampled(data, spacing))
    labels = labelled(model_path, density.shape)
    return write_subgrids(density, labels[0], folder)
