"""Does the model lie in the map? Frames, fit and the share of atoms outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops
from cryodata.core.volume import FloatArray, Volume

FRAME_ORDER = ("nstart", "origin", "zero", "sum")
"order in which frames are tried when the header's own does not fit"

GOOD_FIT = 1.0
"standard deviations; right pairs have 2.0 to 17.5, wrong ones about 0"

LANES = 16
"sums that are made side by side, each of every 16th value: as many as a processor adds at once"

SHIFTS = 100
SHIFT_RANGE = (5.0, 15.0)
"A; length of the rigid shifts that a true fit must beat"


@dataclass(frozen=True, slots=True, eq=False)
class FrameFit:
    """Where the map lies, judged by its model."""

    frame: str
    "origin, nstart, zero or sum"

    origin_xyz: FloatArray
    "position of voxel 0, A"

    fit: float
    "fit of the model there"

    fits: dict[str, float]
    "fit in every frame that was tried"


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of a whole map, as read."""

    mean: float
    sd: float


def moments(data: npt.NDArray[np.float32]) -> Moments:
    """Mean and standard deviation in float64; NaN or infinite if any value is."""
    sums = np.zeros((len(data), 2, LANES))
    compiled = loops("cryodata.prepare.volume_kernels")
    sum_up = _sum_powers if compiled is None else compiled.sum_powers
    with np.errstate(invalid="ignore", over="ignore"):  # infinities: the caller refuses the map
        middle = np.ascontiguousarray(data[len(data) // 2]).reshape(-1)
        sum_up(middle, 0.0, sums[0])
        base = float(sums[0, 0].sum() / len(middle))  # a mean far from 0 takes no digits from the squares
        for plane, both in zip(data, sums, strict=True):
            sum_up(np.ascontiguousarray(plane).reshape(-1), base, both)
        first, second = sums.sum(axis=(0, 2)) / data.size
        return Moments(base + float(first), float(np.sqrt(np.maximum(second - first * first, 0.0))))


def _sum_powers(values: npt.NDArray[np.float32], base: float, sums: FloatArray) -> None:
    """What `volume_kernels.sum_powers` does: the same sums in the same order."""
    apart = np.zeros((-(-len(values) // LANES), LANES))
    apart.reshape(-1)[: len(values)] = values
    apart.reshape(-1)[: len(values)] -= base
    np.add.reduce(apart, axis=0, out=sums[0])  # row by row
    np.add.reduce(np.square(apart, out=apart), axis=0, out=sums[1])


def sample_trilinear(data: npt.NDArray[np.float32], index_zyx: FloatArray) -> FloatArray:
    """Trilinear value at fractional indices, float64 (n,); 0 outside the outer grid points, and where one is NaN.

    data: (nz, ny, nx). index_zyx: float64 (n, 3).
    """
    if index_zyx.shape[1:] != (3,):
        raise ValueError(f"indices have shape (n, 3), found {index_zyx.shape}")
    plain = data.dtype == np.float32 and data.flags.c_contiguous
    compiled = loops("cryodata.prepare.sampling_kernels") if plain else None
    if compiled is not None:
        found = np.empty(len(index_zyx))
        compiled.sample_trilinear(data, np.ascontiguousarray(index_zyx), found)
        return found
    inside, ends, weights = np.all((index_zyx >= 0) & (index_zyx <= np.subtract(data.shape, 1)), axis=1), [], []
    for place, count in zip(np.where(inside, index_zyx.T, 0.0), data.shape, strict=True):
        lower = np.minimum(place.astype(np.int64), max(count - 2, 0))
        share = place - lower
        ends.append((lower, np.minimum(lower + 1, count - 1)))
        weights.append((1.0 - share, share))
    value = np.zeros(len(inside))
    for z, y, x in np.ndindex(2, 2, 2):
        weight = weights[0][z] * weights[1][y] * weights[2][x]
        value += weight * data[ends[0][z], ends[1][y], ends[2][x]]
    return np.where(inside, value, 0.0)


def fit(volume: Volume, ca_xyz: FloatArray, map_moments: Moments) -> float:
    """(mean density at the C-alphas - map mean) / map standard deviation; 0 for a constant map."""
    density = sample_trilinear(volume.data, volume.index_of(ca_xyz)).mean()
    return float((density - map_moments.mean) / map_moments.sd) if map_moments.sd > 0 else 0.0


def find_frame(
    volume: Volume, frames: Mapping[str, FloatArray], header_frame: str, ca_xyz: FloatArray, map_moments: Moments
) -> FrameFit:
    """The header's frame if the model fits there, else the first of FRAME_ORDER where it does, else the header's.

    frames: position of voxel 0 by frame name, A. ca_xyz: float64 (n, 3), A.
    """

    def fit_in(frame: str) -> float:
        return fit(Volume(volume.data, volume.voxel_size_xyz, frames[frame]), ca_xyz, map_moments)

    fits = {header_frame: fit_in(header_frame)}
    chosen = header_frame
    if fits[header_frame] < GOOD_FIT:
        fits.update({frame: fit_in(frame) for frame in FRAME_ORDER})
        chosen = next((frame for frame in FRAME_ORDER if fits[frame] >= GOOD_FIT), header_frame)
    return FrameFit(chosen, frames[chosen], fits[chosen], fits)


def fit_shift(volume: Volume, ca_xyz: FloatArray, map_moments: Moments) -> float:
    """Share of 100 seeded rigid shifts of 5 to 15 A that fit worse than the model as it lies."""
    here = fit(volume, ca_xyz, map_moments)
    generator = np.random.Generator(np.random.PCG64(0))
    # uniform on the sphere: height and angle (Archimedes)
    height, angle, length = generator.random((3, SHIFTS))
    height, angle = 2.0 * height - 1.0, 2.0 * np.pi * angle
    ring = np.sqrt(1.0 - height**2)
    shifts = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
    shifts *= (SHIFT_RANGE[0] + (SHIFT_RANGE[1] - SHIFT_RANGE[0]) * length)[:, None]
    worse = sum(fit(volume, ca_xyz + shift, map_moments) < here for shift in shifts)
    return worse / SHIFTS


def share_outside(volume: Volume, ca_xyz: FloatArray) -> float:
    """Share of the C-alphas that lie more than half a voxel beyond the outer grid points."""
    index = volume.index_of(ca_xyz)
    return float(np.mean(np.any((index < -0.5) | (index > np.asarray(volume.shape_zyx) - 0.5), axis=1)))
