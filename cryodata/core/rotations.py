"""Rotations of boxes and of the points in them about the centre of a box, index (box - 1) / 2 on each axis.

A rotation takes what lies at the offset d from the centre to the offset M d, offsets being z, y, x. The determinant is
+1: a mirrored protein does not exist.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.keyed import keyed_choice, keyed_uniform
from cryodata.core.subgrids import cut_box

Matrices = npt.NDArray[np.float64]


def _proper_rotations() -> npt.NDArray[np.int8]:
    found = []
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.zeros((3, 3), dtype=np.int8)
        matrix[range(3), axes] = signs
        if round(np.linalg.det(matrix)) == 1:
            found.append(matrix)
    return np.stack(found)


ROTATIONS = _proper_rotations()
"the 24 rotations that take a cube to itself, int8 (24, 3, 3); number 0 leaves it as it is"

AXES: npt.NDArray[np.int64] = np.argmax(np.abs(ROTATIONS), axis=2)
"axis that each axis of a rotated cube comes from, (24, 3)"

SIGNS: npt.NDArray[np.int64] = ROTATIONS.sum(axis=2, dtype=np.int64)
"whether it is reversed on the way: -1 or 1, (24, 3)"

ROTATIONS.flags.writeable = AXES.flags.writeable = SIGNS.flags.writeable = False


def rotation_numbers(position: npt.ArrayLike, seed: int, epoch: int, stream: int) -> npt.NDArray[np.int64]:
    """Which of ROTATIONS falls to the sample at each position of a stream, int64 (n,); each equally often."""
    return keyed_choice(len(ROTATIONS), position, "rotation", seed, epoch, stream)


def rotated(cube: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """A view of an array whose last three axes, of equal length, are rotated by a number of ROTATIONS."""
    lead = cube.ndim - 3
    view = cube.transpose([*range(lead), *(lead + int(axis) for axis in AXES[number])])
    z, y, x = (slice(None, None, int(sign)) for sign in SIGNS[number])
    return view[..., z, y, x]


def rotate_points(place_zyx: npt.NDArray[np.float64], number: npt.ArrayLike, box: int) -> npt.NDArray[np.float64]:
    """Points of boxes rotated by numbers of ROTATIONS.

    place_zyx: index in the box, float64 (m, 3), fractional. number: a rotation, or one for each point, (m,). Nothing is
    rounded but the result of box - 1 - index; by number 0 every bit stays.
    """
    number = np.asarray(number)
    moved = np.take_along_axis(place_zyx, np.broadcast_to(AXES[number], place_zyx.shape), axis=1)
    return np.where(SIGNS[number] > 0, moved, (box - 1) - moved)


def rotate_bounds(
    low_zyx: npt.ArrayLike, high_zyx: npt.ArrayLike, number: npt.ArrayLike, box: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First voxels, and those after the last, of parts of boxes once they are rotated; int64 (n, 3) each.

    low_zyx, high_zyx: the same before, (n, 3). number: of ROTATIONS, one or (n,).
    """
    low, high = np.asarray(low_zyx), np.asarray(high_zyx)
    axes = np.broadcast_to(AXES[np.asarray(number)], low.shape)
    low, high = np.take_along_axis(low, axes, axis=-1), np.take_along_axis(high, axes, axis=-1)
    forward = SIGNS[np.asarray(number)] > 0
    return np.where(forward, low, box - high), np.where(forward, high, box - low)


def uniform_rotations(position: npt.ArrayLike, seed: int, epoch: int, stream: int) -> Matrices:
    """A rotation for the sample at each position of a stream, every one equally likely; float64 (n, 3, 3).

    Uniform by the Haar measure of SO(3): matrices of unit quaternions that are uniform on the sphere (Shoemake,
    "Uniform random rotations", Graphics Gems III, 1992).
    """
    first, second, third = (keyed_uniform(position, "so3", axis, seed, epoch, stream) for axis in range(3))
    inner, outer = np.sqrt(1.0 - first), np.sqrt(first)
    x, y = inner * np.sin(2 * np.pi * second), inner * np.cos(2 * np.pi * second)
    z, w = outer * np.sin(2 * np.pi * third), outer * np.cos(2 * np.pi * third)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows, dtype=np.float64), (0, 1), (-2, -1))


def turn_points(place_zyx: npt.NDArray[np.float64], matrix: Matrices, box: int) -> npt.NDArray[np.float64]:
    """Points of boxes turned by any rotation; float64 (m, 3).

    place_zyx: index in the box, float64 (m, 3), fractional. matrix: a rotation of z, y, x offsets (3, 3), or one for
    each point (m, 3, 3).
    """
    centre = (box - 1) / 2
    return np.asarray(np.einsum("...ij,...j->...i", matrix, place_zyx - centre) + centre)


def sample_trilinear(
    volume: npt.NDArray[Any], centre_zyx: npt.ArrayLike, matrix: npt.ArrayLike, box: int
) -> npt.NDArray[np.float32]:
    """A box of a volume that was turned about the centre of the box; float32 (box, box, box).

    volume: (nz, ny, nx), float16 or float32, taken as 0 outside. centre_zyx: index of the centre, fractional: start +
    (box - 1) / 2. matrix: the rotation of z, y, x offsets that `turn_points` gives the points. What falls between
    voxels is interpolated linearly on each axis.
    """
    centre, inverse = np.asarray(centre_zyx, dtype=np.float64), np.asarray(matrix, dtype=np.float64).T
    offset = np.arange(box) - (box - 1) / 2
    steps = inverse[:, :, None] * offset  # (axis of the volume, axis of the box, box)
    place = centre[:, None, None, None] + (
        steps[:, 0, :, None, None] + steps[:, 1, None, :, None] + steps[:, 2, None, None, :]
    )
    lower = np.floor(place)
    share = (place - lower).astype(np.float32)
    start = lower.reshape(3, -1).min(axis=1).astype(np.int64)
    index = lower.astype(np.int64) - start[:, None, None, None]
    size = int(index.max()) + 2
    near = cut_box(volume, start, size).astype(np.float32, copy=False).reshape(-1)
    flat = (index[0] * size + index[1]) * size + index[2]
    along_x = [
        _between(near[flat + step], near[flat + step + 1], share[2]) for step in (0, size, size**2, size**2 + size)
    ]
    return _between(_between(along_x[0], along_x[1], share[1]), _between(along_x[2], along_x[3], share[1]), share[0])


def _between(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32], share: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return low + (high - low) * share
