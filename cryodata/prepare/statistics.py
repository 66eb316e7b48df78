"""What a model will see in each sub-grid, so that readers can choose without decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.subgrids import SubgridGrid

OCCUPIED = 0.1
"normalised density above which a voxel counts as occupied"


def subgrid_statistics(
    density: npt.NDArray[Any],
    grid: SubgridGrid,
    ca_zyx: npt.NDArray[np.int32],
    atom_zyx: npt.NDArray[np.int32],
) -> dict[str, npt.NDArray[Any]]:
    """A row per sub-grid, in the order of `grid.starts_zyx()`.

    density: (nz, ny, nx) as it is stored. ca_zyx, atom_zyx: int32 (n, 3), voxels that carry the C-alphas, and all
    labelled atoms. Returns start_zyx int32 (m, 3), n_ca_core, n_ca_box, n_atom_box int32, occupied (share of the
    box's voxels inside the map above OCCUPIED) and density_max float32.
    """
    starts = grid.starts_zyx()
    occupied = np.empty(len(starts), dtype=np.float32)
    highest = np.empty(len(starts), dtype=np.float32)
    for row, start in enumerate(starts):
        view = density[tuple(slice(max(s, 0), s + grid.box) for s in start.tolist())]
        occupied[row] = np.count_nonzero(view > OCCUPIED) / view.size
        highest[row] = view.max()
    return {
        "start_zyx": starts,
        "n_ca_core": count_in(ca_zyx, grid, 0, grid.core),
        "n_ca_box": count_in(ca_zyx, grid, -grid.margin, grid.box),
        "n_atom_box": count_in(atom_zyx, grid, -grid.margin, grid.box),
        "occupied": occupied,
        "density_max": highest,
    }


def count_in(voxel_zyx: npt.NDArray[np.int32], grid: SubgridGrid, offset: int, size: int) -> npt.NDArray[np.int32]:
    """Points in the cubes of `size` voxels that begin `offset` voxels after each core; int32 (m,)."""
    _, numbers = grid.containing(voxel_zyx, offset, size)
    return np.bincount(numbers, minlength=len(grid)).astype(np.int32)
