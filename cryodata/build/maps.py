"""The map of an entry: read, and its values and its fit to the models checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.core.entry import Source
from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import MapHeader, read_header
from cryodata.prepare.agreement import mirrored_fit
from cryodata.prepare.quality import FrameFit, Moments, fit_shift, moments, share_outside
from cryodata.prepare.resample import resampled_shape

MIRRORED_FIT = 2.0
"standard deviations; right pairs have 2.0 to 17.5: a refused model that fits so well when mirrored tells of the hand"


def read_map(source: Source, max_voxels: int, spacing: float) -> tuple[Volume, MapHeader]:
    """The map of an entry, with room to resample it in its own memory, and its header. RejectedError for a skewed,
    unreadable or too large one."""
    path = Path(source.path)
    header = read_header(path)
    header.check_orthogonal()
    shape = resampled_shape(header.shape_zyx, header.voxel_size_xyz, spacing)
    if math.prod(shape) > max_voxels:
        size = " x ".join(map(str, shape))
        raise RejectedError("too_large", f"{path.name}: {size} voxels at {spacing:g} A; at most {max_voxels:,}")
    if min(shape) < 1:
        raise RejectedError("unreadable_map", f"{path.name}: smaller than one voxel of {spacing:g} A")
    return source.held.pop() if source.held else read_volume(path, header, math.prod(shape)), header


def checked_moments(volume: Volume, header: MapHeader) -> Moments:
    """Mean and standard deviation. RejectedError `not_finite` or `no_positive_density`."""
    found = moments(volume.data)
    if not (math.isfinite(found.mean) and math.isfinite(found.sd)):
        bad = int(np.count_nonzero(~np.isfinite(volume.data)))
        found_bad = f"{bad:,} of {volume.data.size:,} voxels are NaN or infinite"
        raise RejectedError("not_finite", f"{header.file_name}: {found_bad}; expected numbers")
    if not any(plane.max() > 0 for plane in volume.data):
        raise RejectedError("no_positive_density", f"{header.file_name}: no voxel is above 0")
    return found


def checked_fit(
    volume: Volume, ca_xyz: FloatArray, frame: FrameFit, map_moments: Moments, parameters: Mapping[str, Any]
) -> float:
    """Share of rigid shifts that fit worse. RejectedError `model_outside_map` or `model_does_not_fit`."""
    outside = share_outside(volume, ca_xyz)
    if outside > 0.5:
        found = f"{outside:.0%} of {len(ca_xyz)} C-alphas lie outside the map"
        raise RejectedError("model_outside_map", f"{found}, in whichever frame; expected half at most")
    shift = fit_shift(volume, ca_xyz, map_moments)
    if frame.fit < parameters["min_fit"] and shift < parameters["min_fit_shift"]:
        mirrored, axis = mirrored_fit(volume, ca_xyz, map_moments)
        hand = f"; the map turned round along {axis} has {mirrored:.2f} sd: is its hand right?"
        raise RejectedError(
            "model_does_not_fit",
            f"density at the C-alphas is {frame.fit:.2f} sd above the mean and {shift:.0%} of shifts fit worse; "
            f"expected {parameters['min_fit']:g} sd or {parameters['min_fit_shift']:.0%}"
            + (hand if mirrored >= max(MIRRORED_FIT, frame.fit + 1) else ""),
        )
    return shift
