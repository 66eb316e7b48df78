"""How long do splits by sequence take for an archive, and which pairs does the search by words miss?

    python -m benchmarks.splits
    python -m benchmarks.splits --whole 25000 --hands 2     an archive by the rule `share`, half an hour or more

Times are of one core, of worlds of growing size; the slope between the last two tells of 25,000 entries. Recall is
counted against alignments of all pairs. It does not show how many relatives real proteins have, nor how alike they are:
on entries of the archive the share of pairs to align, and with it the time, may differ.
"""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, Namespace
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.build.tables import peak
from benchmarks.record import record
from benchmarks.splits.families import background, text, world
from cryodata.build.kinship.edges import everywhere, unit_edges
from cryodata.build.kinship.leakage import measure
from cryodata.build.kinship.pairs import Pairs, similar_pairs
from cryodata.build.kinship.units import Proteins, criterion_of
from cryodata.core.components import components, split_components
from cryodata.core.entry import Entry
from cryodata.prepare.alignment import Criterion, score_beyond_chance
from cryodata.prepare.words import WordIndex

ARCHIVE = 25_000
"entries"


def proteins_of(entries: list[list[str]]) -> Proteins:
    """As a build takes them from its receipts."""
    return Proteins.of(
        (
            Entry(f"EMD-{number:05d}", emdb_id=f"EMD-{number:05d}"),
            [{"chain": str(at), "kind": "peptide", "modelled": chain, "full": ""} for at, chain in enumerate(chains)],
        )
        for number, chains in enumerate(entries)
    )


def timed(entries: int) -> dict[str, Any]:
    """Seconds of one core for all of it, and what came out."""
    made = world(entries)
    proteins = proteins_of(made.entries)
    began = time.process_time()
    pairs = similar_pairs(proteins.sequences, Criterion(), exact=0)
    searched = time.process_time()
    found = {rule: _split(proteins, pairs, rule, made.promiscuous) for rule in ("join", "share")}
    ended = time.process_time()
    return {
        "entries": entries,
        "sequences": len(proteins.sequences),
        "residues": int(proteins.lengths.sum()),
        "pairs": len(pairs),
        "seconds_pairs": round(searched - began, 2),
        "seconds_splits_and_leakage_of_both_rules": round(ended - searched, 2),
        "peak_bytes": peak(),
        **found,
    }


def _split(proteins: Proteins, pairs: Pairs, rule: str, promiscuous: set[str]) -> dict[str, Any]:
    criterion = criterion_of(rule, proteins)
    edges = unit_edges(proteins, pairs, rule, criterion)
    largest = int(np.bincount(components(len(proteins.units), edges)).max())
    splits = split_components(proteins.units, edges, {}, 0)
    leakage = measure("sequence", splits, proteins, pairs)
    held = [
        {"split": part.split, "entries": part.entries, "residues": part.residues, "above": list(part.above)}
        for part in leakage.held
    ]
    hidden = {proteins.sequences[number] for number in np.flatnonzero(everywhere(proteins, pairs))}
    told = {
        "promiscuous_sequences": len(promiscuous),
        "of_them_found_everywhere": len(hidden & promiscuous),
        "others_found_everywhere": len(hidden - promiscuous),
    }
    return {
        **(told if rule == "share" else {}),
        "score": criterion.score,
        "edges": len(edges),
        "largest_component": largest,
        "held": held,
    }


def recall(entries: int) -> dict[str, Any]:
    """Pairs that words find, of all; by score and by identity."""
    sequences = proteins_of(world(entries, seed=1).entries).sequences
    began = time.process_time()
    every = similar_pairs(sequences, Criterion(), exact=len(sequences))
    seconds = time.process_time() - began
    some = {tuple(row[:2]) for row in similar_pairs(sequences, Criterion(), exact=0).rows().tolist()}
    rows = every.rows().tolist()

    def share(kept: list[Any]) -> list[float]:
        return [len(kept), round(sum(tuple(row[:2]) in some for row in kept) / max(1, len(kept)), 4)]

    beyond = score_beyond_chance(sum(map(len, sequences)))
    index = WordIndex(sequences)
    asked = range(0, len(sequences), max(1, len(sequences) // 200))
    passed = sum(len(index.alike(number)) for number in asked) / len(asked) / len(sequences)
    return {
        "sequences": len(sequences),
        "seconds_of_all_pairs": round(seconds, 1),
        "share_aligned": round(passed, 4),
        "score_beyond_chance": beyond,
        "pairs_and_recall": {
            "all": share(rows),
            "beyond chance": share([row for row in rows if row[2] >= beyond]),
            **{
                f"identity {low:.2f} to {high:.2f}": share([row for row in rows if low <= row[3] < high])
                for low, high in pairwise((0.30, 0.35, 0.40, 0.50, 0.70, 1.01))
            },
        },
    }


def chance(count: int) -> dict[str, Any]:
    """Pairs of unrelated sequences that meet the criterion, and their highest score."""
    rng = np.random.Generator(np.random.PCG64(2))
    lengths = np.clip(rng.lognormal(5.7, 0.7, count), 30, 3000).astype(int)
    sequences = sorted({text(background(rng, int(length))) for length in lengths})
    pairs = similar_pairs(sequences, Criterion(), exact=len(sequences))
    beyond = score_beyond_chance(sum(map(len, sequences)))
    return {
        "sequences": len(sequences),
        "pairs": len(sequences) * (len(sequences) - 1) // 2,
        "alike": len(pairs),
        "highest_score": int(pairs.score.max()) if len(pairs) else 0,
        "score_beyond_chance": beyond,
        "alike_beyond_chance": len(pairs.above(beyond)),
    }


def run(given: Namespace) -> dict[str, Any]:
    """All of it."""
    rows = [timed(entries) for entries in given.entries]
    result: dict[str, Any] = {"times": rows, "recall": recall(given.recall), "chance": chance(given.chance)}
    if len(rows) > 1:
        one, other = rows[-2], rows[-1]
        slope = math.log(other["seconds_pairs"] / max(one["seconds_pairs"], 1e-9)) / math.log(
            other["entries"] / one["entries"]
        )
        seconds = other["seconds_pairs"] * (ARCHIVE / other["entries"]) ** slope
        result["archive"] = {"entries": ARCHIVE, "slope": round(slope, 3), "core_seconds": round(seconds)}
    return result


def whole(entries: int, hands: int) -> dict[str, Any]:
    """Wall and processor seconds of a split by the rule `share`, with its leakage, as a build makes it."""
    made = world(entries)
    proteins = proteins_of(made.entries)
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = similar_pairs(proteins.sequences, Criterion(), hands=hands)
    share = _split(proteins, pairs, "share", made.promiscuous)
    return {
        "entries": entries,
        "sequences": len(proteins.sequences),
        "threads": hands,
        "pairs": len(pairs),
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_bytes": peak(),
        "share": share,
    }


def arguments() -> ArgumentParser:
    """Sizes; the defaults take a quarter of an hour of one core."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, nargs="+", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--recall", type=int, default=1500, help="entries")
    parser.add_argument("--chance", type=int, default=2000, help="sequences")
    parser.add_argument("--whole", type=int, metavar="ENTRIES", help="only this, as a build does it")
    parser.add_argument("--hands", type=int, default=1, help="threads of --whole")
    return parser


if __name__ == "__main__":
    asked = arguments().parse_args()
    libraries = ("numpy", "parasail")
    if asked.whole:
        print(record("splits-whole", libraries, whole(asked.whole, asked.hands)))
    else:
        print(record("splits", libraries, run(asked)))
