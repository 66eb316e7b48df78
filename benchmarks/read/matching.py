"""Where in the maps a crop at a random position comes from."""

from __future__ import annotations

import numpy as np

from benchmarks.read.source import ARRAYS, Arrays, Batch, Input, plain


def crops_found(opened: Input, batch: Batch, maps: int) -> list[tuple[int, int]]:
    """Map and place of every sample of a batch, found by its values. Raises ValueError if one is nowhere.

    A crop without a value between 0 and 1 says nothing of its place: it counts as found at place -1.
    """
    volumes = [opened.volume(number) for number in range(maps)]
    values = {key: plain(batch[key], key) for key in ARRAYS}
    found = []
    for sample in range(len(values["density"])):
        own = {key: value[sample] for key, value in values.items()}
        found.append(_place(volumes, own, sample))
    return found


def _place(volumes: list[Arrays], own: Arrays, sample: int) -> tuple[int, int]:
    density = own["density"]
    told = np.flatnonzero((density > 0) & (density < 1))
    if not len(told):
        return 0, -1
    probes = told[np.linspace(0, len(told) - 1, 4).astype(int)]
    for number, volume in enumerate(volumes):
        shape = volume["density"].shape
        offsets = np.array([np.ravel_multi_index(np.unravel_index(probe, density.shape), shape) for probe in probes])
        flat = volume["density"].reshape(-1)
        places = np.flatnonzero(flat == density.reshape(-1)[probes[0]]) - offsets[0]
        for probe, offset in zip(probes[1:], offsets[1:], strict=True):
            places = places[(places >= 0) & (places + offset < len(flat))]
            places = places[flat[places + offset] == density.reshape(-1)[probe]]
        for place in places.tolist():
            start = np.unravel_index(place, shape)
            cut = tuple(slice(int(i), int(i) + side) for i, side in zip(start, density.shape, strict=True))
            if all(np.array_equal(volume[key][cut], own[key]) for key in ARRAYS):
                return number, place
    raise ValueError(f"sample {sample} is no crop of the maps")
