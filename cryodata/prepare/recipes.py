"""What recipes for map and model differ in: resampling, normalisation, atoms that are labelled, voxel, collisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import ArraySpec, FactSpec, Schema
from cryodata.core.volume import Volume
from cryodata.prepare.arrays import AMINO, ATOM, LABELS, SECONDARY
from cryodata.prepare.normalize import normalize_published
from cryodata.prepare.resample import resample

FloatVolume = npt.NDArray[np.float32]

Normalize = Callable[[FloatVolume, float | None], tuple[FloatVolume, dict[str, object]]]
"from a resampled map, which it overwrites, and the contour level, if known, to density and the facts of it"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way from a map and a model to a sample."""

    density: str
    "what the density is, for the card"

    facts: tuple[FactSpec, ...]
    "what `normalize` tells"

    labels: tuple[ArraySpec, ...]
    "label arrays, unless the user asks for other ones"

    resample: Callable[[Volume, float], Volume]
    normalize: Normalize

    voxel_rule: str = "floor"
    collisions: str = "first"

    by_name: bool = False
    "whether every atom named N, CA or C is labelled, of whatever it is, in each model of the file"

    by_parent: bool = False
    "whether the type of a modified residue is that of its parent"

    reads: tuple[str, ...] = ()
    "fields of the entry that it looks at, besides its files"

    def schema(self, facts: tuple[FactSpec, ...], labels: str) -> Schema:
        """What a sample holds. labels: names with commas between, `all`, or `default`."""
        density = ArraySpec("density", "density", "float32", 0.0, 1.0, self.density)
        arrays = self.labels
        if labels != "default":
            arrays = tuple(LABELS[name] for name in (LABELS if labels == "all" else labels.split(",")))
        arrays = tuple(self._as_wanted(array) for array in arrays)
        return Schema((density, *arrays), (*facts, *self.facts), self.voxel_rule, self.collisions)

    def _as_wanted(self, array: ArraySpec) -> ArraySpec:
        if array.name == "amino" and self.by_parent:
            text = "residue type, at the C-alpha; modified residues by their parent, others are 0"
            array = replace(array, column="parent", description=text)
        if self.by_name and array.name in ("atom", "amino", "secondary"):
            array = replace(array, kinds=(), description=f"{array.description} (atoms by their names alone)")
        return array


def _published(density: FloatVolume, contour: float | None) -> tuple[FloatVolume, dict[str, object]]:
    density, percentile = normalize_published(density)
    return density, {"percentile": percentile}


PUBLISHED = Recipe(
    density="density / 95th percentile of the positive voxels, clipped",
    facts=(
        FactSpec(
            "percentile", "float64", "95th percentile of the positive voxels after resampling, in units of the map"
        ),
    ),
    labels=(ATOM, AMINO, SECONDARY),
    resample=resample,
    normalize=_published,
)

RECIPES: Mapping[str, Recipe] = {"published": PUBLISHED}
