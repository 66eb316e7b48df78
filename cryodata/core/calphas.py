"""The alpha carbons of a model, and the crystal that it may stand in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CAlphas:
    """One alpha carbon per residue position, in the order of the file."""

    xyz: FloatArray
    "positions, float64 (n, 3), A"

    residue: npt.NDArray[np.str_]
    "residue (component) name, such as ALA"

    letter: npt.NDArray[np.str_]
    "one-letter code, a modified residue by its parent, X if it has none"

    chain: npt.NDArray[np.str_]
    "author's chain name"

    number: npt.NDArray[np.int32]
    "author's residue number"

    hetero: npt.NDArray[np.bool_]
    "whether the file has it as HETATM"

    def __post_init__(self) -> None:
        count = len(self.residue)
        if self.xyz.shape != (count, 3):
            raise ValueError(f"xyz has shape ({count}, 3), found {self.xyz.shape}")
        for column in fields(self):
            if len(getattr(self, column.name)) != count:
                raise ValueError(f"column {column.name} has {count} rows, found {len(getattr(self, column.name))}")

    def __len__(self) -> int:
        return len(self.residue)

    def take(self, rows: npt.NDArray[Any]) -> CAlphas:
        """Those of some rows only, given as indices or as a mask."""
        return CAlphas(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def moved(self, shift_xyz: tuple[float, float, float]) -> CAlphas:
        """The same, each position moved by shift_xyz, A."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return CAlphas(**{**columns, "xyz": self.xyz + np.asarray(shift_xyz, dtype=np.float64)})

    @property
    def chains(self) -> dict[str, npt.NDArray[np.int64]]:
        """Rows of each chain, in the order in which the file names them first."""
        names, first = np.unique(self.chain, return_index=True)
        return {str(name): np.flatnonzero(self.chain == name) for name in names[np.argsort(first)]}

    def sequence(self, rows: npt.NDArray[np.int64]) -> str:
        """One-letter sequence of some rows."""
        return "".join(self.letter[rows].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A unit cell and the operations of its space group."""

    fraction_of_xyz: FloatArray
    "matrix from positions (A) to fractions of the cell, float64 (3, 3)"

    rotation: FloatArray
    "of each operation, on fractions, float64 (k, 3, 3)"

    translation: FloatArray
    "of each operation, in fractions, float64 (k, 3)"

    def images(self, xyz: FloatArray, reach: float) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """All symmetry copies of some positions in the unit cell and up to `reach` A around it.

        Returns positions, float64 (m, 3), A, and the row of `xyz` of each, int64 (m,).
        """
        fraction = xyz @ self.fraction_of_xyz.T
        # copies: (operations, positions, 3)
        copies = np.einsum("kij,nj->kni", self.rotation, fraction) + self.translation[:, None]
        points = (copies - np.floor(copies)).reshape(-1, 3)
        rows = np.tile(np.arange(len(xyz)), len(self.rotation))
        # a row of the matrix is a reciprocal axis: its length is one over the distance of the cell's faces
        margin = reach * np.linalg.norm(self.fraction_of_xyz, axis=1)
        for axis in range(3):
            low, high = points[:, axis] >= 1 - margin[axis], points[:, axis] <= margin[axis]
            step = np.eye(3)[axis]
            points = np.concatenate([points, points[low] - step, points[high] + step])
            rows = np.concatenate([rows, rows[low], rows[high]])
        return points @ np.linalg.inv(self.fraction_of_xyz).T, rows

    def into_cell(self, xyz: FloatArray) -> FloatArray:
        """Positions moved by whole cells into the unit cell, float64 (n, 3), A."""
        fraction = xyz @ self.fraction_of_xyz.T
        return (fraction - np.floor(fraction)) @ np.linalg.inv(self.fraction_of_xyz).T
