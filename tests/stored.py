"""What zarr-python finds in a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def values(array: Any) -> npt.NDArray[Any]:
    """The values of an array that zarr opened: numbers times the scale factor, by the CF conventions, if it has one."""
    scale = array.attrs.get("scale_factor")
    stored = np.asarray(array[...])
    return stored if scale is None else (stored * np.float64(scale)).astype(np.float32)
