# requires: zarr zarrs tensorstore
"""Random access to chunked Zarr volumes: a sub-grid is cut from up to eight chunks of three arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import torch
import zarr

from benchmarks.read.harness import Case, MapStyle, Setup
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch, Input

CHUNK = 64

CACHE = 2_000_000_000
"bytes of decoded chunks that tensorstore may keep"

STEP = np.float32(2.0**-10)
"density is stored as numbers of it"


def write(opened: Input, maps: int, folder: Path) -> None:
    """Zarr 3, density as numbers of steps, chunks of 64 cubed in one shard, density by blosc's lz4, labels by zstd: as
    cryodata stores them."""
    for number in range(maps):
        for key, value in opened.volume(number).items():
            stored = np.rint(value / STEP).astype(np.uint16) if key == "density" else value
            shuffled = zarr.codecs.BloscCodec(typesize=2, cname="lz4", clevel=9, shuffle="shuffle")
            sides = tuple(-(-n // CHUNK) * CHUNK for n in stored.shape)
            array = zarr.create_array(
                folder / f"{key}-{number}.zarr",
                shape=stored.shape,
                dtype=stored.dtype,
                chunks=(CHUNK,) * 3,
                shards=sides,
                compressors=shuffled if key == "density" else zarr.codecs.ZstdCodec(level=1),
            )
            array[...] = stored


class Volumes(torch.utils.data.Dataset[Any]):
    """Sub-grids by number, a batch at a time."""

    def __init__(self, setup: Setup, library: str) -> None:
        self.setup, self.library = setup, library

    def __len__(self) -> int:
        return self.setup.input.count(self.setup.maps)

    @cached_property
    def arrays(self) -> list[dict[str, Any]]:
        """Opened on first use, in the process that reads."""
        if self.library == "zarrs":
            zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1})
        elif self.library == "zarr":
            zarr.config.set({"threading.max_workers": 1})
        context = tensorstore.Context(
            {
                "cache_pool": {"total_bytes_limit": CACHE if self.library == "tensorstore-cache" else 0},
                "data_copy_concurrency": {"limit": 1},
                "file_io_concurrency": {"limit": 1},
            }
        )
        return [
            {key: self._open(self.setup.folder / f"{key}-{number}.zarr", context) for key in ARRAYS}
            for number in range(self.setup.maps)
        ]

    def _open(self, path: Path, context: Any) -> Any:
        if self.library in ("zarr", "zarrs"):
            return zarr.open_array(path, mode="r")
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
        # cached metadata and chunks are held to be right once opened: nothing is asked of the disk again
        return tensorstore.open(spec, open=True, context=context, recheck_cached_data="open").result()

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        places = [self.setup.input.place(number) for number in numbers]
        batch = {}
        for key, dtype in ARRAYS.items():
            cubes = np.empty((len(numbers), *(self.setup.input.box,) * 3), dtype=dtype)
            if self.library in ("zarr", "zarrs"):
                for cube, (volume, cut) in zip(cubes, places, strict=True):
                    cube[...] = self.arrays[volume][key][cut]
            else:  # all of a batch at once
                asked = [self.arrays[volume][key][cut].read() for volume, cut in places]
                for cube, found in zip(cubes, asked, strict=True):
                    cube[...] = found.result()
            if key == "density":
                cubes *= STEP
            batch[key] = torch.from_numpy(cubes)
        return batch


def as_it_is(batch: Any) -> Any:
    """The batch was made whole."""
    return batch


def _case(name: str, library: str, reads: str = "read") -> Case:
    return Case(name, lambda s: MapStyle(Volumes(s, library), s, as_it_is), write, "volumes", reads=reads)


CASES = (
    _case("zarr-python, random crops", "zarr"),
    _case("zarrs, random crops", "zarrs"),
    _case("tensorstore, random crops", "tensorstore"),
    _case("tensorstore, random crops, all decoded chunks kept", "tensorstore-cache", reads="memory"),
)

if __name__ == "__main__":
    main(CASES, ("zarr", "zarrs", "tensorstore"))
