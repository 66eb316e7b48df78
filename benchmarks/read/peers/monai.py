# requires: monai
"""MONAI: cached volumes and RandSpatialCropSamplesd."""

from __future__ import annotations

from collections.abc import Iterator

import monai.data
import torch
from monai.transforms import RandSpatialCropSamplesd

from benchmarks.read.harness import Case, Loader, Setup, data_loader
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch

PER_VOLUME = 16
"crops of a volume in a batch: four volumes make one"


class Crops(Loader):
    """The documented way: CacheDataset, several crops of a volume at a time, list_data_collate."""

    resumes = "none"

    def __init__(self, setup: Setup, metadata: bool) -> None:
        monai.data.set_track_meta(metadata)
        self.setup = setup
        volumes = []
        for number in range(setup.maps):
            volume = setup.input.volume(number, mapped=False)
            volumes.append({key: torch.from_numpy(volume[key])[None] for key in ARRAYS})
        per_volume = max(1, setup.input.count(setup.maps) // PER_VOLUME // setup.maps)
        crop = RandSpatialCropSamplesd(list(ARRAYS), setup.input.box, PER_VOLUME, random_size=False)
        self.data = monai.data.CacheDataset(volumes * per_volume, crop, copy_cache=False, progress=False)

    def epoch(self, number: int) -> Iterator[Batch]:
        """As many crops as the grid has sub-grids."""
        volumes = max(1, self.setup.batch // PER_VOLUME)
        for batch in data_loader(
            self.data, self.setup.workers, batch_size=volumes, shuffle=True, collate_fn=monai.data.list_data_collate
        ):
            yield {key: _plain(batch[key]) for key in ARRAYS}


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without MONAI's metadata."""
    return value.as_tensor() if hasattr(value, "as_tensor") else value


CASES = (
    Case("MONAI CacheDataset, random crops", lambda s: Crops(s, False), reads="memory", crops=True),
    Case("MONAI CacheDataset, with metadata", lambda s: Crops(s, True), reads="memory", crops=True, workers=(0,)),
)

if __name__ == "__main__":
    main(CASES, ("monai",))
