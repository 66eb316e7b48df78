"""Values between the grid points of a map, and the Q-scores that are made of them: the loops of `prepare/quality.py`
and `prepare/qscore.py` compiled by numba, the same sums in the same order, so the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt

from cryodata.core.volume import FloatArray, Volume

if TYPE_CHECKING:
    from cryodata.prepare.qscore import Surroundings


def scores(
    volume: Volume,
    around: Surroundings,
    reference: FloatArray,
    shells: FloatArray,
    spheres: tuple[FloatArray, npt.NDArray[np.int64]],
    constants: tuple[int, float],
) -> FloatArray:
    """As `scores_by_numpy`. spheres: directions, and where each sphere begins. constants: POINTS and FLAT."""
    result: FloatArray = _scores(
        np.asarray(volume.data), (volume.origin_xyz, volume.voxel_size_xyz), (around.xyz, around.first, around.apart),
        (reference, shells), spheres, constants,
    )  # fmt: skip
    return result


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scores(data: Any, frame: Any, around: Any, shape: Any, spheres: Any, constants: Any) -> Any:
    points, flat = constants
    xyz, first, apart = around
    reference, shells = shape
    directions, starts = spheres
    tries = len(starts) - 1
    most = starts[tries] - starts[tries - 1]
    limit = np.empty(most)
    found = np.empty(points + len(shells) * most)
    expected = np.empty(len(found))
    result = np.zeros(len(xyz))
    for atom in range(len(xyz)):
        near = apart[first[atom] : first[atom + 1]]
        square = near[:, 0] * near[:, 0] + near[:, 1] * near[:, 1] + near[:, 2] * near[:, 2]
        centre = _value(data, frame, xyz[atom, 0], xyz[atom, 1], xyz[atom, 2])
        count = points
        for i in range(points):
            found[i] = centre
            expected[i] = 1.0
        shell = 0
        for number in range(tries):
            sphere = directions[starts[number] : starts[number + 1]]
            _limits(sphere, near, square, shells[shell], limit)
            while shell < len(shells):
                within = 0
                for i in range(len(sphere)):
                    within += limit[i] >= shells[shell]
                if within < points and number < tries - 1:
                    break
                radius = shells[shell]
                for i in range(len(sphere)):
                    if limit[i] >= radius:
                        found[count] = _value(
                            data, frame,
                            xyz[atom, 0] + radius * sphere[i, 0],
                            xyz[atom, 1] + radius * sphere[i, 1],
                            xyz[atom, 2] + radius * sphere[i, 2],
                        )  # fmt: skip
                        expected[count] = reference[shell]
                        count += 1
                shell += 1
            if shell == len(shells):
                break
        result[atom] = _correlation(found[:count], expected[:count], flat)
    return result


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _limits(sphere: Any, near: Any, square: Any, least: float, limit: Any) -> None:
    """How far out each direction stays nearest to the atom; where that is below `least`, any value below it."""
    nearest = 0
    for i in range(len(sphere)):
        smallest = np.inf
        for k in range(len(near)):
            # what was nearest to the point before is most likely nearest to this one too
            j = nearest if k == 0 else k - 1 if k <= nearest else k
            along = near[j, 0] * sphere[i, 0] + near[j, 1] * sphere[i, 1] + near[j, 2] * sphere[i, 2]
            if along > 0:
                reach = square[j] / (2.0 * along)
                if reach < smallest:
                    smallest = reach
                    if smallest < least:
                        nearest = j
                        break
        limit[i] = smallest


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _correlation(found: Any, expected: Any, flat: float) -> float:
    mean, other = 0.0, 0.0
    for i in range(len(found)):
        mean += found[i]
        other += expected[i]
    mean /= len(found)
    other /= len(found)
    product, square, square_other = 0.0, 0.0, 0.0
    for i in range(len(found)):
        here, there = found[i] - mean, expected[i] - other
        product += here * there
        square += here * here
        square_other += there * there
    if not square > len(found) * (flat * mean * (flat * mean)):
        return 0.0
    return float(product / np.sqrt(square * square_other))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sample_trilinear(data: Any, index_zyx: Any, found: Any) -> None:
    """As that of `prepare/quality.py`, into `found` (n,)."""
    for i in range(len(index_zyx)):
        found[i] = _between(data, index_zyx[i, 0], index_zyx[i, 1], index_zyx[i, 2])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _value(data: Any, frame: Any, x: float, y: float, z: float) -> float:
    origin, size = frame
    return _between(data, (z - origin[2]) / size[2], (y - origin[1]) / size[1], (x - origin[0]) / size[0])  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between(data: Any, place_z: float, place_y: float, place_x: float) -> float:
    """`sample_trilinear` at one index."""
    nz, ny, nx = data.shape
    if not (0 <= place_z <= nz - 1 and 0 <= place_y <= ny - 1 and 0 <= place_x <= nx - 1):
        return 0.0
    low_z, low_y, low_x = (
        min(int(place_z), max(nz - 2, 0)),
        min(int(place_y), max(ny - 2, 0)),
        min(int(place_x), max(nx - 2, 0)),
    )
    share_z, share_y, share_x = place_z - low_z, place_y - low_y, place_x - low_x
    value = 0.0
    for k in range(2):
        weight_z = share_z if k else 1.0 - share_z
        at_z = min(low_z + k, nz - 1)
        for j in range(2):
            weight = weight_z * (share_y if j else 1.0 - share_y)
            at_y = min(low_y + j, ny - 1)
            for i in range(2):
                value += (weight * (share_x if i else 1.0 - share_x)) * data[at_z, at_y, min(low_x + i, nx - 1)]
    return value
