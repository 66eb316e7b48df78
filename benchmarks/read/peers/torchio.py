# requires: torchio
"""TorchIO: a Queue of patches at random positions, volumes held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torchio

from benchmarks.read.harness import Case, Loader, Setup
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch

QUEUE, PER_VOLUME = 512, 64
"patches of the queue, and how many of one volume before another one comes"


class Patches(Loader):
    """The documented way: subjects, a uniform sampler, a queue, a loader without workers of its own."""

    resumes = "none"

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        subjects = []
        for number in range(setup.maps):
            volume = setup.input.volume(number, mapped=False)
            images: dict[str, Any] = {"density": torchio.ScalarImage(tensor=torch.from_numpy(volume["density"])[None])}
            for key in ("atom", "amino"):
                images[key] = torchio.LabelMap(tensor=torch.from_numpy(volume[key])[None])
            subjects.append(torchio.Subject(**images))
        self.subjects = torchio.SubjectsDataset(subjects)

    def epoch(self, number: int) -> Iterator[Batch]:
        """As many patches as the grid has sub-grids."""
        per_epoch = self.setup.input.count(self.setup.maps)
        queue = torchio.Queue(
            torchio.SubjectsDataset(self.subjects._subjects * max(1, per_epoch // PER_VOLUME // self.setup.maps)),
            max_length=QUEUE,
            samples_per_volume=PER_VOLUME,
            sampler=torchio.UniformSampler(self.setup.input.box),
            num_workers=self.setup.workers,
            start_background=False,
        )
        make = getattr(torchio, "SubjectsLoader", torch.utils.data.DataLoader)
        for batch in make(queue, batch_size=self.setup.batch, num_workers=0, drop_last=True):
            yield {key: batch[key][torchio.DATA] for key in ARRAYS}


CASES = (Case("TorchIO Queue", Patches, maps=4, reads="memory", crops=True),)

if __name__ == "__main__":
    main(CASES, ("torchio",))
