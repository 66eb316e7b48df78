"""The scheme `sequence`: splits of the entries of a version, and what each of its schemes lets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryodata.build.kinship.edges import unit_edges
from cryodata.build.kinship.kept import all_pairs
from cryodata.build.kinship.leakage import measure
from cryodata.build.kinship.pairs import Observe, Pairs
from cryodata.build.kinship.units import MANY, Proteins, criterion_of, rule_of
from cryodata.core.components import split_components
from cryodata.core.entry import Entry
from cryodata.core.leakage import Leakage
from cryodata.core.splits import fixed_splits
from cryodata.prepare.alignment import is_fast

SLOW = 200
"sequences whose pairs take minutes without parasail"

Known = Sequence[tuple[Entry, Sequence[Mapping[str, Any]]]]
"entries, each with the sequences of its chains as the entries table has them"


@dataclass(frozen=True, slots=True)
class Rules:
    """What splits by sequence follow."""

    seed: int
    promiscuous: str
    "auto, join or share"

    listed: Mapping[str, str]
    "split of entry ids and archive ids, from a user's file"

    parent: Mapping[str, str]
    "split of the units of the parent version"


def split_by_sequence(
    entries: Known, rules: Rules, folder: Path, temporary: Path, hands: int = 1, observe: Observe = lambda *_: None
) -> tuple[dict[str, str], Proteins, Pairs]:
    """Split of each entry id, and the proteins and pairs that it follows from."""
    proteins = Proteins.of(entries)
    pairs = all_pairs(folder, temporary, proteins.sequences, hands, observe)
    rule = rule_of(rules.promiscuous, len(entries))
    edges = unit_edges(proteins, pairs, rule, criterion_of(rule, proteins))
    fixed = fixed_splits([entry for entry, _ in entries], rules.listed, rules.parent)
    by_unit = split_components(proteins.units, edges, fixed, rules.seed)
    return {entry.entry_id: by_unit[entry.unit] for entry, _ in entries}, proteins, pairs


def telling(say: Callable[[str], None]) -> Observe:
    """Tells of the work in tenths where it is long, and how to make it shorter."""
    told = [-1]

    def observe(done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if told[0] < 0 and total >= SLOW and not is_fast():
            say("comparing sequences by NumPy; `pip install parasail` would make it 300 times as fast")
        if total >= MANY and tenth > told[0]:
            say(f"comparing sequences: {done:,} of {total:,}")
        told[0] = max(told[0], tenth)

    return observe


def measured(splits: Mapping[str, Mapping[str, str]], proteins: Proteins, pairs: Pairs) -> list[Leakage]:
    """What each scheme of a version lets through."""
    return [measure(scheme, split_of, proteins, pairs) for scheme, split_of in splits.items()]
