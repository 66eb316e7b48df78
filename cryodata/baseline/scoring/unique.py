"""The part of a model in which no chain repeats another, as phenix.chain_comparison takes it from a target."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cryodata.baseline.scoring.sequences import identity_of_longer
from cryodata.core.calphas import CAlphas

MIN_SIMILARITY = 0.99
"min_similarity of the tool"


def unique_part(reference: CAlphas, near: CAlphas) -> CAlphas:
    """One of each group of chains with the same sequence (99 % identity over the longer).

    If all groups are multiples of the smallest in number, each gives as many chains as it is a multiple; otherwise all
    chains stay. Of several the ones whose centre is nearest to the centre of `near` are taken. The tool measures
    similarity with a closed library; here it is the identity of a global alignment (BLOSUM62) over the longer sequence.
    """
    rows = {name: rows for name, rows in reference.chains.items() if reference.sequence(rows).strip("X")}
    if not rows:
        return reference
    # the tool orders the chains by the sequence of their group
    groups = dict(sorted(_groups({name: reference.sequence(item) for name, item in rows.items()}).items()))
    smallest = min(len(names) for names in groups.values())
    even = all(len(names) % smallest == 0 for names in groups.values())
    centre = near.xyz.mean(axis=0) if len(near) else np.zeros(3)
    chosen = []
    for names in groups.values():
        distance = {name: float(np.linalg.norm(reference.xyz[rows[name]].mean(axis=0) - centre)) for name in names}
        ranked = sorted(names, key=lambda name, far=distance: far[name])  # type: ignore[misc]
        chosen += ranked[: len(names) // smallest] if even else ranked
    return reference.take(np.concatenate([rows[name] for name in chosen]))


def _groups(sequences: dict[str, str]) -> dict[str, list[str]]:
    """Names of the chains by the first sequence that each is similar to."""
    groups: dict[str, list[str]] = {}
    for name, text in sequences.items():
        letters = text.replace("X", "")
        like = letters if letters in groups else next((item for item in groups if _similar(letters, item)), letters)
        groups.setdefault(like, []).append(name)
    return groups


def _similar(one: str, other: str) -> bool:
    """Whether two sequences are the same to 99 %; cheap bounds first, so that few are aligned."""
    longer = max(len(one), len(other))
    common = sum((Counter(one) & Counter(other)).values())
    if min(len(one), len(other)) < MIN_SIMILARITY * longer or common < MIN_SIMILARITY * longer:
        return False
    return identity_of_longer(one, other) >= MIN_SIMILARITY
