"""The published procedure with its own operations: zlib, trilinear `map_coordinates`, `numpy.percentile`, Python loops
over the atoms, a pair of float64 `.npy` files for each sub-grid; and between its programs files: an MRC file of each
volume, read by the next one, and the model parsed again by each that labels.

Facts from the paper of Cryo2StructData and its scripts; the code is written anew. ChimeraX, Perl and Clustal are left
out: they would take longer. Models are parsed by Bio.PDB, as there, where it is installed, else by gemmi, which is
faster.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
from scipy.ndimage import map_coordinates

Array = np.ndarray[Any, Any]

BOX, CORE, MARGIN = 32, 20, 6
ATOMS = {"CA": 1, "N": 2, "C": 3}


def read(path: Path) -> tuple[Array, float]:
    """Density and voxel size."""
    raw = gzip.decompress(path.read_bytes())
    nx, ny, nz = np.frombuffer(raw, "<i4", 3)
    cell = np.frombuffer(raw, "<f4", 3, 40)
    return np.frombuffer(raw, "<f4", int(nx) * int(ny) * int(nz), 1024).reshape(nz, ny, nx), float(cell[0] / nx)


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


def atoms_in(model: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Name of each atom, that of its residue, and where it is, A."""
    if find_spec("Bio") is None:
        for chain in gemmi.read_structure(str(model))[0]:
            for residue in chain:
                for atom in residue:
                    yield atom.name, residue.name, atom.pos.tolist()
        return
    from Bio.PDB.MMCIFParser import MMCIFParser

    for part in MMCIFParser(QUIET=True).get_structure("model", str(model)).get_residues():
        for atom in part:
            yield atom.get_name(), part.get_resname(), atom.coord.tolist()


def write(path: Path, data: Array) -> int:
    """An MRC file of float32; its bytes."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.asarray(data, dtype=np.float32))
        file.voxel_size = 1.0
    return path.stat().st_size


def read_again(path: Path) -> Array:
    """The density of an MRC file."""
    with mrcfile.open(path) as file:
        return np.array(file.data)


def label(density: Path, model: Path, folder: Path) -> None:
    """Atom, C-alpha, residue and secondary structure volumes, by a program each, an atom at a time."""
    names = {name: number for number, name in enumerate(sorted(gemmi.expand_one_letter_sequence(
        "ARNDCQEGHILKMFPSTWYV", gemmi.ResidueKind.AA)), 1)}  # fmt: skip
    for program in (("atom", "atom_ca"), ("amino",), ("secondary",)):
        volumes = [read_again(density).astype(np.int16).astype(np.float32) for _ in program]
        for volume in volumes:
            volume[...] = 0
        shape = volumes[0].shape
        for atom, residue, xyz in atoms_in(model):
            if atom not in ATOMS or (atom != "CA" and program[0] != "atom"):
                continue
            x, y, z = (int(np.floor(value)) for value in xyz)
            if not (0 <= x < shape[2] and 0 <= y < shape[1] and 0 <= z < shape[0]):
                continue
            if program[0] == "atom":
                volumes[0][z, y, x] = ATOMS[atom]
                volumes[1][z, y, x] = atom == "CA"
            else:
                volumes[0][z, y, x] = names.get(residue, 0) if program[0] == "amino" else 1
        for name, volume in zip(program, volumes, strict=True):
            write(folder / f"{name}.mrc", volume)


def write_subgrids(data: Array, label: Array, folder: Path) -> int:
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
    """All of it; bytes of the sub-grids."""
    data, spacing = read(map_path)
    write(folder / "resampled.mrc", resampled(data, spacing))
    del data
    write(folder / "normalized.mrc", normalised(read_again(folder / "resampled.mrc")))
    label(folder / "normalized.mrc", model_path, folder)
    return write_subgrids(read_again(folder / "normalized.mrc"), read_again(folder / "atom.mrc"), folder)
