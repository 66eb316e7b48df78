"""Figures of a version, counted from its entries: what the dataset card shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cryodata.core.leakage import Leakage
from cryodata.core.schema import Schema
from cryodata.core.splits import DEFAULT_SCHEME

MAX_VALUES = 6
"distinct texts of a column that are counted one by one"


STATES = ("model", "written", "lost", "outside")
"atoms in the model, and what became of them"


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the entries of the parent version."""

    parent: str
    added: Sequence[str]
    removed: Mapping[str, str]
    "why each is refused now; empty where it is no longer asked for"

    changed: Sequence[str]
    "entries whose volume has other bytes"

    kept: int
    "entries whose volume is the same"


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a version."""

    by_split: Mapping[str, Mapping[str, int]]
    "entries by split and bin of resolution"

    labels: Mapping[str, Mapping[str, Mapping[str, int]]]
    "for each class of each label: atoms in the model, written, lost, outside"

    facts: Mapping[str, str]
    "what the builder measured: least / median / most of numbers, the most frequent texts"

    leakage: Sequence[Leakage] = ()
    "what each scheme of splits lets through, where it was measured"

    shared: Sequence[tuple[str, str, Sequence[str]]] = ()
    "what several entries have in common: what, which, and the ids of the entries"


def summarize(entries: pa.Table, schema: Schema) -> Summary:
    """Count a table of entries."""
    by_split: dict[str, Counter[str]] = {}
    splits, bins = entries[f"split_{DEFAULT_SCHEME}"].to_pylist(), entries["resolution_bin"].to_pylist()
    for split, resolution in zip(splits, bins, strict=True):
        by_split.setdefault(split, Counter())[resolution] += 1
    facts = {fact.name: _digest(entries[fact.name]) for fact in schema.facts}
    return Summary(
        by_split, _label_counts(entries["label_counts"]), {name: text for name, text in facts.items() if text}
    )


def compare(parent: str, before: pa.Table, after: pa.Table, rejected: Mapping[str, str]) -> Changes:
    """What is in `after` and was not in `before`, tables of entries, the other way round, and with other bytes.

    rejected: code of each entry that is refused now.
    """
    old, new = (
        dict(zip(table["entry_id"].to_pylist(), table["volume"].to_pylist(), strict=True)) for table in (before, after)
    )
    both = old.keys() & new.keys()
    changed = sorted(key for key in both if old[key] != new[key])
    removed = {key: rejected.get(key, "") for key in sorted(old.keys() - new.keys())}
    return Changes(parent, sorted(new.keys() - old.keys()), removed, changed, len(both) - len(changed))


def _label_counts(column: pa.ChunkedArray) -> dict[str, dict[str, dict[str, int]]]:
    """Sums over all entries, classes in the order of the first; by arrow, for there may be a million counts."""
    counts = pa.Table.from_struct_array(column.combine_chunks().flatten())
    sums = counts.group_by(["label", "name"], use_threads=False).aggregate([(state, "sum") for state in STATES])
    # arrow promises no order of the groups
    first = {
        (item["label"], item["name"]): place for place, item in enumerate(column[0].as_py() if len(column) else ())
    }
    rows = sorted(sums.to_pylist(), key=lambda row: first.get((row["label"], row["name"]), len(first)))
    found: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        found.setdefault(row["label"], {})[row["name"]] = {state: row[f"{state}_sum"] for state in STATES}
    return found


def _digest(column: pa.ChunkedArray) -> str:
    """A column in a few words; nothing for texts that hardly repeat, and for vectors."""
    kind: Any = column.type
    values = column.drop_null()
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = np.asarray(values, np.float64)
        numbers = numbers[np.isfinite(numbers)]
        spread = (numbers.min(), np.median(numbers), numbers.max()) if len(numbers) else ()
        return " / ".join(f"{number:,.0f}" if pa.types.is_integer(kind) else f"{number:.4g}" for number in spread)
    if not pa.types.is_string(kind):
        return ""
    counts = Counter(values.to_pylist())
    if not 0 < len(counts) <= MAX_VALUES or 1 < len(counts) == len(values):
        return ""
    return ", ".join(f"{text or 'none'} {count:,}" for text, count in sorted(counts.items(), key=lambda x: (-x[1], x)))
