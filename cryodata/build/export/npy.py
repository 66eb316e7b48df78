"""Sub-grids as the published preparation writes them, and its prediction reads them.

DIR/density_map_splits/EMD-3488/EMD-3488_0.npy   two arrays one after the other: density, then atom labels,
                                                 float64 (32, 32, 32) each, for two calls of np.load
DIR/train_splits.txt  valid_splits.txt           paths below density_map_splits, one a line
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cryodata.build.export import Chosen, Layout, grids

FOLDER = "density_map_splits"

HEADER_BYTES = 128
"of an array in a .npy file"

ADVICE = "test_data_splits_dir of the published prediction is {folder}/density_map_splits"


def lay_out(chosen: Chosen) -> Layout:
    """A piece an entry, and a list a split."""
    kind = grids.Kind(
        layout="npy",
        labels=("atom",),
        place=f"{FOLDER}/{{entry}}/{{entry}}_{{number}}.npy",
        listed="{entry}/{entry}_{number}.npy",
        window_bytes=2 * (8 * chosen.decoder.opened.manifest.box**3 + HEADER_BYTES),
        save=_save,
    )
    return grids.lay_out(chosen, kind, ADVICE)


def _save(path: Path, arrays: list[npt.NDArray[np.float64]]) -> None:
    with open(path, "wb") as file:
        for array in arrays:
            np.save(file, array)
