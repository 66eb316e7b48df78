"""What a model will see in each sub-grid, so that readers can choose without decoding."""

from __future__ import annotations

from collections.abc import Sequence
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
    ordered = density.view(f"i{density.itemsize}")
    if ordered.min(initial=0) < 0:
        # arithmetic of float16 is slow; as a number each is the same
        ordered, level = density.astype(np.float32), np.float32(density.dtype.type(OCCUPIED))
    else:  # numbers above 0 are ordered as their bits are
        level = density.dtype.type(OCCUPIED).view(ordered.dtype)
    spans = [spans_of(grid, axis) for axis in range(3)]
    voxels = np.einsum("i,j,k->ijk", *(np.diff(span, axis=1)[:, 0] for span in spans)).reshape(-1)
    occupied = over_boxes(np.add, ordered, spans, (np.uint16, np.uint32, np.uint32), level) / voxels
    highest = over_boxes(np.maximum, ordered, spans, (ordered.dtype,) * 3)
    highest = highest.view(density.dtype) if highest.dtype.kind == "i" else highest
    return {
        "start_zyx": grid.starts_zyx(),
        "n_ca_core": count_in(ca_zyx, grid, 0, grid.core),
        "n_ca_box": count_in(ca_zyx, grid, -grid.margin, grid.box),
        "n_atom_box": count_in(atom_zyx, grid, -grid.margin, grid.box),
        "occupied": occupied.astype(np.float32),
        "density_max": highest.astype(np.float32),
    }


def extremes(density: npt.NDArray[Any]) -> tuple[float, float]:
    """Least and largest value; NaN if there is one."""
    if density.dtype == np.float16 and density.view(np.int16).min(initial=0) >= 0:
        # arithmetic of float16 is slow; numbers above 0, and NaN above all of them, are ordered as their bits are
        density = np.array([density.view(np.int16).min(), density.view(np.int16).max()]).view(np.float16)
    return float(density.min()), float(density.max())


def spans_of(grid: SubgridGrid, axis: int) -> npt.NDArray[np.int64]:
    """Where the boxes begin and end along an axis, within the volume; int64 (boxes of that axis, 2)."""
    start = grid.core * np.arange(grid.counts_zyx[axis]) - grid.margin
    return np.stack([np.maximum(start, 0), np.minimum(start + grid.box, grid.shape_zyx[axis])], axis=1)


def over_boxes(
    reduce: np.ufunc,
    values: npt.NDArray[Any],
    spans: Sequence[npt.NDArray[np.int64]],
    dtypes: Sequence[Any],
    above: Any = None,
) -> npt.NDArray[Any]:
    """Sum or maximum of the values in each box, (m,) in the order of `starts_zyx`: along z, then y, then x.

    dtypes: of the result along each axis, wide enough for it. above: take whether a value is above this, 1 or 0, in
    place of the value.
    """
    for axis, (span, dtype) in enumerate(zip(spans, dtypes, strict=True)):
        parts = (values[(slice(None),) * axis + (slice(low, high),)] for low, high in span.tolist())
        if above is not None and axis == 0:
            parts = (part > above for part in parts)
        values = np.stack([reduce.reduce(part, axis=axis, dtype=dtype) for part in parts], axis=axis)
    return values.reshape(-1)


def count_in(voxel_zyx: npt.NDArray[np.int32], grid: SubgridGrid, offset: int, size: int) -> npt.NDArray[np.int32]:
    """Points in the cubes of `size` voxels that begin `offset` voxels after each core; int32 (m,)."""
    ends, _ = grid.containing(voxel_zyx, offset, size)
    return np.diff(ends).astype(np.int32)
