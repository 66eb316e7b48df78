"""simulated: maps of protein-like models that cryodata makes itself, for demonstrations, tests and examples.

Models grow from backbone torsion angles, densities come from electron scattering factors with noise; both are written
as real `.map.gz` and `.cif` files below the dataset's folder and go through the recipe of cryo2struct. No network, no
data, no licence to mind (CC0).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryodata.build.archive import FILTERS
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry, Source
from cryodata.core.layout import canonical_json
from cryodata.core.parameters import Parameter, count, number
from cryodata.core.splits import TRAIN, VALIDATION
from cryodata.errors import UsageError
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import write_mmcif
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein

from .cryo2struct import Cryo2Struct

REVISION = 1
"raised whenever the same settings give other files"

RADIUS, MARGIN = 40.0, 16.0
"A; of the sphere that a model keeps to, and between it and the faces of the map: maps of about 100 A"

VALIDATION_EVERY = 4
"every fourth map is held out: 6 train and 2 validation of 8"

MODEL_SETTINGS = ("residues", "resolution", "voxel_size", "noise", "map_seed")


class Simulated(Cryo2Struct):
    """Simulated input, the recipe of cryo2struct."""

    name = "simulated"
    parameters = (
        *(item for item in Cryo2Struct.parameters if item not in FILTERS),
        Parameter("maps", 8, count, False, "number of maps"),
        Parameter("residues", 240, count, False, "residues of each model, in two chains"),
        Parameter("resolution", 3.0, number, False, "A"),
        Parameter("voxel_size", 1.06, number, False, "A, of the maps before they are resampled"),
        Parameter("noise", 0.3, number, False, "standard deviation of the noise, as a share of the density's"),
        Parameter("map_seed", 0, count, False, "seed of models and noise"),
    )

    def license_of(self, entries: Sequence[Entry]) -> str:
        """Nobody's but our own."""
        return "CC0-1.0"

    def entries(self, source: Path | str | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """As many as asked for; their files are made when they are fetched."""
        if source is not None:
            raise UsageError("simulated makes its own input and takes no --source")
        settings = {"revision": REVISION, **{name: parameters[name] for name in MODEL_SETTINGS}}
        place = folder / "source" / hashlib.sha256(canonical_json(settings)).hexdigest()[:12]
        return [
            Entry(
                entry_id=f"SIM-{number:05d}",
                resolution=parameters["resolution"],
                sources={
                    "map": Source(str(place / f"SIM-{number:05d}.map.gz")),
                    "model": Source(str(place / f"SIM-{number:05d}.cif")),
                },
                split=VALIDATION if number % VALIDATION_EVERY == 0 else TRAIN,
            )
            for number in range(1, parameters["maps"] + 1)
        ]

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """Make the map and the model, unless they are there."""
        map_path, model_path = Path(entry.sources["map"].path), Path(entry.sources["model"].path)
        if map_path.exists() and model_path.exists():
            return entry
        seed = parameters["map_seed"] * 100_000 + int(entry.entry_id.removeprefix("SIM-"))
        model = random_protein(seed, chains=2, residues=parameters["residues"] // 2, radius=RADIUS)
        density = density_of(
            model,
            resolution=parameters["resolution"],
            voxel_size=parameters["voxel_size"],
            margin=MARGIN,
            noise=parameters["noise"],
            seed=seed,
        )
        map_path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(map_path.parents[2]) as temporary:
            write_mmcif(temporary / "model", model, entry.entry_id)
            write_map(temporary / "map", density)
            os.replace(temporary / "model", model_path)
            os.replace(temporary / "map", map_path)  # last: its presence says that both are whole
        return entry


BUILDER = Simulated()
