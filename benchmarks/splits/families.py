"""Made-up protein families in made-up entries: descent by substitutions as BLOSUM62 has them, insertions, deletions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cryodata.prepare.alignment import LETTERS, scores

FREQUENCIES = (
    0.0825, 0.0553, 0.0406, 0.0545, 0.0137, 0.0393, 0.0675, 0.0707, 0.0227, 0.0596,
    0.0966, 0.0584, 0.0242, 0.0386, 0.0470, 0.0656, 0.0534, 0.0108, 0.0292, 0.0687,
)  # fmt: skip
"of the residues in UniProtKB/Swiss-Prot, in the order of LETTERS"

GAPS = 0.02
"insertions and deletions a residue at identity 0"

NEW = 0.6
"share of the chains that nobody has deposited before"

EVERYWHERE = (("ubiquitin", 76), ("G protein", 354), ("antibody", 230))
"kinds of chains that are in one of 40 entries each, whatever else is in there"


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Entries and their chains."""

    entries: list[list[str]]
    "sequences of the chains of each entry"

    promiscuous: set[str]
    "those of them that are in one of 40 entries"


def background(rng: np.random.Generator, length: int) -> Any:
    """A sequence without relatives, as numbers of LETTERS."""
    weights = np.array(FREQUENCIES)
    return rng.choice(20, length, p=weights / weights.sum())


def descendant(ancestor: Any, identity: float, rng: np.random.Generator) -> Any:
    """A sequence that has kept this share of the residues; some sites change faster than others."""
    rate = rng.gamma(1.0, 1.0, len(ancestor))
    low, high = 0.0, 60.0
    for _ in range(40):
        time = (low + high) / 2
        low, high = (time, high) if (1 - np.exp(-time * rate)).mean() < 1 - identity else (low, time)
    changed = rng.random(len(ancestor)) < 1 - np.exp(-low * rate)
    chances = np.array(FREQUENCIES) * 2.0 ** (scores()[:20, :20] / 2)  # BLOSUM62 is in half bits
    np.fill_diagonal(chances, 0.0)
    steps = (chances / chances.sum(axis=1, keepdims=True)).cumsum(axis=1)
    residues = ancestor.copy()
    drawn = rng.random(len(ancestor))
    residues[changed] = np.minimum((steps[ancestor[changed]] < drawn[changed, None]).sum(axis=1), 19)
    parts, at = [], 0
    for place in np.flatnonzero(rng.random(len(residues)) < GAPS * (1 - identity)).tolist():
        length = int(min(rng.geometric(0.3), 20))
        parts.append(residues[at:place])
        if rng.random() < 0.5:
            parts.append(background(rng, length))
            at = place
        else:
            at = max(at, place + length)
    return np.concatenate([*parts, residues[at:]]) if at < len(residues) else np.concatenate([*parts, residues[:1]])


def text(residues: Any) -> str:
    """A sequence as letters."""
    return "".join(LETTERS[number] for number in residues.tolist())


def world(entries: int, seed: int = 0) -> World:
    """So many entries. Each shows one of the systems, which are of very different size and have one to four families of
    chains of their own; one of 50 shows two systems together. Members have kept 35 to 95 % of their family's ancestor,
    and four of ten chains were deposited before."""
    rng = np.random.Generator(np.random.PCG64(seed))
    systems = [
        [background(rng, int(length)) for length in np.clip(rng.lognormal(5.7, 0.7, rng.integers(1, 5)), 30, 3000)]
        for _ in range(max(1, entries // 3))
    ]
    commons = [background(rng, length) for _, length in EVERYWHERE]
    known: dict[tuple[int, int], list[str]] = {}
    made, promiscuous = [], set()
    for _ in range(entries):
        shown = [int(len(systems) * rng.random() ** 2)]
        if rng.random() < 1 / 50:
            shown.append(int(rng.integers(len(systems))))
        chains = []
        for family in [(system, at) for system in shown for at in range(len(systems[system]))]:
            members = known.setdefault(family, [])
            if not members or rng.random() < NEW:
                ancestor = systems[family[0]][family[1]]
                members.append(text(descendant(ancestor, float(rng.uniform(0.35, 0.95)), rng)))
            chains.append(members[int(rng.integers(len(members)))])
        for ancestor in commons:
            if rng.random() < 1 / 40:
                chains.append(text(descendant(ancestor, float(rng.uniform(0.6, 1.0)), rng)))
                promiscuous.add(chains[-1])
        made.append(chains)
    return World(made, promiscuous)
