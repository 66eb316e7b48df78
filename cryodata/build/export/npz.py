"""Sub-grids as the published training scripts read them.

DIR/train_sub_grids/EMD-3488_0.npz   compressed; protein_grid, atom_grid, amino_grid, float64 (32, 32, 32) each
DIR/valid_sub_grids/...
DIR/train_splits.txt  valid_splits.txt   names of the files, one a line
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cryodata.build.export import Chosen, Layout, grids

KEYS = ("protein_grid", "atom_grid", "amino_grid")
"names in an archive: of the density, and of the labels atom and amino"

SHARE = 0.2
"""Of the float64 bytes, what compression leaves, an upper estimate: 0.13 where noise is in every voxel
(benchmarks/results/readers.json)."""

ADVICE = "DATASET_DIR of the published training scripts is {folder}"


def lay_out(chosen: Chosen) -> Layout:
    """A piece an entry, and a list a split."""
    raw = 8 * chosen.decoder.opened.manifest.box**3 * len(KEYS)
    kind = grids.Kind(
        layout="npz",
        labels=("atom", "amino"),
        place="{split}_sub_grids/{entry}_{number}.npz",
        listed="{entry}_{number}.npz",
        window_bytes=round(SHARE * raw) + 1024,
        save=_save,
    )
    return grids.lay_out(chosen, kind, ADVICE)


def _save(path: Path, arrays: list[npt.NDArray[np.float64]]) -> None:
    with open(path, "wb") as file:  # entries carry no time: the same arrays give the same bytes
        np.savez_compressed(file, **dict(zip(KEYS, arrays, strict=True)))  # type: ignore[arg-type]
