"""Made-up protein models: random sequences folded into helices, sheets and loops, without clashes of the backbone."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.model import COIL, AtomicModel
from cryodata.core.volume import FloatArray, IndexArray
from cryodata.prepare.sidechains import (
    FREQUENCIES,
    LEAST_REACH,
    SIDE_CHAINS,
    all_atoms,
    cross,
    grow,
    next_segment,
    unit,
)

CHAIN_NAMES = string.ascii_uppercase

MIN_CA, MIN_ATOM = 4.0, 2.7
"least distances of CAs, and of all backbone atoms and CBs, of residues three or more apart, A"

LEAST_CB, ROOMY_CB = 3.8, 5.5
"CBs of two segments are never closer than the one, and count against a fold if closer than the other, A"

CANDIDATES, TRIED = 384, 10
"foldings of a segment made at once, and how many of the best are looked at atom by atom"

STEPS, ATTEMPTS = 80, 10
"segments tried before a chain is begun anew, and chains before the search is given up"

CROWD_WEIGHT, AHEAD_WEIGHT, TRESPASS_WEIGHT = 1.0, 0.1, 6.0
"""What counts against a folding besides the squared distance of its CAs from the chain's own centre (A^2): crowded
CBs (per A), where its end points to (per A^2), CAs nearer to another chain's centre (per A^2). Found by trial."""

RESIDUE_VOLUME = 133.0
"A^3: 110 Da x 0.73 cm^3/g / 0.6022; less room than this for each residue cannot be enough"


@dataclass(frozen=True, slots=True, eq=False)
class _Room:
    """Where a chain may grow."""

    placed: FloatArray
    "backbones of the chains before it, float64 (n, 5, 3), A"

    centres_xyz: FloatArray
    "what the chains gather about, this one's first, float64 (chains, 3), A"

    radius: float
    "of the sphere that holds every atom, A"


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """A folded chain, or the part of it that is there yet."""

    backbone: FloatArray
    "N, CA, C, O, CB of each residue, float64 (n, 5, 3), A"

    torsions: FloatArray
    "phi and psi, float64 (n, 2), degrees"

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
    asked = f"{chains} chains of {residues} residues in a sphere of radius {radius:g} A"
    if chains * residues * RESIDUE_VOLUME > 4 / 3 * math.pi * max(radius, 0) ** 3:
        raise ValueError(f"found no room for {asked}: their atoms alone fill it; use a larger radius or fewer residues")
    rng = np.random.Generator(np.random.PCG64(seed))
    centres = _centres(rng, chains, radius)
    folded: list[_Chain] = []
    for index in range(chains):
        placed = np.concatenate([np.empty((0, 5, 3)), *(chain.backbone for chain in folded)])
        room = _Room(placed, np.roll(centres, -index, axis=0), radius)
        attempts = (_fold(rng, residues, room) for _ in range(ATTEMPTS))
        chain = next((chain for chain in attempts if chain is not None), None)
        if chain is None:
            raise ValueError(
                f"found no room for {asked}: chain {CHAIN_NAMES[index]} failed {ATTEMPTS} times; "
                f"use a larger radius or fewer residues"
            )
        folded.append(chain)
    return _model(rng, folded, radius)


def _centres(rng: np.random.Generator, count: int, radius: float) -> FloatArray:
    """Points spread evenly about the origin, float64 (count, 3), A; the origin itself for one."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)  # the golden angle spreads any number of points
    flat = np.sqrt(1 - height**2)
    points = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    return np.asarray((0.38 * radius if count > 1 else 0.0) * points @ _frames(rng, 1)[0])


def _frames(rng: np.random.Generator, count: int) -> FloatArray:
    """Random right-handed sets of three axes, float64 (count, 3, 3)."""
    first, second = rng.standard_normal((2, count, 3))
    x = unit(first)
    z = unit(cross(x, second))
    return np.stack([x, cross(z, x), z], axis=1)


def _fold(rng: np.random.Generator, residues: int, room: _Room) -> _Chain | None:
    """Segment by segment, the best of some random foldings; a dead end takes the segment before it back."""
    stack = [_Chain(np.empty((0, 5, 3)), np.empty((0, 2)), np.empty(0, dtype=np.uint8))]
    for _ in range(STEPS):
        chain = stack[-1]
        if len(chain.backbone) == residues:
            return chain
        if len(stack) > 1:
            anchors, psi = np.repeat(chain.backbone[-1:, :3], CANDIDATES, axis=0), chain.torsions[-1, 1]
        else:  # any three points that are not in line can act as the residue before the first
            anchors = _frames(rng, CANDIDATES) + rng.normal(0, 10, (CANDIDATES, 1, 3)) + room.centres_xyz[0]
            psi = 0.0
        segment = next_segment(rng, residues - len(chain.backbone))
        torsions = segment.draw(rng, CANDIDATES)
        foldings = grow(anchors, np.full(CANDIDATES, psi), torsions)
        best = _best(foldings, chain.backbone, room)
        if best is not None:
            added = _Chain(foldings[best], torsions[best], segment.secondary)
            stack.append(_joined([chain, added]))
        elif len(stack) > 1:
            stack.pop()
    return None


def _joined(chains: list[_Chain]) -> _Chain:
    return _Chain(
        np.concatenate([chain.backbone for chain in chains]),
        np.concatenate([chain.torsions for chain in chains]),
        np.concatenate([chain.secondary for chain in chains]),
    )


def _best(foldings: FloatArray, chain: FloatArray, room: _Room) -> int | None:
    """Index of the most compact folding (m, n, 5, 3) that keeps clear of all residues so far; None if none does."""
    others = np.concatenate([room.placed, chain[:-3]])[:, 4]
    reach = room.radius - LEAST_REACH
    rows = np.flatnonzero((np.square(foldings[:, :, 1]).sum(axis=2) <= reach**2).all(axis=1))
    gaps = _distances(foldings[rows, :, 4].reshape(-1, 3), others).reshape(len(rows), foldings.shape[1] * len(others))
    keep = gaps.min(axis=1, initial=np.inf) >= LEAST_CB
    rows, gaps = rows[keep], gaps[keep]
    ca = foldings[rows, :, 1]
    pull = np.square(ca[:, :, None] - room.centres_xyz).sum(axis=3)  # (m, n, chains)
    trespass = np.maximum(pull[:, :, :1] - pull, 0).max(axis=2)  # 0 while the chain's own centre is the nearest
    # where the next segment would go on to: out of the sphere is a dead end
    ahead = ca[:, -1] + 2 * (ca[:, -1] - ca[:, -min(4, ca.shape[1])]) - room.centres_xyz[0]
    score = (pull[:, :, 0] + TRESPASS_WEIGHT * trespass).mean(axis=1)
    score += CROWD_WEIGHT * np.maximum(ROOMY_CB - gaps, 0).sum(axis=1) + AHEAD_WEIGHT * np.square(ahead).sum(axis=1)
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


def _model(rng: np.random.Generator, folded: list[_Chain], radius: float) -> AtomicModel:
    names = np.concatenate([_sequence(rng, chain, radius) for chain in folded])
    whole = _joined(folded)
    atom, xyz, index = all_atoms(names, whole.backbone[:, :4])
    lengths = [len(chain.secondary) for chain in folded]
    number = np.concatenate([np.arange(1, length + 1, dtype=np.int32) for length in lengths])
    empty = np.full(len(atom), "")
    return AtomicModel(
        xyz=np.round(xyz, 3),
        atom=atom,
        element=atom.astype("<U1"),  # every name begins with its element: C, N, O or S
        residue=names[index],
        chain=np.repeat(list(CHAIN_NAMES[: len(folded)]), lengths)[index],
        label_seq_id=number[index],
        auth_seq_id=number[index],
        insertion_code=empty,
        altloc=empty,
        entity_kind=np.full(len(atom), "peptide"),
        occupancy=np.ones(len(atom), dtype=np.float32),
        b_factor=_b_factors(rng, whole, index),
        position=index.astype(np.int32),
        secondary=whole.secondary[index],
        parent=names[index],
    )


def _b_factors(rng: np.random.Generator, whole: _Chain, index: IndexArray) -> npt.NDArray[np.float32]:
    """Low in the core, higher outside, in loops and toward the tips of side chains, smooth along the chain; (k,)."""
    ca = whole.backbone[:, 1]
    depth = np.linalg.norm(ca - ca.mean(axis=0), axis=1)
    rough = 20 + 20 * (depth / max(depth.max(), 1.0)) ** 2 + 6 * (whole.secondary == COIL) + rng.normal(0, 4, len(ca))
    smooth = np.convolve(np.pad(rough, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    first = np.searchsorted(index, np.arange(len(ca)))
    tip = np.maximum(np.arange(len(index)) - first[index] - 4, 0)  # 0 for the backbone and CB
    return np.asarray(np.round(np.clip(smooth[index] + 2 * tip, 15, 80), 2), dtype=np.float32)


def _sequence(rng: np.random.Generator, chain: _Chain, radius: float) -> npt.NDArray[np.str_]:
    """Residue names drawn by FREQUENCIES, then exchanged so that each has room and torsions that suit it; (n,)."""
    kinds, every = np.array(list(SIDE_CHAINS)), np.arange(len(chain.secondary))
    drawn = rng.choice(len(kinds), size=len(every), p=np.array(FREQUENCIES) / sum(FREQUENCIES))
    misfit = _misfit(chain, kinds, radius)
    for here in rng.permutation(np.flatnonzero(misfit[every, drawn])):
        now = misfit[here, drawn[here]] + misfit[every, drawn]
        change = misfit[here, drawn] + misfit[:, drawn[here]] - now
        there = rng.choice(np.flatnonzero(change == change.min()))
        if change[there] < 0:
            drawn[[here, there]] = drawn[[there, here]]
    return np.where(misfit[every, drawn] >= 2, "ALA", kinds[drawn])


def _misfit(chain: _Chain, kinds: npt.NDArray[np.str_], radius: float) -> FloatArray:
    """How ill each residue would suit as each kind, (n, kinds): 2 out of the sphere or a bent proline, 1 at phi > 0."""
    count, (phi, _) = len(chain.secondary), chain.torsions.T
    _, xyz, index = all_atoms(np.repeat(kinds, count), np.tile(chain.backbone[:, :4], (len(kinds), 1, 1)))
    far = np.zeros(len(kinds) * count, dtype=bool)
    far[index[np.square(xyz).sum(axis=1) > (radius - 0.001) ** 2]] = True
    misfit = 2.0 * far.reshape(len(kinds), count).T
    loop = (chain.secondary == COIL) & (np.append(COIL, chain.secondary[:-1]) == COIL)  # the end of a helix is none
    misfit[:, kinds == "PRO"] += 2.0 * ~(loop & (phi > -100) & (phi < -40))[:, None]
    misfit[:, ~np.isin(kinds, ("GLY", "ASN", "ASP"))] += (phi > 0)[:, None]
    return misfit
