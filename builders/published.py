"""published: the folders of Cryo2StructData taken as they are, density and labels, nothing computed anew.

A folder has `emd_normalized_map.mrc` and label maps such as `atom_emd_normalized_map.mrc`; `cryodata export --format
mrc` writes such folders, too. Voxels stay what they are. Where a model lies beside, each labelled voxel takes position,
chain and number from its atom; elsewhere the position is the middle of where the rule of the labels takes atoms from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.build.builder import DENSITY
from cryodata.build.folders import LABELS, read_published_folder
from cryodata.core.entry import Entry, LabelPoints, Sample, Source
from cryodata.core.model import ChainSequence
from cryodata.core.parameters import Parameter, count, one_of, yes_or_no
from cryodata.core.schema import ArraySpec, FactSpec, Schema
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError, UsageError
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import LABELS_BY, MapHeader, read_header
from cryodata.formats.structure import read_structure
from cryodata.formats.tables import reserved_columns
from cryodata.prepare.arrays import AMINO, ATOM, SECONDARY
from cryodata.prepare.labels import VOXEL_RULES, WRITTEN
from cryodata.prepare.unpaint import Painted, recognised, unpainted

FACTS = (
    FactSpec("label_maps", "string", "label maps that the folder has; labels of others are unknown and 0"),
    FactSpec(
        "positions", "string", "model: of atoms of the model where one has the voxel; voxels: middle of the voxels"
    ),
    FactSpec("recognised", "float64", "share of labelled voxels whose atom the model beside has; none without a model"),
    FactSpec("density_mean", "float64", "mean of the density"),
    FactSpec("saturated", "int64", "voxels whose density is exactly 1"),
    FactSpec("n_residues", "int64", "C-alphas that have a voxel"),
)

SAME_PLACE = 1e-3
"A; what density and labels of one entry may be apart: float32 rounds places of 10,000 A by half of it"


class Published:
    """Cryo2StructData as its owners have it."""

    name = "published"
    recipes: Mapping[str, int] = {"as-is": 2}
    parameters: Sequence[Parameter] = (
        DENSITY,
        Parameter("label_volumes", True, yes_or_no, True, "store label volumes for viewers besides the label points"),
        Parameter("label_rule", "floor", one_of("floor", "nearest"), True, "rule by which the labels were placed"),
        Parameter("max_voxels", 2**30, count, True, "largest volume"),
    )

    def schema(self, recipe: str, parameters: Mapping[str, Any]) -> Schema:
        """The labels of cryo2struct, whatever the atoms belong to: the scripts look at their names alone."""
        density = ArraySpec("density", "density", "float32", 0.0, 1.0, "as in the folders")
        labels = tuple(replace(array, kinds=()) for array in (ATOM, AMINO, SECONDARY))
        return Schema((density, *labels), FACTS, parameters["label_rule"], "last")

    def license_of(self, entries: Sequence[Entry]) -> str:
        """Whoever gave the folders knows."""
        return "unknown"

    def entries(self, source: Path | str | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """The folders below a source, or those that its entries.csv lists."""
        if not isinstance(source, Path):
            raise UsageError("published takes folders of this machine: --source DIR")
        return read_published_folder(source, reserved_columns(self.schema("as-is", parameters)))

    def admit(self, entry: Entry, parameters: Mapping[str, Any]) -> None:
        """Refuse what has no labels."""
        if not any(role in LABELS for role in entry.sources):
            names = ", ".join(options[0] for options in LABELS.values())
            raise RejectedError("no_labels", f"beside its density is no map of labels; expected one of {names}")

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """All is in place."""
        return entry

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """Read density and labels; nothing is resampled, normalised or labelled anew."""
        arrays = self.schema(recipe, parameters).labels
        density = _read_density(entry.sources["map"], parameters["max_voxels"])
        volumes = {
            array.name: _read_label(entry.sources[array.name], array, density, parameters["label_rule"])
            for array in (*arrays, CALPHAS)
            if array.name in entry.sources
        }
        names = {array.name: {item.value: item.name for item in array.classes} for array in arrays}
        painted = Painted(volumes, names, parameters["label_rule"])
        points, share, sequences = _placed(painted, density, entry.sources.get("model"))
        facts = {
            "label_maps": " ".join(sorted(volumes)),
            "positions": "voxels" if share is None else "model",
            "recognised": share,
            "density_mean": float(density.data.mean(dtype=np.float64)),
            "saturated": int(np.count_nonzero(density.data == 1.0)),
            "n_residues": int(np.count_nonzero(points.state_ca == WRITTEN)),
        }
        return Sample(density, points, sequences, facts)


CALPHAS = ArraySpec("atom_ca", "label", "uint8", 0, 1, "1 at C-alphas")
"the one map of the folders that is no array of its own: `atom` and the C-alphas of `amino` say it"


def _placed(
    painted: Painted, grid: Volume, source: Source | None
) -> tuple[LabelPoints, float | None, tuple[ChainSequence, ...]]:
    """The points, the share of them that the model has, and its sequences."""
    points = unpainted(painted, grid)
    if not len(points.voxel_zyx):
        raise RejectedError("no_labels", "its label maps are 0 everywhere")
    if source is None:
        return points, None, ()
    structure = read_structure(Path(source.path))
    points, found = recognised(points, structure.model, painted, grid)
    return points, float(found.mean()), structure.sequences


def _read_density(source: Source, max_voxels: int) -> Volume:
    path = Path(source.path)
    header = _header(path, max_voxels)
    volume = source.held.pop() if source.held else read_volume(path, header)
    low, high = float(volume.data.min()), float(volume.data.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RejectedError("not_finite", f"{path.name}: voxels are NaN or infinite; expected numbers")
    if not 0.0 <= low <= high <= 1.0:
        raise RejectedError("not_normalised", f"{path.name}: density is {low:g} to {high:g}; expected 0 to 1")
    if not high > 0:
        raise RejectedError("no_positive_density", f"{path.name}: no voxel is above 0")
    return volume


def _read_label(source: Source, array: ArraySpec, density: Volume, rule: str) -> npt.NDArray[np.uint8]:
    """A label map as uint8 (nz, ny, nx); RejectedError if it is of other voxels or by another rule, or holds anything
    but classes."""
    path = Path(source.path)
    header = _header(path, density.data.size)
    other = next((name for name in VOXEL_RULES if name != rule and LABELS_BY.format(name) in header.notes), "")
    if other:
        raise RejectedError(
            "label_rule", f"{path.name}: labels by the rule {other}; expected {rule} (label_rule={other})"
        )
    if header.shape_zyx != density.shape_zyx:
        found, expected = (" x ".join(map(str, shape)) for shape in (header.shape_zyx, density.shape_zyx))
        raise RejectedError("label_shape", f"{path.name}: {found} voxels; the density has {expected}")
    label = read_volume(path, header)
    apart = np.abs(np.r_[label.origin_xyz - density.origin_xyz, label.voxel_size_xyz - density.voxel_size_xyz])
    if apart.max() > SAME_PLACE:
        raise RejectedError("label_elsewhere", f"{path.name}: up to {apart.max():g} A from where the density is")
    values = label.data
    wrong = ~((values >= 0) & (values <= array.maximum) & (values == np.floor(values)))  # a NaN is not above
    if wrong.any():
        found = f"{int(wrong.sum()):,} voxels such as {values[wrong][0]:g}"
        raise RejectedError("label_values", f"{path.name}: {found}; expected 0 to {array.maximum:g}")
    return values.astype(np.uint8)


def _header(path: Path, max_voxels: int) -> MapHeader:
    header = read_header(path)
    header.check_orthogonal()
    if math.prod(header.shape_zyx) > max_voxels:
        size = " x ".join(map(str, header.shape_zyx))
        raise RejectedError("too_large", f"{path.name}: {size} voxels; at most {max_voxels:,}")
    return header


BUILDER = Published()
