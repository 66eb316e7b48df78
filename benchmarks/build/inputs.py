"""Simulated maps of the sizes that archives hold, with models: the same for everybody who is measured."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from isal import igzip

from cryodata.core.volume import Volume
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import write_mmcif
from cryodata.prepare.merge import chain_names, merged
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein

CHAINS, RESIDUES, RADIUS = 2, 225, 44.0
"of the protein that models are made of: 450 residues in a sphere, A"

RESOLUTION, MARGIN = 3.0, 6.0
"A"

NOISE = 0.1
"standard deviation of the noise in every voxel, as a share of the density's"

LEVEL = 6
"of gzip"


@dataclass(frozen=True)
class Size:
    """One of the maps."""

    voxels: int
    "a side"

    spacing: float
    "A"

    copies: int
    "of the protein, on a lattice"

    @property
    def name(self) -> str:
        """As files and rows are named."""
        return f"{self.voxels}-{self.spacing}"


SIZES = (Size(300, 0.727, 1), Size(353, 0.85, 4), Size(400, 1.06, 9))
"218, 300 and 424 voxels of 1 A after resampling; 450, 1,800 and 4,050 residues"


def make(folder: Path, size: Size) -> tuple[Path, Path]:
    """Map (.map.gz) and model (.cif), made unless they are there."""
    map_path, model_path = folder / f"{size.name}.map.gz", folder / f"{size.name}.cif"
    if map_path.exists() and model_path.exists():
        return map_path, model_path
    folder.mkdir(parents=True, exist_ok=True)
    one = random_protein(1, chains=CHAINS, residues=RESIDUES, radius=RADIUS)
    tile = density_of(one, resolution=RESOLUTION, voxel_size=size.spacing, margin=MARGIN)
    nz, ny, nx = tile.shape_zyx
    data = np.zeros((size.voxels,) * 3, dtype=np.float32)
    models = []
    per_axis = size.voxels // max(nz, ny, nx)
    for place in list(product(range(per_axis), repeat=3))[: size.copies]:
        z, y, x = (index * (size.voxels // per_axis) + 2 for index in place)
        data[z : z + nz, y : y + ny, x : x + nx] += tile.data
        shift = np.array([x, y, z]) * size.spacing - tile.origin_xyz
        models.append(replace(one, xyz=one.xyz + shift))
    if len(models) < size.copies:
        raise ValueError(f"{size.name}: room for {len(models)} of {size.copies} copies")
    noise = np.random.Generator(np.random.PCG64(size.voxels)).standard_normal(data.shape, dtype=np.float32)
    data += np.float32(NOISE * data.std()) * noise
    model = merged(models, chain_names([sorted(set(item.chain.tolist())) for item in models]))
    write_mmcif(model_path, model, size.name)
    plain = folder / "plain.map.gz"
    write_map(plain, Volume(data, np.full(3, size.spacing), np.zeros(3)))
    # zlib's own level 6: what archives serve, and what takes longest to inflate
    with (
        igzip.open(plain, "rb") as unpacked,
        map_path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=LEVEL, mtime=0) as packed,
    ):
        while piece := unpacked.read(1 << 24):
            packed.write(piece)
    plain.unlink()
    return map_path, model_path
