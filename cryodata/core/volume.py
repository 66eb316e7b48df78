"""A density or label volume and its place in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

LabelVoxels = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
"of a label: voxels int32 (n, 3), z, y, x, each once, and their values uint8 (n,), above 0; all others are 0"


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Values on an orthogonal grid.

    The value at index (iz, iy, ix) lies at the point `origin_xyz + (ix, iy, iz) * voxel_size_xyz`.
    """

    data: npt.NDArray[Any]
    "values, shape (nz, ny, nx), whatever the axis order of the file was"

    voxel_size_xyz: FloatArray
    "spacing of the grid points, float64 (3,), A"

    origin_xyz: FloatArray
    "position of the centre of voxel (0, 0, 0), float64 (3,), A; never rounded"

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise ValueError(f"a volume has 3 axes, found {self.data.ndim}")
        for name in ("voxel_size_xyz", "origin_xyz"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != (3,):
                raise ValueError(f"{name} has shape (3,), found {value.shape}")
            object.__setattr__(self, name, value)

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        nz, ny, nx = self.data.shape
        return nz, ny, nx

    def index_of(self, xyz: npt.ArrayLike) -> FloatArray:
        """Fractional grid index of each position.

        xyz: positions, float64 (n, 3), A. Returns float64 (n, 3), z, y, x; not rounded, not clipped.
        """
        offset_xyz = np.asarray(xyz, dtype=np.float64) - self.origin_xyz
        return (offset_xyz / self.voxel_size_xyz)[..., ::-1]

    def position_of(self, index_zyx: npt.ArrayLike) -> FloatArray:
        """Position of each grid index, the inverse of `index_of`; float64 (n, 3), x, y, z, A."""
        index_xyz = np.asarray(index_zyx, dtype=np.float64)[..., ::-1]
        return self.origin_xyz + index_xyz * self.voxel_size_xyz
