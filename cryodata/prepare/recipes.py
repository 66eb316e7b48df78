"""What recipes for map and model differ in: resampling, normalisation, atoms that are labelled, voxel, collisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import ArraySpec, FactSpec, Schema
from cryodata.core.volume import Volume
from cryodata.prepare.arrays import AMINO, ATOM, LABELS, SECONDARY
from cryodata.prepare.band_limited import resample_band_limited
from cryodata.prepare.contour import normalize_refined
from cryodata.prepare.normalize import normalize_published, normalize_released
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
    "from a map, whose memory it may take, and a spacing in A"

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


def _released(density: FloatVolume, contour: float | None) -> tuple[FloatVolume, dict[str, object]]:
    density, percentile = normalize_released(density)
    return density, {"percentile": percentile}


def _refined(density: FloatVolume, contour: float | None) -> tuple[FloatVolume, dict[str, object]]:
    density, scale = normalize_refined(density, contour)
    told = {"baseline": scale.low, "percentile": scale.high, "contour": scale.contour, "contour_source": scale.source}
    return density, told


PUBLISHED = Recipe(
    density="density / 95th percentile of the positive voxels, clipped",
    facts=(
        FactSpec(
            "percentile", "float64", "95th percentile of the positive voxels after resampling, in units of the map"
        ),
    ),
    labels=(ATOM, AMINO, SECONDARY),
    resample=partial(resample, overwrite=True),
    normalize=_published,
)

RELEASED = replace(
    PUBLISHED,
    density="density / 95th percentile of the voxels that are not exactly 0, clipped",
    facts=(
        FactSpec("percentile", "float64", "95th percentile of the non-zero voxels after resampling, units of the map"),
    ),
    normalize=_released,
    collisions="last",
    by_name=True,
)

REFINED = Recipe(
    density="(density - baseline) / (99.9th percentile inside the contour - baseline), clipped",
    facts=(
        FactSpec("percentile", "float64", "99.9th percentile of the voxels inside the contour, units of the map"),
        FactSpec("baseline", "float64", "mean + sd / 2 of the voxels outside the contour, units of the map"),
        FactSpec("contour", "float64", "contour that tells inside from outside, units of the map"),
        FactSpec("contour_source", "string", "entry: recommended level; map: mean + 3 sd after resampling"),
    ),
    labels=tuple(LABELS.values()),
    resample=resample_band_limited,
    normalize=_refined,
    voxel_rule="nearest",
    by_parent=True,
    reads=("contour_level",),
)

RECIPES: Mapping[str, Recipe] = {"published": PUBLISHED, "released": RELEASED, "refined": REFINED}
