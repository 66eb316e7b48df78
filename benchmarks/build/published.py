"""The published procedure with its own operations: zlib, trilinear `map_coordinates`, `numpy.percentile`, Python loops
over the atoms, two float64 arrays in a `.npy` file for each sub-grid; and between its programs files: an MRC file of
each volume, read by the next one, and the model parsed again by each that labels.

Facts from the paper of Cryo2StructData and its scripts; the code is written anew. ChimeraX, Perl and Clustal are left
out: they would take longer. ChimeraX also splits the model by secondary structure; here each of the three programs that
label from its parts gets a third of the C-alphas, and the model is parsed once for all of them.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
from Bio.PDB.MMCIFParser import MMCIFParser
from scipy.ndimage import map_coordinates

Array = np.ndarray[Any, Any]
Atom = tuple[str, str, list[float]]

BOX, CORE, MARGIN, PADDING = 32, 20, 6, 32
ATOMS = {"CA": 1, "N": 2, "C": 3}
RESIDUES = {name: number for number, name in enumerate(sorted(gemmi.expand_one_letter_sequence(
    "ARNDCQEGHILKMFPSTWYV", gemmi.ResidueKind.AA)), 1)}  # fmt: skip
SECONDARY = {"coil": 1, "helix": 2, "strand": 3}


def unpack(path: Path, plain: Path) -> Path:
    """The map as a plain file."""
    with gzip.open(path, "rb") as packed, open(plain, "wb") as file:
        shutil.copyfileobj(packed, file)
    return plain


def resampled(data: Array, spacing: float) -> Array:
    """One voxel an A."""
    count = int(data.shape[0] * spacing + 1e-4)
    axis = np.arange(count) / spacing
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    return map_coordinates(data, grid, order=1, mode="constant")  # type: ignore[no-any-return]


def normalised(data: Array) -> Array:
    """Divided by the 95th percentile of what is positive, cut to 0 and 1."""
    data = data / np.percentile(data[data > 0], 95)
    data[data < 0] = 0
    data[data > 1] = 1
    return data


def atoms_in(model: Path) -> Iterator[Atom]:
    """Name of each atom, that of its residue, and where it is, A."""
    for part in MMCIFParser(QUIET=True).get_structure("model", str(model)).get_residues():
        for atom in part:
            yield atom.get_name(), part.get_resname(), atom.coord.tolist()


def write(path: Path, data: Array) -> int:
    """An MRC file of float32; its bytes."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.asarray(data, dtype=np.float32))
        file.voxel_size = 1.0
    return path.stat().st_size


def read(path: Path) -> Array:
    """The density of an MRC file."""
    with mrcfile.open(path) as file:
        return np.array(file.data)


def empty_like(path: Path) -> Array:
    """A volume of zeros like that of an MRC file, as the scripts make it: out of the density, by way of int16."""
    volume: Array = read(path).astype(np.int16).astype(np.float32)
    volume[...] = 0
    return volume


def place_of(xyz: Sequence[float], shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Voxel of an atom."""
    x, y, z = (int(np.floor(value)) for value in xyz)
    return (z, y, x) if 0 <= x < shape[2] and 0 <= y < shape[1] and 0 <= z < shape[0] else None


def label(density: Path, model: Path, folder: Path) -> None:
    """Atom and C-alpha, residue, coil, helix and strand volumes, by a program each, an atom at a time."""
    label_atoms(density, model, folder)
    label_residues(density, model, folder)
    alphas = [atom for atom in atoms_in(model) if atom[0] == "CA"]
    for number, kind in enumerate(SECONDARY):
        label_secondary(density, alphas[number :: len(SECONDARY)], folder, kind)


def label_atoms(density: Path, model: Path, folder: Path) -> None:
    """Backbone atoms in one volume, C-alphas in another."""
    atoms, alphas = empty_like(density), empty_like(density)
    for name, _, xyz in atoms_in(model):
        place = place_of(xyz, atoms.shape) if name in ATOMS else None
        if place is not None:
            atoms[place], alphas[place] = ATOMS[name], name == "CA"
    write(folder / "atom.mrc", atoms)
    write(folder / "atom_ca.mrc", alphas)


def label_residues(density: Path, model: Path, folder: Path) -> None:
    """Residues at their C-alphas."""
    volume = empty_like(density)
    for name, residue, xyz in atoms_in(model):
        place = place_of(xyz, volume.shape) if name == "CA" else None
        if place is not None:
            volume[place] = RESIDUES.get(residue, 0)
    write(folder / "amino.mrc", volume)


def label_secondary(density: Path, alphas: Sequence[Atom], folder: Path, kind: str) -> None:
    """One kind of secondary structure, into the volume that the first program made."""
    path = folder / "secondary.mrc"
    volume = read(path) if path.exists() else empty_like(density)
    for _, _, xyz in alphas:
        place = place_of(xyz, volume.shape)
        if place is not None:
            volume[place] = SECONDARY[kind]
    write(path, volume)


def write_subgrids(data: Array, label: Array, folder: Path) -> int:
    """A file of two arrays for each sub-grid, the first axis fastest; their bytes."""
    written, number = 0, 0
    counts = [-(-n // CORE) for n in data.shape]
    padded = [np.pad(array.astype(np.float64), PADDING) for array in (data, label)]
    for x, y, z in np.ndindex(*counts[::-1]):
        here = tuple(slice(CORE * i + PADDING - MARGIN, CORE * i + PADDING - MARGIN + BOX) for i in (z, y, x))
        path = folder / f"{number}.npy"
        with open(path, "wb") as file:
            for array in padded:
                np.save(file, array[here])
        written, number = written + path.stat().st_size, number + 1
    return written


def work(map_path: Path, model_path: Path, folder: Path) -> int:
    """All of it; bytes of the sub-grids."""
    plain = unpack(map_path, folder / "plain.map")
    with mrcfile.open(plain) as file:
        spacing = float(file.voxel_size.x)
    write(folder / "resampled.mrc", resampled(read(plain), spacing))
    write(folder / "normalized.mrc", normalised(read(folder / "resampled.mrc")))
    label(folder / "normalized.mrc", model_path, folder)
    return write_subgrids(read(folder / "normalized.mrc"), read(folder / "atom.mrc"), folder)
