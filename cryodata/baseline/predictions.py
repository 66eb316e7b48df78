"""Reading what `cryodata predict` wrote: probabilities of a map, voxel by voxel, and where they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.volumes import open_channels

PREDICTION, PROBABILITIES = "prediction.json", "probabilities.zarr"
FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A prediction; arrays are read when they are asked for."""

    folder: Path
    told: dict[str, Any]
    "all of prediction.json"

    origin_xyz: FloatArray
    "centre of voxel (0, 0, 0), A"

    voxel_size_xyz: FloatArray
    "A"

    classes: dict[str, tuple[str, ...]]
    "of each head, the background first; the place of a class is its channel"

    label_offset_xyz: FloatArray
    "A to add to positions: what the label rule of training moved the labels by"

    arrays: dict[str, Any]
    "`density` (nz, ny, nx) and each head (channels, nz, ny, nx), float16, indexed as NumPy arrays"

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels."""
        nz, ny, nx = self.arrays["density"].shape
        return nz, ny, nx

    def channel(self, head: str, number: int) -> Volume:
        """One channel, float32: `channel("atom", 1)` is the probability of a C-alpha. UsageError if not there."""
        self._check(head)
        if not 0 <= number < len(self.classes[head]):
            raise UsageError(f"{head} has {len(self.classes[head])} channels; found {number}")
        return Volume(self.arrays[head][number].astype(np.float32), self.voxel_size_xyz, self.origin_xyz)

    def density(self) -> Volume:
        """The density that the network saw, float32 in [0, 1]."""
        return Volume(self.arrays["density"][:].astype(np.float32), self.voxel_size_xyz, self.origin_xyz)

    def at(self, head: str, index_zyx: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Probabilities (n, classes) at voxels (n, 3), float32; reads one channel at a time."""
        self._check(head)
        z, y, x = np.asarray(index_zyx, dtype=np.int64).reshape(-1, 3).T
        array = self.arrays[head]
        channels = [array[number][z, y, x] for number in range(array.shape[0])]
        return np.stack(channels, axis=1).astype(np.float32)

    def _check(self, head: str) -> None:
        if head not in self.classes:
            raise UsageError(f"{self.folder} has no head '{head}'; found: {', '.join(self.classes)}")


def open_prediction(folder: Path) -> Prediction:
    """Open what `cryodata predict` wrote. UsageError if the folder holds none, DatasetError if it can't be read."""
    path = folder / PREDICTION
    if not path.is_file():
        raise UsageError(f"{folder} holds no {PREDICTION}; expected a folder that `cryodata predict --out` made")
    try:
        told = json.loads(path.read_bytes())
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}; this cryodata reads {FORMAT}")
        arrays, _ = open_channels(folder / PROBABILITIES)
        classes = {name: tuple(names) for name, names in told["classes"].items()}
        missing = classes.keys() - arrays.keys()
        if missing:
            raise ValueError(f"no array {', '.join(sorted(missing))}")
        numbers = (np.asarray(told[key], dtype=np.float64) for key in ("origin_xyz", "voxel_size_xyz"))
        origin, voxel_size = numbers
        offset = np.asarray(told["label_offset_xyz"], dtype=np.float64)
        return Prediction(folder, told, origin, voxel_size, classes, offset, arrays)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DatasetError(f"{folder}: no readable prediction ({error}); make it again") from None
