"""What differs between the volumes of two versions: densities and label voxels, entry by entry.

Versions may be of different builders: this is how a dataset is held against the published folders of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryodata.build.decoded import Decoder, memory_of
from cryodata.build.export.pieces import threads_for
from cryodata.build.published import in_parallel
from cryodata.build.subset import ROW, Subset, chosen_entries
from cryodata.core.schema import STEP, ArraySpec
from cryodata.core.volume import Volume
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.likeness import (
    DensityLikeness,
    LabelLikeness,
    Voxels,
    density_likeness,
    label_likeness,
    overlap,
)
from cryodata.prepare.narrow import in_steps

ROUNDED = STEP / 2
"largest difference between a density in [0, 1] and what is stored of it as float16"

ALIGNED = 1e-3
"voxels by which two grids may be apart and still be one: float32 rounds a place of 4,000 A by a tenth of it"


@dataclass(frozen=True, slots=True)
class EntryLikeness:
    """What two volumes of one entry have in common."""

    entry_id: str
    grid: str
    "how the second grid differs, in words; empty if it is the same"

    density: DensityLikeness | None
    "None if the grids share no voxel"

    labels: tuple[LabelLikeness, ...]
    "of the labels that both have"

    tolerance: float
    "difference of densities that storage explains: 0 where both are stored in one type, and in the same steps of it"

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        fits = self.density is not None and self.density.largest <= self.tolerance
        return not self.grid and fits and all(label.same for label in self.labels)


@dataclass(frozen=True, slots=True)
class VoxelDifference:
    """Two versions by their volumes."""

    entries: tuple[EntryLikeness, ...]
    "of those that both have, by id"

    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    "ids"

    labels_apart: tuple[str, ...]
    "labels that only one of them has"

    @property
    def same(self) -> bool:
        """Whether both hold the same entries with the same voxels."""
        return not (self.only_first or self.only_second) and all(entry.same for entry in self.entries)


def compare_voxels(
    first: DatasetVersion, second: DatasetVersion, observe: Callable[[int, int], None], subset: Subset | None = None
) -> VoxelDifference:
    """Decode and compare the entries of two versions that have one id. subset: of the first, all if not given.

    Raises DatasetError if one of them is damaged.
    """
    one, other = Decoder(first), Decoder(second)
    rows = {row["entry_id"]: row for row in chosen_entries(first, subset or Subset()).to_pylist()}
    others = {row["entry_id"]: row for row in chosen_entries(second, Subset()).to_pylist()}
    shared = sorted(rows.keys() & others.keys())
    need = max((2 * memory_of(rows[key], one.schema.labels) for key in shared), default=1)
    found = []
    observe(0, len(shared))
    for entry in in_parallel(lambda key: _compare(one, other, rows[key], others[key]), shared, threads_for(need, 0)):
        found.append(entry)
        observe(len(found), len(shared))
    names = [{label.name for label in decoder.schema.labels} for decoder in (one, other)]
    whole = subset is None or subset.whole
    return VoxelDifference(
        tuple(sorted(found, key=lambda entry: entry.entry_id)),
        tuple(sorted(rows.keys() - others.keys())),
        tuple(sorted(others.keys() - rows.keys())) if whole else (),
        tuple(sorted(names[0] ^ names[1])),
    )


def _compare(one: Decoder, other: Decoder, row: Mapping[str, Any], another: Mapping[str, Any]) -> EntryLikeness:
    here, there = one.density(row), other.density(another)
    tolerance = 0.0 if _stored(here) == _stored(there) else ROUNDED
    offset, told = _offset(here, there)
    shared = overlap(here.shape_zyx, there.shape_zyx, offset) if offset is not None else None
    if offset is None or shared is None:
        return EntryLikeness(row["entry_id"], told or "grids that share no voxel", None, (), tolerance)
    density = density_likeness(here.data[shared[0]], there.data[shared[1]])
    voxels = [_named(decoder, item) for decoder, item in ((one, row), (other, another))]
    labels = tuple(
        label_likeness(name, voxels[0][name], (voxels[1][name][0] + offset, voxels[1][name][1]), here.shape_zyx)
        for name in voxels[0]
        if name in voxels[1]
    )
    return EntryLikeness(row["entry_id"], told, density, labels, tolerance)


def _stored(density: Volume) -> tuple[Any, bool]:
    """Its type, and whether it is float16 in steps of STEP: there are versions that have all steps of that type."""
    return density.data.dtype, density.data.dtype == np.float16 and in_steps(density.data, STEP)


def _offset(here: Volume, there: Volume) -> tuple[tuple[int, int, int] | None, str]:
    """Index in the first grid of voxel 0 of the second, None if it lies between voxels; and how the grids differ."""
    if np.abs(here.voxel_size_xyz - there.voxel_size_xyz).max() > ALIGNED * float(here.voxel_size_xyz.min()):
        return None, f"voxels of {_triple(here.voxel_size_xyz)} and {_triple(there.voxel_size_xyz)} A"
    between = here.index_of(there.origin_xyz)
    whole = np.round(between)
    if np.abs(between - whole).max() > ALIGNED:
        apart = there.origin_xyz - here.origin_xyz
        return None, f"grid points {_triple(apart)} A apart, which is no whole voxel"
    z, y, x = (int(value) for value in whole)
    told = []
    if (z, y, x) != (0, 0, 0):
        told.append(f"begins {x}, {y}, {z} voxels further along x, y, z")
    if here.shape_zyx != there.shape_zyx:
        told.append(f"{_triple(here.shape_zyx[::-1])} and {_triple(there.shape_zyx[::-1])} voxels")
    return (z, y, x), "; ".join(told)


def _named(decoder: Decoder, row: Mapping[str, Any]) -> dict[str, Voxels]:
    """Label voxels with the names of their classes: numbers may differ between datasets."""
    found = decoder.label_voxels(row, decoder.points(row[ROW]))
    return {
        array.name: (found[array.name][0], _class_names(array)[found[array.name][1]]) for array in decoder.schema.labels
    }


def _class_names(array: ArraySpec) -> np.ndarray[Any, np.dtype[np.str_]]:
    names = {item.value: item.name for item in array.classes}
    return np.array([names.get(value, str(value)) for value in range(256)], dtype=np.str_)


def _triple(values: Sequence[float] | np.ndarray[Any, Any]) -> str:
    return " x ".join(f"{value:g}" for value in np.asarray(values).tolist())
