"""The published procedure, operation by operation as its scripts have it (BioinfoMachineLearning/cryo2struct,
`preprocessing`; facts alone, the code is written anew): zlib, `numpy.percentile`, Bio.PDB and Python loops over the
atoms, float64 sub-grids; and between its programs files: the map unpacked, an MRC file of each volume, for which the
density is read again each time, two arrays in a `.npy` file for each sub-grid.

Left out are ChimeraX, Perl and Clustal. Where ChimeraX resamples stands trilinear `map_coordinates`; it also splits the
model by secondary structure: here the C-alphas of each third of the residues are one class. What is read of models are
`.pdb` files, which `models` makes of an mmCIF file before anything is measured.
"""

from __future__ import annotations

import gzip
import math
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
from Bio.PDB import PDBParser
from scipy.ndimage import map_coordinates

Array = np.ndarray[Any, Any]

BOX, CORE, MARGIN = 32, 20, 6
ATOMS = {"CA": 1, "N": 2, "C": 3}
RESIDUES = {name: number for number, name in enumerate(sorted(gemmi.expand_one_letter_sequence(
    "ARNDCQEGHILKMFPSTWYV", gemmi.ResidueKind.AA)), 1)}  # fmt: skip
SECONDARY = {"coil": 1, "helix": 2, "strand": 3}


def models(model: Path, folder: Path) -> dict[str, Path]:
    """The model, and its residues by secondary structure, as `.pdb` files."""
    whole = gemmi.read_structure(str(model))
    whole.shorten_chain_names()  # a `.pdb` file has one letter for them
    paths = {name: folder / f"{name}.pdb" for name in ("whole", *SECONDARY)}
    whole.write_pdb(str(paths["whole"]))
    for number, name in enumerate(SECONDARY):
        part = whole.clone()
        for chain in part[0]:
            for place in reversed(range(len(chain))):
                if place % len(SECONDARY) != number:
                    del chain[place]
        part.write_pdb(str(paths[name]))
    return paths


def unpack(path: Path, plain: Path) -> Path:
    """The map as a plain file."""
    with gzip.open(path, "rb") as packed, open(plain, "wb") as file:
        shutil.copyfileobj(packed, file)
    return plain


def resampled(path: Path) -> Array:
    """One voxel an A."""
    with mrcfile.open(path) as file:
        data, spacing = file.data, float(file.voxel_size.x)
        count = int(data.shape[0] * spacing + 1e-4)
        axis = np.arange(count) / spacing
        grid = np.meshgrid(axis, axis, axis, indexing="ij")
        return map_coordinates(data, grid, order=1, mode="constant")  # type: ignore[no-any-return]


def normalised(path: Path) -> Array:
    """Divided by the 95th percentile of what is not 0, cut to 0 and 1."""
    with mrcfile.open(path) as file:
        data: Array = deepcopy(file.data)
        data /= np.percentile(data[np.nonzero(data)], 95)
        data[data < 0] = 0
        data[data > 1] = 1
        return data


def write(path: Path, data: Array) -> None:
    """An MRC file of float32."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data)
        file.voxel_size = 1


def atoms_in(model: Path) -> Iterator[Any]:
    """Each atom of a model."""
    for part in PDBParser(QUIET=True).get_structure("model", str(model)):
        for chain in part:
            for residue in chain:
                yield from residue


def place_of(atom: Any, density: Any) -> tuple[int, int, int]:
    """Voxel of an atom in an open MRC file, as the paper's formula has it."""
    origin, size = density.header.origin, density.voxel_size
    x, y, z = (
        math.ceil(math.floor(at - origin[axis]) / size[axis]) for at, axis in zip(atom.get_coord(), "xyz", strict=True)
    )
    return z, y, x


def label_atoms(density: Path, model: Path, out: Path, values: Mapping[str, int]) -> None:
    """A volume of some atoms, by name."""
    with mrcfile.open(density) as file:
        volume = np.zeros(file.data.shape, dtype=np.int16).astype(np.float32)
        for atom in atoms_in(model):
            place, name = place_of(atom, file), atom.get_name()
            if name in values:
                volume[place] = values[name]
        write(out, volume)


def label_residues(density: Path, model: Path, out: Path) -> None:
    """Residues at their C-alphas."""
    with mrcfile.open(density) as file:
        volume = np.zeros(file.data.shape, dtype=np.float32)
        for atom in atoms_in(model):
            if atom.get_name() == "CA":
                volume[place_of(atom, file)] = RESIDUES.get(atom.get_parent().get_resname(), 0)
        write(out, volume)


def label_more(density: Path, model: Path, out: Path, value: int) -> None:
    """C-alphas, written into a volume that is there."""
    with mrcfile.open(density) as file, mrcfile.open(out, mode="r+") as volume:
        for atom in atoms_in(model):
            place = place_of(atom, file)
            if atom.get_name() == "CA":
                volume.data[place] = value


def label(density: Path, model: Mapping[str, Path], folder: Path) -> None:
    """Atom, C-alpha, residue and secondary structure volumes, an atom at a time."""
    label_atoms(density, model["whole"], folder / "atom.mrc", ATOMS)
    label_atoms(density, model["whole"], folder / "atom_ca.mrc", {"CA": 1})
    label_residues(density, model["whole"], folder / "amino.mrc")
    secondary = folder / "secondary.mrc"
    label_atoms(density, model["coil"], secondary, {"CA": SECONDARY["coil"]})
    for kind in ("helix", "strand"):
        label_more(density, model[kind], secondary, SECONDARY[kind])


def subgrids_of(path: Path) -> list[Array]:
    """Views of a volume in a frame of zeros, the first axis fastest."""
    with mrcfile.open(path) as file:
        data = deepcopy(file.data)
    padded = np.zeros([n + 2 * BOX for n in data.shape])
    padded[tuple(slice(BOX, BOX + n) for n in data.shape)] = data
    counts, first = [-(-n // CORE) for n in data.shape], BOX - MARGIN
    return [
        padded[tuple(slice(CORE * i + first, CORE * i + first + BOX) for i in (z, y, x))]
        for x, y, z in np.ndindex(*counts[::-1])
    ]


def write_subgrids(density: Path, label: Path, folder: Path) -> int:
    """A file of two arrays for each sub-grid; their bytes."""
    written = 0
    for number, pair in enumerate(zip(subgrids_of(density), subgrids_of(label), strict=True)):
        with open(folder / f"{number}.npy", "wb") as file:
            for array in pair:
                np.save(file, array)
            written += file.tell()
    return written


def work(map_path: Path, model: Mapping[str, Path], folder: Path) -> int:
    """All of it; bytes of the sub-grids."""
    write(folder / "resampled.mrc", resampled(unpack(map_path, folder / "plain.map")))
    write(folder / "normalized.mrc", normalised(folder / "resampled.mrc"))
    label(folder / "normalized.mrc", model, folder)
    return write_subgrids(folder / "normalized.mrc", folder / "atom.mrc", folder)
