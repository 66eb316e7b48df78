"""Bringing densities of all maps to one scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.errors import RejectedError

PERCENTILE = 95.0
"of the positive voxels (Cryo2StructData paper)"


def normalize_published(density: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Divide by the 95th percentile of the positive voxels and clip to [0, 1].

    density: float32 (nz, ny, nx); it is overwritten. Returns the same array and the percentile.
    Raises RejectedError `no_positive_density` if no voxel is above 0.
    """
    positive = density[density > 0]
    if not len(positive):
        raise RejectedError("no_positive_density", "no voxel of the map is above 0")
    divisor = np.float32(np.percentile(positive, PERCENTILE, overwrite_input=True))
    np.divide(density, divisor, out=density)
    np.clip(density, 0.0, 1.0, out=density)
    return density, float(divisor)
