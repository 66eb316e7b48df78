"""Made-up protein models: random sequences folded into helices, sheets and loops, without clashes."""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.model import COIL, AtomicModel
from cryodata.core.volume import FloatArray
from cryodata.prepare.sidechains import (
    FREQUENCIES,
    REACH,
    SIDE_CHAINS,
    all_atoms,
    cross,
    grow,
    next_segment,
    unit,
)

MIN_CA, MIN_ATOM = 4.0, 2.7
"least distances of CAs, and of all backbone atoms and CBs, of residues three or more apart, A"

ROOMY_CB = 6.5
"CBs closer than this count against a fold, A: their side chains would overlap"

CANDIDATES, STEPS, ATTEMPTS = 512, 60, 20
"foldings of a segment tried at once, such trials before a chain is begun anew, chains before giving up"
BACK = 4
"segments that a dead end may take back, less one"

LEAST_CB = 3.8
"CBs of different parts of a fold are never closer, A"

TRIED = 10
"of the best foldings of a segment, how many are looked at atom by atom"

CROWD_WEIGHT, AHEAD_WEIGHT, TRESPASS_WEIGHT = 5.0, 0.3, 6.0
"""what counts against a folding besides its distance from its own centre (A^2): crowded CBs (per A), where its end
points to (per A^2), residues nearer to another chain's centre (per A^2); found by trial: folds
are found and are compact"""


@dataclass(frozen=True, slots=True, eq=False)
class _Room:
    """Where a chain may grow."""

    placed: FloatArray
    "backbones of the chains before it, float64 (n, 5, 3), A"

    centres_xyz: FloatArray
    "what the chains gather about, this one's first, float64 (chains, 3), A"

    radius: float
    "of the sphere that holds all CAs, A"


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """A folded chain."""

    backbone: FloatArray
    "N, CA, C, O, CB of each residue, float64 (n, 5, 3), A"

    phi: FloatArray
    psi: FloatArray
    "float64 (n,), degrees"

    secondary: npt.NDArray[np.uint8]
    "planned class, uint8 (n,)"


def random_protein(seed: int, *, chains: int = 2, residues: int = 120, radius: float = 35.0) -> AtomicModel:
    """A protein-like model of all heavy atoms, grown from torsion angles; one seed, one model.

    chains: 1 to 26, named A, B, ...; residues: of each chain; radius: of the sphere about the origin that holds every
    atom, A. Positions are rounded to 0.001 A, B factors to 0.01 A^2, as in a PDB file. Raises ValueError for counts
    out of range, and if the bounded search finds no fold inside the sphere.
    """
    if not 1 <= chains <= 26 or residues < 1:
        raise ValueError(f"chains must be 1 to 26 and residues at least 1, found {chains} and {residues}")
    rng = np.random.Generator(np.random.PCG64(seed))
    centres = _centres(rng, chains, radius - REACH)
    folded: list[_Chain] = []
    for index in range(chains):
        placed = np.concatenate([np.empty((0, 5, 3)), *(chain.backbone for chain in folded)])
        room = _Room(placed, np.roll(centres, -index, axis=0), radius - REACH)
        attempts = (_fold(rng, residues, room) for _ in range(ATTEMPTS))
        chain = next((chain for chain in attempts if chain is not None), None)
        if chain is None:
            raise ValueError(
                f"found no room for {chains} chains of {residues} residues in a sphere of radius {radius} A: chain "
                f"{index + 1} failed {ATTEMPTS} times; use a larger radius or fewer residues"
            )
        folded.append(chain)
    return _model(rng, folded)


def _centres(rng: np.random.Generator, count: int, radius: float) -> FloatArray:
    """Points spread evenly about the origin, float64 (count, 3), A; the origin itself for one."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)  # the golden angle spreads any number of points
    flat = np.sqrt(1 - height**2)
    points = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    return np.asarray((0.4 * radius if count > 1 else 0.0) * points @ _frames(rng, 1)[0])


def _frames(rng: np.random.Generator, count: int) -> FloatArray:
    """Random right-handed sets of three axes, float64 (count, 3, 3)."""
    first, second = rng.standard_normal((2, count, 3))
    x = unit(first)
    z = unit(cross(x, second))
    return np.stack([x, cross(z, x), z], axis=1)


def _fold(rng: np.random.Generator, residues: int, room: _Room) -> _Chain | None:
    """Segment by segment, the best of some random foldings; a dead end takes the last few segments back."""
    parts: list[_Chain] = []
    for _ in range(STEPS):
        chain = np.concatenate([np.empty((0, 5, 3)), *(part.backbone for part in parts)])
        if len(chain) == residues:
            phi = np.concatenate([part.phi for part in parts])
            return _Chain(chain, phi, phi, np.concatenate([part.secondary for part in parts]))
        if parts:
            anchors, psi = np.repeat(chain[-1:, :3], CANDIDATES, axis=0), parts[-1].psi[-1]
        else:  # any three points that are not in line can act as the residue before the first
            anchors = _frames(rng, CANDIDATES) + rng.normal(0, 10, (CANDIDATES, 1, 3)) + room.centres_xyz[0]
            psi = 0.0
        segment = next_segment(rng, residues - len(chain))
        torsions = segment.draw(rng, CANDIDATES)
        foldings = grow(anchors, np.full(CANDIDATES, psi), torsions)
        best = _best(foldings, chain, room)
        if best is not None:
            phi, psi_best = torsions[best].T
            parts.append(_Chain(foldings[best], phi, psi_best, segment.secondary))
        else:
            del parts[-int(rng.integers(1, BACK)) :]
    return None


def _best(foldings: FloatArray, chain: FloatArray, room: _Room) -> int | None:
    """Index of the most compact folding (m, n, 5, 3) that keeps clear of all residues so far; None if none does."""
    others = np.concatenate([room.placed, chain[:-3]])[:, 4]
    rows = np.flatnonzero((np.square(foldings[:, :, 1]).sum(axis=2) <= room.radius**2).all(axis=1))
    gaps = _distances(foldings[rows, :, 4].reshape(-1, 3), others).reshape(len(rows), foldings.shape[1] * len(others))
    keep = gaps.min(axis=1, initial=np.inf) >= LEAST_CB
    rows, gaps = rows[keep], gaps[keep]
    ca = foldings[rows, :, 1]
    pull = np.square(ca[:, :, None] - room.centres_xyz).sum(axis=3)  # (m, n, chains)
    trespass = np.maximum(pull[:, :, :1] - pull, 0).max(axis=2)  # 0 while the chain's own centre is the nearest
    crowd = np.maximum(ROOMY_CB - gaps, 0).sum(axis=1)
    # where the next segment would go on to: out of the sphere is a dead end
    ahead = ca[:, -1] + 2 * (ca[:, -1] - ca[:, -min(4, ca.shape[1])]) - room.centres_xyz[0]
    score = (
        (pull[:, :, 0] + TRESPASS_WEIGHT * trespass).mean(axis=1)
        + CROWD_WEIGHT * crowd
        + AHEAD_WEIGHT * np.square(ahead).sum(axis=1)
    )
    in_order = rows[np.argsort(score, kind="stable")]
    return next((int(m) for m in in_order[:TRIED] if _clear(foldings[m], chain, room.placed)), None)


def _clear(folding: FloatArray, chain: FloatArray, placed: FloatArray) -> bool:
    """Whether a folding (n, 5, 3) keeps its distance from itself, its chain so far, and the chains before."""
    every = np.concatenate([placed, chain, folding])
    number = np.arange(len(every))
    number[: len(placed)] -= 3  # the end of one chain is no neighbour of the next one's beginning
    apart = np.abs(number[-len(folding) :, None] - number) >= 3
    gaps = _distances(folding.reshape(-1, 3), every.reshape(-1, 3)).reshape(len(folding), 5, len(every), 5)
    return bool((gaps.min(axis=(1, 3))[apart] >= MIN_ATOM).all() and (gaps[:, 1, :, 1][apart] >= MIN_CA).all())


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """From each of a (n, 3) to each of b (m, 3), (n, m)."""
    # axis by axis, not by a matrix product: BLAS rounds as the processor likes, and a fold hangs on it
    square = sum(np.square(a[:, axis, None] - b[None, :, axis]) for axis in range(3))
    return np.asarray(np.sqrt(square), dtype=np.float64)


def _model(rng: np.random.Generator, folded: list[_Chain]) -> AtomicModel:
    names = np.concatenate([_sequence(rng, chain) for chain in folded])
    backbone = np.concatenate([chain.backbone[:, :4] for chain in folded])
    secondary = np.concatenate([chain.secondary for chain in folded])
    atom, xyz, index = all_atoms(names, backbone)
    number = np.concatenate([np.arange(1, len(chain.phi) + 1, dtype=np.int32) for chain in folded])
    letters = np.repeat(list(string.ascii_uppercase[: len(folded)]), [len(chain.phi) for chain in folded])
    empty = np.full(len(atom), "")
    return AtomicModel(
        xyz=np.round(xyz, 3),
        atom=atom,
        element=atom.astype("<U1"),  # every name begins with its element: C, N, O or S
        residue=names[index],
        chain=letters[index],
        label_seq_id=number[index],
        auth_seq_id=number[index],
        insertion_code=empty,
        altloc=empty,
        entity_kind=np.full(len(atom), "peptide"),
        occupancy=np.ones(len(atom), dtype=np.float32),
        b_factor=_b_factors(rng, backbone[:, 1], secondary, index),
        position=index.astype(np.int32),
        secondary=secondary[index],
    )


def _b_factors(
    rng: np.random.Generator, ca: FloatArray, secondary: npt.NDArray[np.uint8], index: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Low in the core, higher outside, in loops and toward the tips of side chains, smooth along the chain."""
    depth = np.linalg.norm(ca - ca.mean(axis=0), axis=1)
    rough = 20 + 20 * (depth / depth.max()) ** 2 + 6 * (secondary == COIL) + rng.normal(0, 4, len(ca))
    smooth = np.convolve(np.pad(rough, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    first = np.searchsorted(index, np.arange(len(ca)))
    tip = np.maximum(np.arange(len(index)) - first[index] - 4, 0)  # 0 for the backbone and CB
    return np.asarray(np.round(np.clip(smooth[index] + 2 * tip, 15, 80), 2), dtype=np.float32)


def _sequence(rng: np.random.Generator, chain: _Chain) -> npt.NDArray[np.str_]:
    """Residue names drawn by FREQUENCIES, then exchanged so that each can have its torsions."""
    names = rng.choice(list(SIDE_CHAINS), size=len(chain.phi), p=np.array(FREQUENCIES) / sum(FREQUENCIES))
    ring = (chain.secondary == COIL) & (chain.phi > -100) & (chain.phi < -40)
    for kinds, wanted in ((("GLY", "ASN", "ASP"), chain.phi > 0), (("PRO",), ring)):
        has = np.isin(names, kinds)
        out, into = rng.permutation(np.flatnonzero(has & ~wanted)), rng.permutation(np.flatnonzero(~has & wanted))
        count = min(len(out), len(into))
        names[out[:count]], names[into[:count]] = names[into[:count]], names[out[:count]]
    return names
