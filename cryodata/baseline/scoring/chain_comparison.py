"""The numbers of phenix.chain_comparison, without phenix.

The rules follow the published source of the tool (mmtbx/validation/chain_comparison.py of cctbx/cctbx_project, its
version of August 2026), for proteins; the code is our own, and its regression test is one of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cryodata.baseline.scoring.matching import FloatArray, Pairs, match_greedily, near_pairs
from cryodata.baseline.scoring.unique import unique_part
from cryodata.core.calphas import CAlphas, Crystal

CLOSE = 3.0
"A; max_dist of the tool"

GAP = 2 * 3.8
"A between neighbours in the file that are no neighbours in the chain: twice distance_per_site of the tool"

FORWARD, REVERSE, MIXED = "forward", "reverse", "mixed"


@dataclass(frozen=True, slots=True)
class ChainComparison:
    """What the tool prints for one model; the model is its query, the reference its target."""

    target: str
    "unique or entire: the part of the reference that was compared with, the one of which more is found"

    target_residues: int
    "residues of that part"

    close: int
    "residues of the model that are paired with one of the reference within 3 A"

    rmsd: float | None
    "over the close pairs, A; None without any"

    far: int
    "residues of the model without a partner"

    forward: int
    "close pairs that run along the reference"

    forward_rmsd: float | None
    "A"

    reverse: int
    "close pairs that run against it"

    reverse_rmsd: float | None
    "A"

    mixed: int
    "close pairs that do neither"

    found_percent: float
    "close pairs as a share of the residues of the reference: `matching %`"

    ca_score: float
    "that share, 0 to 1, divided by the RMSD (at least 0.1 A)"

    seq_match_percent: float
    "share of the close pairs with the same residue name: `sequence id %`"

    seq_score: float
    "share of the reference that is found with the same residue name, 0 to 1"

    mean_length: float
    "close pairs by run of one direction"

    fragments: int
    "pieces of the model between gaps above 7.6 A"

    bad_connections: int
    "joints of runs at which the direction changes, or that step back"


def compare_chains(model: CAlphas, reference: CAlphas, crystal: Crystal | None = None) -> ChainComparison:
    """Compare a model with a reference: once with the unique part of it, once with all of it; the higher share counts.

    HETATM records are left out. crystal: pairs are sought across its symmetry.
    """
    model, reference = model.take(~model.hetero), reference.take(~reference.hetero)
    unique = _compare(model, unique_part(reference, model), crystal, "unique")
    entire = _compare(model, reference, crystal, "entire")
    return entire if entire.found_percent > unique.found_percent else unique


def _compare(model: CAlphas, reference: CAlphas, crystal: Crystal | None, target: str) -> ChainComparison:
    pairs = match_greedily(near_pairs(model.xyz, reference.xyz, CLOSE, crystal))
    directions = np.array(list(_directions(pairs)), dtype=np.str_)
    forward, reverse = pairs.take(directions == FORWARD), pairs.take(directions == REVERSE)
    found = len(pairs) / max(1, len(reference))
    same = float(np.mean(model.residue[pairs.model] == reference.residue[pairs.reference])) if len(pairs) else 0.0
    runs = _runs(forward) + _runs(reverse)
    return ChainComparison(
        target=target,
        target_residues=len(reference),
        close=len(pairs),
        rmsd=pairs.rmsd,
        far=len(model) - len(pairs),
        forward=len(forward),
        forward_rmsd=forward.rmsd,
        reverse=len(reverse),
        reverse_rmsd=reverse.rmsd,
        mixed=len(pairs) - len(forward) - len(reverse),
        found_percent=100 * found,
        ca_score=found / max(0.1, pairs.rmsd or 0.0),
        seq_match_percent=100 * same,
        seq_score=same * found,
        mean_length=len(pairs) / max(1, runs),
        fragments=_fragments(model.xyz),
        bad_connections=_bad_connections(pairs.reference.tolist()),
    )


def _directions(pairs: Pairs) -> Iterator[str]:
    """FORWARD, REVERSE or MIXED for each pair.

    A pair that goes on from a directed one is judged by that step. After a MIXED one, and at the start, it is judged by
    the step to the next pair. So the first pair after each break of an unbroken list is MIXED, and a direction may turn
    without one.
    """
    places = list(zip(pairs.model.tolist(), pairs.reference.tolist(), strict=True))
    last: tuple[int, int] | None = None
    for here, following in zip(places, [*places[1:], None], strict=False):
        direction = _step(here, following) if last is None else _step(last, here)
        last = None if direction == MIXED else here
        yield direction


def _step(here: tuple[int, int], there: tuple[int, int] | None) -> str:
    if there is None or there[0] != here[0] + 1:
        return MIXED
    return {1: FORWARD, -1: REVERSE}.get(there[1] - here[1], MIXED)


def _runs(pairs: Pairs) -> int:
    """Runs of neighbours in the model."""
    return int(np.count_nonzero(np.diff(pairs.model) != 1)) + 1 if len(pairs) else 0


def _fragments(xyz: FloatArray) -> int:
    return int(np.count_nonzero(np.linalg.norm(np.diff(xyz, axis=0), axis=1) > GAP)) + 1


def _bad_connections(reference: Sequence[int]) -> int:
    """Joints between runs of at least two pairs at which the direction turns, or at which a run does not go on the way
    it goes. reference: row of the reference of each close pair, in the order of the model."""
    runs: list[tuple[int, int]] = []  # (direction: 0 of a single pair, last row)
    for row in reference:
        step = row - runs[-1][1] if runs else 0
        if runs and abs(step) == 1 and runs[-1][0] in (0, step):
            runs[-1] = (step, row)
        else:
            runs.append((0, row))
    long = [run for run in runs if run[0]]
    # one that runs forward must end further on, one that runs back must not
    good = ((a[0] == b[0]) and ((b[1] > a[1]) == (a[0] == 1)) for a, b in pairwise(long))
    return sum(not item for item in good)
