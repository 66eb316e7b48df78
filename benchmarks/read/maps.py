"""Simulated maps of 200 to 300 A a side, as many as asked for: a builder that the benchmark of readers feeds on.

`simulated` makes maps of about 100 A. Here eight proteins of it stand in a cube, at the corners of a smaller one, in a
map of a given side; everything else is its recipe. Growing a protein takes seconds, so a few are grown and turned, and
`distinct` maps are stored under `maps` ids.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from cryodata_builders.cryo2struct import Cryo2Struct
from cryodata_builders.simulated import Simulated

from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry, Sample, Source
from cryodata.core.layout import canonical_json
from cryodata.core.model import AtomicModel
from cryodata.core.parameters import Parameter, count
from cryodata.core.splits import TRAIN
from cryodata.core.volume import Volume
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import write_mmcif
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import CHAIN_NAMES, random_protein

GROWN, RESIDUES, RADIUS = 4, 180, 36.0
"proteins that are grown, residues of each (in two chains), and A of the sphere that each keeps to"

MARGIN, RESOLUTION, VOXEL_SIZE, NOISE = 16.0, 3.0, 1.06, 0.3
"A between the atoms and the faces of the map, A, A, and standard deviation of the noise as a share of the density's"


class Maps(Simulated):
    """Large simulated maps, the recipe of cryo2struct."""

    name = "benchmark_maps"
    parameters = (
        *Cryo2Struct.parameters,
        Parameter("maps", 12, count, False, "number of ids"),
        Parameter("distinct", 12, count, False, "number of different maps behind them"),
        Parameter("side", 256, count, False, "A, of every map"),
    )

    def entries(self, source: Path | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """As many as asked for, the copies of a map one after the other."""
        settings = [GROWN, RESIDUES, RADIUS, parameters["side"]]
        place = folder / "source" / hashlib.sha256(canonical_json(settings)).hexdigest()[:12]
        made = []
        for number in range(parameters["maps"]):
            entry_id = f"BENCH-{number:05d}"
            map_path = place / f"{number * parameters['distinct'] // parameters['maps']:03d}.map.gz"
            # a model of its own, by its name: two entries with the same files are refused
            files = {"map": Source(str(map_path)), "model": Source(str(place / f"{entry_id}.cif"))}
            made.append(Entry(entry_id, resolution=RESOLUTION, sources=files, split=TRAIN))
        return made

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """Make the map and the model, unless they are there."""
        map_path, model_path = Path(entry.sources["map"].path), Path(entry.sources["model"].path)
        if map_path.exists() and model_path.exists():
            return entry
        model, density = simulate(int(map_path.name.split(".")[0]), parameters["side"])
        map_path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(map_path.parents[2]) as temporary:
            write_mmcif(temporary / "model", model, entry.entry_id)
            os.replace(temporary / "model", model_path)
            if not map_path.exists():
                write_map(temporary / "map", density)
                os.replace(temporary / "map", map_path)
        return entry

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """The sample of a map; the next id of the same map gets the same one."""
        key = (entry.sources["map"].path, recipe, tuple(sorted(parameters.items())))
        if self._last is None or self._last[0] != key:
            self._last = (key, super().make(entry, recipe, parameters))
        return self._last[1]

    _last: tuple[Any, Sample] | None = None
    "the map that was made last, and its sample"


@lru_cache(maxsize=1)  # several ids of one map follow each other
def simulate(number: int, side: int) -> tuple[AtomicModel, Volume]:
    """Eight proteins, each turned and at a corner of a cube, and their map of `side` A."""
    rng = np.random.Generator(np.random.PCG64(number))
    apart = side / 2 - MARGIN - RADIUS
    if apart < 0:
        raise ValueError(f"side={side} A; expected at least {2 * (MARGIN + RADIUS):g}, the room of one protein")
    parts = []
    for corner in product((-1.0, 1.0), repeat=3) if apart >= RADIUS else [(0.0, 0.0, 0.0)]:
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        part = _grown(int(rng.integers(GROWN)))
        xyz = part.xyz @ (turn * np.linalg.det(turn)) + apart * np.array(corner)
        parts.append(replace(part, xyz=np.round(xyz, 3)))
    model = _joined(parts)
    extent = float(np.ptp(model.xyz, axis=0).min())
    made = density_of(
        model, resolution=RESOLUTION, voxel_size=VOXEL_SIZE, margin=(side - extent) / 2 + 4, noise=NOISE, seed=number
    )
    size = round(side / VOXEL_SIZE)
    first_zyx = [(n - size) // 2 for n in made.shape_zyx]
    data = made.data[tuple(slice(first, first + size) for first in first_zyx)]
    origin_xyz = made.origin_xyz + np.array(first_zyx[::-1]) * VOXEL_SIZE
    return model, Volume(np.ascontiguousarray(data), made.voxel_size_xyz, origin_xyz)


@lru_cache(maxsize=GROWN)
def _grown(seed: int) -> AtomicModel:
    return random_protein(seed, chains=2, residues=RESIDUES // 2, radius=RADIUS)


def _joined(parts: Sequence[AtomicModel]) -> AtomicModel:
    """One model of several, its chains named anew."""
    columns: dict[str, Any] = {
        column.name: np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(AtomicModel)
    }
    first = np.cumsum([0, *(int(part.position.max()) + 1 for part in parts)])
    columns["position"] = np.concatenate([part.position + first[i] for i, part in enumerate(parts)]).astype(np.int32)
    names = [np.where(part.chain == "A", CHAIN_NAMES[2 * i], CHAIN_NAMES[2 * i + 1]) for i, part in enumerate(parts)]
    columns["chain"] = np.concatenate(names)
    return AtomicModel(**columns)


BUILDER = Maps()
