"""Q-score: how much the density around an atom looks like that of a well resolved one.

Pintilie and others, Nature Methods 17, 328 (2020); the published pseudocode is of the program MapQ. Density is taken
at points on shells around an atom that are nearer to it than to any other, and correlated about the mean with a
gaussian of the distance. Height and offset of that gaussian, of which the pseudocode speaks, drop out of a correlation
about the mean; its width does not, so `sigma` belongs to every figure that is told.

Where numba is installed the loops run compiled (`prepare/sampling_kernels.py`), with equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cryodata.compiled import loops
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.neighbours import Rows, near_rows
from cryodata.prepare.quality import sample_trilinear

SIGMA = 0.6
"A; width of the reference in the pseudocode. The validation reports of the archives use 0.4"

SHELLS = np.arange(1, 21) / 10.0
"A; radii, besides the centre"

POINTS = 8
"points a shell, and how often the centre counts"

TRIES = 100
"spheres of 8, 9, 10, ... points that are tried until 8 of them are nearer to this atom; then fewer have to do"

SPIRAL = 3.6
"step of the spiral that spreads points on a sphere: Saff and Kuijlaars, Math. Intelligencer 19, 5 (1997)"

FLAT = 1e-7
"standard deviation, as a share of the mean, up to which density is constant: what float32 holds, and rounding"

ATOMS = 256
"atoms that are looked at together where there is no numba"


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Atoms and what lies around each: all that shells need."""

    xyz: FloatArray
    "the atoms, float64 (k, 3), A"

    first: Rows
    "first place of each in `apart`, int64 (k + 1,)"

    apart: FloatArray
    "from the atom to each of its neighbours, float64 (m, 3), A"

    def some(self, low: int, high: int) -> Surroundings:
        """Those of a range of the atoms."""
        first = self.first[low : high + 1]
        return Surroundings(self.xyz[low:high], first - first[0], self.apart[first[0] : first[-1]])


def q_scores(volume: Volume, xyz: FloatArray, rows: Rows | None = None, sigma: float = SIGMA) -> FloatArray:
    """Q-score of some atoms among others, float64 (k,), -1 to 1; 0 where the density around an atom is constant.

    volume: the map as deposited, not resampled. xyz: every atom but hydrogens, one alternative of each, float64
    (n, 3), A: they take points from each other. rows: which are scored, int64 (k,); all if not given.
    """
    rows = np.arange(len(xyz)) if rows is None else np.asarray(rows, dtype=np.int64)
    first, others = near_rows(xyz, rows, 2.0 * float(SHELLS[-1]))  # beyond, it is nearer to no point of a shell
    around = Surroundings(xyz[rows], first, xyz[others] - np.repeat(xyz[rows], np.diff(first), axis=0))
    reference = np.exp(-0.5 * np.square(SHELLS / sigma))
    compiled = loops("cryodata.prepare.sampling_kernels")
    if compiled is not None:
        return np.asarray(compiled.scores(volume, around, reference, SHELLS, all_spheres(), (POINTS, FLAT)))
    pieces = [
        scores_by_numpy(volume, around.some(low, min(low + ATOMS, len(rows))), reference)
        for low in range(0, len(rows), ATOMS)
    ]
    return np.concatenate([np.zeros(0), *pieces])


def scores_by_numpy(volume: Volume, around: Surroundings, reference: FloatArray) -> FloatArray:
    """Q-scores of atoms; reference: gaussian at each of SHELLS, float64 (20,)."""
    atom, shell, point = shell_points(around)
    values = sample_trilinear(volume.data, volume.index_of(point))
    centre = sample_trilinear(volume.data, volume.index_of(around.xyz))
    count = len(around.xyz)
    # the centre first, then shell by shell: sums in the order of the compiled path
    owner = np.concatenate([np.repeat(np.arange(count), POINTS), atom])
    found = np.concatenate([np.repeat(centre, POINTS), values])
    expected = np.concatenate([np.ones(count * POINTS), reference[shell]])
    total = np.bincount(owner, minlength=count)
    mean = np.bincount(owner, found, count) / total
    found = found - mean[owner]
    expected = expected - (np.bincount(owner, expected, count) / total)[owner]
    product, square, other = (
        np.bincount(owner, part, count) for part in (found * expected, found * found, expected * expected)
    )
    norm = np.sqrt(square * other)
    varies = square > total * (FLAT * mean * (FLAT * mean))
    return np.asarray(np.divide(product, norm, out=np.zeros(count), where=varies))


def shell_points(around: Surroundings) -> tuple[Rows, Rows, FloatArray]:
    """The points of all shells: atom, shell and position, ordered by atom, shell and place on the sphere."""
    spheres, starts = all_spheres()
    done = np.zeros(len(around.xyz), dtype=np.int64)  # shells that have their points, from the innermost on
    atoms, shells, places = [], [], []
    for number in range(TRIES):
        open_ = np.flatnonzero(done < len(SHELLS))
        if not len(open_):
            break
        sphere = spheres[starts[number] : starts[number + 1]]
        limit = _limits(around, open_, sphere)
        within = limit[:, :, None] >= SHELLS
        full = np.cumprod((within.sum(axis=1) >= POINTS) | (np.arange(len(SHELLS)) < done[open_, None]), axis=1)
        after = full.sum(axis=1) if number < TRIES - 1 else np.full(len(open_), len(SHELLS))
        steps = np.arange(len(SHELLS))
        fresh = (steps >= done[open_, None]) & (steps < after[:, None])
        row, place, shell = np.nonzero(within & fresh[:, None, :])
        atoms.append(open_[row])
        shells.append(shell)
        places.append(around.xyz[open_[row]] + SHELLS[shell, None] * sphere[place])
        done[open_] = after
    atom, shell = np.concatenate(atoms), np.concatenate(shells)
    order = np.lexsort((shell, atom))
    return atom[order], shell[order], np.concatenate(places)[order]


def _limits(around: Surroundings, rows: Rows, sphere: FloatArray) -> FloatArray:
    """How far out each direction stays nearest to each atom, float64 (atoms, directions), A."""
    limit = np.full((len(rows), len(sphere)), np.inf)
    for number, row in enumerate(rows):
        apart = around.apart[around.first[row] : around.first[row + 1]]
        if not len(apart):
            continue
        x, y, z = apart.T[:, :, None]
        along = x * sphere[:, 0] + y * sphere[:, 1] + z * sphere[:, 2]
        square = x * x + y * y + z * z
        reach = np.divide(square, 2.0 * along, out=np.full(along.shape, np.inf), where=along > 0)
        limit[number] = reach.min(axis=0)
    return limit


@lru_cache(maxsize=1)
def all_spheres() -> tuple[FloatArray, Rows]:
    """Directions of the spheres of 8, 9, ... points one after another, float64 (m, 3), and where each begins."""
    counts = np.arange(POINTS, POINTS + TRIES)
    return np.concatenate([sphere_points(int(count)) for count in counts]), np.r_[0, np.cumsum(counts)]


def sphere_points(count: int) -> FloatArray:
    """Directions spread evenly by a spiral from pole to pole, float64 (count, 3); count at least 2."""
    height = -1.0 + 2.0 * np.arange(count) / (count - 1)
    step = np.zeros(count)
    step[1:-1] = SPIRAL / np.sqrt(count * (1.0 - height[1:-1] ** 2))
    angle = np.cumsum(step)
    angle[-1] = 0.0
    ring = np.sqrt(np.maximum(0.0, 1.0 - height**2))
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def residue_means(scores: FloatArray, residue: Rows) -> FloatArray:
    """Mean score of each residue, float64 (highest number + 1,), NaN for a number that no atom has."""
    total = np.bincount(residue, scores)
    count = np.bincount(residue)
    return np.asarray(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))
