"""A label as the volume that its atoms give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.schema import ArraySpec
from cryodata.prepare.labels import label_voxels, painted


def volume_of(array: ArraySpec, points: LabelPoints, shape_zyx: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    return painted(label_voxels(array, points.columns, points.voxel_zyx), shape_zyx)
