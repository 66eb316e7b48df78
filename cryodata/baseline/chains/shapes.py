"""Copies of one protein have one shape: a turn and a shift that lays one copy on another does so all along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Motion = tuple[Array, Array]

WINDOW = 100
"residues before and after a break that are compared: a domain; farther ones may have turned"

CLOSE = 3.0
"A between places that agree: less than from one alpha carbon to the next"

ENOUGH = 12
"residues that must agree for a motion to be believed: any three points can be laid on any others about"

AGREES = 0.5
"nats for a residue that agrees; a third of what a right residue is worth"

MOST = 4
"copies up to which every exchange of tails is tried, 24 at most; of more only those between two"


def copies_of(sequences: Sequence[str]) -> list[list[int]]:
    """Numbers of the chains of each sequence that is there more than once."""
    found: dict[str, list[int]] = {}
    for number, sequence in enumerate(sequences):
        found.setdefault(sequence, []).append(number)
    return [numbers for numbers in found.values() if len(numbers) > 1]


def arrange(
    xyz: Array,
    reach: tuple[float, float],
    paths: list[Array],
    copies: Sequence[int],
    worth: Callable[[int, Array], float],
) -> int:
    """Exchange tails between copies where heads then agree with them in shape; returns how often that was done.

    xyz: states, (S, 3), A. reach: A, least and greatest between neighbours. paths: states of each chain's residues, -1
    where none; those of `copies` may be replaced. worth: score of a path of a chain, nats; what an exchange loses there
    must be less than what agrees wins.
    """
    count = 0
    for place in _breaks(xyz, reach, [paths[k] for k in copies]):
        tracks = [paths[k] for k in copies]
        ways = _ways(xyz, tracks, place)
        for gained, order in ways:
            new = [np.concatenate([tracks[a][:place], tracks[b][place:]]) for a, b in enumerate(order)]
            changed = [a for a, b in enumerate(order) if a != b]
            won = sum(worth(copies[a], new[a]) - worth(copies[a], tracks[a]) for a in changed)
            if won + AGREES * gained > 0:
                for a in changed:
                    paths[copies[a]] = new[a]
                count += 1
                break
    return count


def _breaks(xyz: Array, reach: tuple[float, float], tracks: Sequence[Array]) -> list[int]:
    """Residues before which a track is broken, ascending."""
    places = set()
    for track in tracks:
        placed = np.flatnonzero(track >= 0)
        before, after = placed[:-1], placed[1:]
        apart = np.linalg.norm(xyz[track[before]] - xyz[track[after]], axis=1)
        whole = (after - before == 1) & (apart >= reach[0]) & (apart <= reach[1])
        places.update(after[~whole].tolist())
    return sorted(places)


def _ways(xyz: Array, tracks: Sequence[Array], place: int) -> list[tuple[int, tuple[int, ...]]]:
    """Exchanges of tails at a place after which more residues agree, best first: how many more, tail of each head."""
    low, high = max(0, place - WINDOW), place + WINDOW
    motions = {
        pair: _motion(xyz, *(tracks[k][low:place] for k in pair)) for pair in combinations(range(len(tracks)), 2)
    }
    known = {pair: motion for pair, motion in motions.items() if motion is not None}
    if not known:
        return []
    tails = [track[place:high] for track in tracks]
    agreeing = {
        (pair, one, two): _agreeing(xyz, motion, tails[one], tails[two])
        for pair, motion in known.items()
        for one in range(len(tracks))
        for two in range(len(tracks))
        if one != two
    }

    def total(order: tuple[int, ...]) -> int:
        return sum(agreeing[pair, order[pair[0]], order[pair[1]]] for pair in known)

    same = tuple(range(len(tracks)))
    now = total(same)
    found = [(total(order) - now, order) for order in _orders(len(tracks)) if order != same]
    return sorted((way for way in found if way[0] > 0), key=lambda way: (-way[0], way[1]))


def _orders(count: int) -> list[tuple[int, ...]]:
    if count <= MOST:
        return list(permutations(range(count)))
    orders = []
    for one, two in combinations(range(count), 2):
        order = list(range(count))
        order[one], order[two] = two, one
        orders.append(tuple(order))
    return orders


def _motion(xyz: Array, one: Array, two: Array) -> Motion | None:
    """The turn and shift that lays a stretch on that of another copy; None if too few residues agree."""
    both = np.flatnonzero((one >= 0) & (two >= 0))
    here, there = xyz[one[both]].astype(np.float64), xyz[two[both]].astype(np.float64)
    used = np.arange(max(0, len(both) - 3 * ENOUGH), len(both))  # those next to the break first
    for _ in range(4):
        if len(used) < ENOUGH:
            return None
        motion = _laid_on(here[used], there[used])
        close = np.linalg.norm(here @ motion[0] + motion[1] - there, axis=1) < CLOSE
        if np.array_equal(np.flatnonzero(close), used):
            break
        used = np.flatnonzero(close)
    return motion if len(used) >= ENOUGH else None


def _agreeing(xyz: Array, motion: Motion, one: Array, two: Array) -> int:
    both = (one >= 0) & (two >= 0)
    moved = xyz[one[both]] @ motion[0] + motion[1]
    return int(np.count_nonzero(np.linalg.norm(moved - xyz[two[both]], axis=1) < CLOSE))


def _laid_on(here: Array, there: Array) -> Motion:
    """Least squares turn and shift of points onto others (Kabsch, Acta Cryst. A 32, 922, 1976)."""
    centre, goal = here.mean(axis=0), there.mean(axis=0)
    left, _, right = np.linalg.svd((here - centre).T @ (there - goal))
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ mirror @ right
    return turn, goal - centre @ turn
