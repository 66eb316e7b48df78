"""Secondary structure from backbone hydrogen bonds (Kabsch and Sander, Biopolymers 22, 2577, 1983)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.model import COIL, HELIX, STRAND, AtomicModel
from cryodata.core.volume import FloatArray
from cryodata.errors import RejectedError

NH_LENGTH = 1.01
"A, N-H bond"

BOND_ENERGY = -0.5
"kcal/mol; a hydrogen bond is below"

COUPLING = 0.084 * 332.0
"kcal A/mol: partial charges 0.42 e and 0.20 e times the unit conversion of Kabsch and Sander"

CHAIN_BREAK = 2.5
"A between C and the next N"

CA_REACH = 9.0
"A between C-alphas beyond which no hydrogen bond is possible (mkdssp)"

MAX_NEIGHBOURS = 1000
"residues in a cube of 27 A on average beyond which a model is no molecule; proteins have about 100"

Bonds = set[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Backbone:
    """Residues with all four backbone atoms, in file order; float64 (n, 3) each, A."""

    n: FloatArray
    ca: FloatArray
    c: FloatArray
    o: FloatArray
    proline: npt.NDArray[np.bool_]
    follows: npt.NDArray[np.bool_]
    "whether the residue is bonded to the one before it"


def computed_secondary(model: AtomicModel) -> npt.NDArray[np.uint8]:
    """Class of each atom's residue: coil 1, helix 2, strand 3; 0 where N, CA, C or O is missing.

    model: protein residues, one alternative of each. Returns uint8 (n,). Raises RejectedError `unreadable_model` if
    the residues lie on top of each other.
    """
    complete, backbone = complete_backbone(model)
    result = np.zeros(int(model.position.max(initial=-1)) + 1, dtype=np.uint8)
    result[complete] = _classify(backbone)
    return result[model.position] if len(model) else np.zeros(0, dtype=np.uint8)


def complete_backbone(model: AtomicModel) -> tuple[npt.NDArray[np.int32], Backbone]:
    """The residues that have N, CA, C and O: their `position`, int32 (n,), and the atoms."""
    rows = {}
    for name, element in (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O")):
        found = np.flatnonzero(model.atom == name)
        found = found[np.char.upper(model.element[found]) == element]
        places, first = np.unique(model.position[found], return_index=True)
        rows[name] = dict(zip(places.tolist(), found[first].tolist(), strict=True))
    complete = sorted(set.intersection(*(set(found) for found in rows.values())))
    at = {name: np.array([found[place] for place in complete], dtype=np.int64) for name, found in rows.items()}
    n, ca, c, o = (model.xyz[at[name]].reshape(-1, 3) for name in ("N", "CA", "C", "O"))
    follows = np.zeros(len(complete), dtype=np.bool_)
    same_chain = model.chain[at["CA"]][1:] == model.chain[at["CA"]][:-1]
    follows[1:] = same_chain & (np.linalg.norm(n[1:] - c[:-1], axis=1) <= CHAIN_BREAK)
    proline = model.residue[at["CA"]] == "PRO"
    return np.array(complete, dtype=np.int32), Backbone(n, ca, c, o, proline, follows)


def _classify(backbone: Backbone) -> npt.NDArray[np.uint8]:
    count = len(backbone.ca)
    segment = np.cumsum(~backbone.follows, dtype=np.int64)
    bonds = _hydrogen_bonds(backbone)
    helix = {turn: _helix(bonds, segment, turn) for turn in (3, 4, 5)}
    strand = _strand(bonds, segment)
    result = np.full(count, COIL, dtype=np.uint8)
    # DSSP's order of precedence: H, then E and B, then G, then I
    result[helix[5] | helix[3]] = HELIX
    result[strand] = STRAND
    result[helix[4]] = HELIX
    return result


def _hydrogen_bonds(backbone: Backbone) -> Bonds:
    """Pairs (acceptor, donor): the C=O of the first is bonded to the N-H of the second."""
    previous = np.roll(np.arange(len(backbone.ca)), 1)
    carbonyl = backbone.c - backbone.o
    direction = carbonyl[previous] / np.maximum(np.linalg.norm(carbonyl[previous], axis=1), 1e-6)[:, None]
    hydrogen = backbone.n + NH_LENGTH * direction  # opposite the preceding C=O
    donates = backbone.follows & ~backbone.proline
    acceptor, donor = _pairs_within(backbone.ca, CA_REACH)
    keep = donates[donor] & ~((donor == acceptor + 1) & backbone.follows[donor])
    acceptor, donor = acceptor[keep], donor[keep]

    def inverse_distance(a: FloatArray, b: FloatArray) -> FloatArray:
        # no closer than half an Angstrom, as DSSP: overlapping atoms would give infinite energies
        return np.asarray(1.0 / np.maximum(np.linalg.norm(a - b, axis=1), 0.5))

    c, o, n, h = backbone.c[acceptor], backbone.o[acceptor], backbone.n[donor], hydrogen[donor]
    energy = COUPLING * (
        inverse_distance(o, n) + inverse_distance(c, h) - inverse_distance(o, h) - inverse_distance(c, n)
    )
    bonded = energy < BOND_ENERGY
    return set(zip(acceptor[bonded].tolist(), donor[bonded].tolist(), strict=True))


def _helix(bonds: Bonds, segment: npt.NDArray[np.int64], turn: int) -> npt.NDArray[np.bool_]:
    """Residues of helices of one kind: two turns in a row, at i - 1 and i, make i to i + turn - 1 helical."""
    count = len(segment)
    starts = [i for i in range(count - turn) if segment[i] == segment[i + turn] and (i, i + turn) in bonds]
    turns = set(starts)
    mask = np.zeros(count, dtype=np.bool_)
    for i in starts:
        if i - 1 in turns and segment[i - 1] == segment[i]:
            mask[i : i + turn] = True
    return mask


def _strand(bonds: Bonds, segment: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Residues in a bridge, parallel or antiparallel."""
    count = len(segment)
    mask = np.zeros(count, dtype=np.bool_)
    inner = np.zeros(count, dtype=np.bool_)  # both neighbours in the same segment
    inner[1:-1] = (segment[:-2] == segment[1:-1]) & (segment[1:-1] == segment[2:])
    for acceptor, donor in bonds:
        for i, j in _bridge_candidates(acceptor, donor):
            within = 0 < i < count - 1 and 0 < j < count - 1 and abs(i - j) > 2
            if within and inner[i] and inner[j] and _is_bridge(bonds, i, j):
                mask[i] = mask[j] = True
    return mask


def _is_bridge(bonds: Bonds, i: int, j: int) -> bool:
    """Whether the bonds of a parallel or an antiparallel bridge between two residues are there."""
    return (
        ((i - 1, j) in bonds and (j, i + 1) in bonds)
        or ((j - 1, i) in bonds and (i, j + 1) in bonds)
        or ((i, j) in bonds and (j, i) in bonds)
        or ((i - 1, j + 1) in bonds and (j - 1, i + 1) in bonds)
    )


def _bridge_candidates(acceptor: int, donor: int) -> tuple[tuple[int, int], ...]:
    """Bridges that a bond may be part of: every bridge has a bond in one of these places."""
    return ((acceptor + 1, donor), (acceptor, donor), (acceptor + 1, donor - 1), (acceptor, donor - 1))


def _pairs_within(xyz: FloatArray, reach: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All ordered pairs of different points nearer than `reach`, by a cell list."""
    count = len(xyz)
    if count < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    cells = np.floor((xyz - xyz.min(axis=0)) / reach).astype(np.int64) + 1
    sizes = cells.max(axis=0) + 2
    strides = np.array([sizes[1] * sizes[2], sizes[2], 1])
    keys = cells @ strides
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    firsts, seconds = [], []
    for step in np.ndindex(3, 3, 3):
        wanted = keys + (np.array(step) - 1) @ strides
        low, high = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
        lengths = high - low
        if lengths.sum() > MAX_NEIGHBOURS * count:
            raise RejectedError("unreadable_model", f"{count:,} residues lie on top of each other")
        first = np.repeat(np.arange(count), lengths)
        within = np.arange(len(first)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        second = order[np.repeat(low, lengths) + within]
        near = (first != second) & (np.linalg.norm(xyz[first] - xyz[second], axis=1) < reach)
        firsts.append(first[near])
        seconds.append(second[near])
    return np.concatenate(firsts), np.concatenate(seconds)
