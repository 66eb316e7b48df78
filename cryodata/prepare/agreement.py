"""How well model and map agree, besides the fit: correlation, inclusion, mirror images and the size of a voxel.

All of it is measured on the map as deposited, where the model lies in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import Moments, fit, sample_trilinear

CONTOUR_SD = 3.0
"standard deviations above the mean: the contour where the authors recommend none"

MASK_RADIUS = 2.0
"A around an atom that the mask takes in, at least; 0.7 of the resolution if that is more"

MASK_PER_RESOLUTION = 0.7

SPACING_PER_RESOLUTION = 0.25
"grid of the simulated density: its gaussians are 0.225 of the resolution wide (ChimeraX molmap)"

LEAST_SPACING = 0.5
"A"

SCALES = np.linspace(0.95, 1.05, 21)
"voxel sizes that are tried, as a share of the one in the header"

SCALE_ATOMS = 1500
"backbone atoms, evenly spread, that tell the scale"

AXES = "xyz"


@dataclass(frozen=True, slots=True)
class Contour:
    """The level above which a map shows something."""

    level: float
    "in the units of the map"

    source: str
    "`entry`: recommended by the authors; `mean + 3 sd` otherwise"


def contour_of(recommended: float | None, map_moments: Moments) -> Contour:
    """The authors' level, else 3 standard deviations above the mean."""
    if recommended is not None:
        return Contour(recommended, "entry")
    return Contour(map_moments.mean + CONTOUR_SD * map_moments.sd, f"mean + {CONTOUR_SD:g} sd")


def included(volume: Volume, xyz: FloatArray, level: float) -> npt.NDArray[np.bool_]:
    """Whether the density at each atom is at least the level, bool (n,); outside the map it is not."""
    index = volume.index_of(xyz)
    inside = np.all((index >= 0) & (index <= np.asarray(volume.shape_zyx) - 1), axis=1)
    return np.asarray(inside & (sample_trilinear(volume.data, index) >= level))


def mirrored_fit(volume: Volume, ca_xyz: FloatArray, map_moments: Moments) -> tuple[float, str]:
    """Best fit of the model in the map as its file would be with one axis the other way round, and that axis.

    A file whose hand was changed after the model was fitted has a high one, and a low `fit`.
    """
    middle = volume.position_of((np.asarray(volume.shape_zyx) - 1) / 2)
    fits = []
    for axis in range(3):
        mirrored = ca_xyz.copy()
        mirrored[:, axis] = 2 * middle[axis] - mirrored[:, axis]
        fits.append(fit(volume, mirrored, map_moments))
    best = int(np.argmax(fits))
    return fits[best], AXES[best]


def best_scale(volume: Volume, xyz: FloatArray) -> float | None:
    """By how much the voxels would have to be larger for the model to fit best, about the model's centre: 1 is right.

    xyz: backbone atoms, float64 (n, 3), A. From 0.95 to 1.05, the end of the range if nothing within is better; None
    for fewer than two atoms. The larger the model and the finer the map the sharper: within 0.5 % for the real maps at
    3.5 A or better, of little worth for small models beyond 4 A.
    """
    if len(xyz) < 2:
        return None
    centre = xyz.mean(axis=0)
    xyz = xyz[:: -(-len(xyz) // SCALE_ATOMS)]
    # larger voxels leave the model as large as it is and move the density outward: its places in the map move inward
    found = [sample_trilinear(volume.data, volume.index_of(centre + (xyz - centre) / scale)).mean() for scale in SCALES]
    at = int(np.argmax(found))
    if at in (0, len(SCALES) - 1):
        return float(SCALES[at])
    below, here, above = found[at - 1 : at + 2]
    bend = below - 2 * here + above
    shift = 0.5 * (below - above) / bend if bend < 0 else 0.0  # top of the parabola through three points
    return float(SCALES[at] + shift * (SCALES[1] - SCALES[0]))


def correlation_in_mask(volume: Volume, model: AtomicModel, resolution: float) -> float | None:
    """Correlation about the mean of the map and the density that its model would give at its resolution, over the
    voxels near an atom; None if there are fewer than two, or one of the densities is constant there.

    model: every atom but hydrogens, one alternative of each; B factors and occupancies are not looked at, since many
    files hold other figures in their place. resolution: A.
    """
    radius = max(MASK_RADIUS, MASK_PER_RESOLUTION * resolution)
    model = model.take(within_reach(volume, model.xyz, radius))
    if not len(model):
        return None
    expected = _expected(volume, model, resolution, radius)
    low, mask = near_atoms(volume, model.xyz, radius)
    sums, offset, other = np.zeros(6), 0.0, 0.0
    for z, plane in enumerate(mask):
        y, x = np.nonzero(plane)
        if not len(y):
            continue
        index = np.stack([np.full(len(y), z), y, x], axis=1) + low
        there = volume.data[tuple(index.T)].astype(np.float64)
        wanted = sample_trilinear(expected.data, expected.index_of(volume.position_of(index)))
        if not sums[0]:  # sums about the means of one plane lose no digits
            offset, other = float(there.mean()), float(wanted.mean())
        there, wanted = there - offset, wanted - other
        sums += [len(there), there.sum(), wanted.sum(), there @ there, wanted @ wanted, there @ wanted]
    count, here, simulated, here2, simulated2, product = sums
    if count < 2:
        return None
    spread = (here2 - here * here / count) * (simulated2 - simulated * simulated / count)
    return float((product - here * simulated / count) / np.sqrt(spread)) if spread > 0 else None


def _expected(volume: Volume, model: AtomicModel, resolution: float, radius: float) -> Volume:
    """What the atoms would give at the resolution, on a grid of at most half as many points as the map has."""
    edges = np.ptp(model.xyz, axis=0) + 4 * radius
    most = float(np.cbrt(np.prod(edges) * 2 / volume.data.size))
    spacing = max(LEAST_SPACING, SPACING_PER_RESOLUTION * resolution, most)
    plain = replace(model, b_factor=np.ones(len(model), np.float32), occupancy=np.ones(len(model), np.float32))
    return density_of(plain, resolution=resolution, voxel_size=spacing, margin=radius + 2 * spacing)


def within_reach(volume: Volume, xyz: FloatArray, reach: float) -> npt.NDArray[np.bool_]:
    """Which atoms lie in the map or less than `reach` A beside it, bool (n,)."""
    index, margin = volume.index_of(xyz), reach / volume.voxel_size_xyz[::-1]
    return np.asarray(np.all((index > -margin) & (index < np.asarray(volume.shape_zyx) - 1 + margin), axis=1))


def near_atoms(volume: Volume, xyz: FloatArray, radius: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Voxels within a radius of the voxel nearest to an atom: first voxel z, y, x of a box, and a mask in it."""
    shape = np.asarray(volume.shape_zyx)
    size_zyx = volume.voxel_size_xyz[::-1]
    reach = np.floor(radius / size_zyx).astype(np.int64)
    voxel = np.floor(volume.index_of(xyz) + 0.5).astype(np.int64)
    voxel = np.unique(voxel[np.all((voxel >= -reach) & (voxel < shape + reach), axis=1)], axis=0)
    low = np.maximum(voxel.min(axis=0, initial=np.iinfo(np.int64).max) - reach, 0)
    high = np.minimum(voxel.max(axis=0, initial=-1) + reach + 1, shape)
    if not len(voxel):
        return np.zeros(3, dtype=np.int64), np.zeros((0, 0, 0), dtype=np.bool_)
    # a frame as wide as the reach around the box: no step leaves it, and it is cut off in the end
    mask = np.zeros(high - low + 2 * reach, dtype=np.bool_)
    place = np.clip(voxel - low + reach, 0, np.asarray(mask.shape) - 1)
    for step in np.ndindex(*(2 * reach + 1)):
        offset = np.array(step) - reach
        if np.square(offset * size_zyx).sum() <= radius**2:
            at = place + offset
            kept = np.all((at >= 0) & (at < mask.shape), axis=1)
            mask[tuple(at[kept].T)] = True
    return low, mask[tuple(slice(n, m - n) for n, m in zip(reach, mask.shape, strict=True))]
