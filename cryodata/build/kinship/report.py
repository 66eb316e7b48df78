"""What the splits of a version let through, or those of a list of somebody's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryodata.build.catalog import read_split_list
from cryodata.build.kinship.kept import all_pairs
from cryodata.build.kinship.leakage import leakage_criterion, measure
from cryodata.build.kinship.pairs import Observe
from cryodata.build.kinship.units import AUTO, Proteins, rule_of
from cryodata.build.selection import recognised
from cryodata.core.entry import Entry
from cryodata.core.leakage import Leakage
from cryodata.core.splits import SPLITS
from cryodata.errors import SourceError, UsageError
from cryodata.formats.places import is_remote
from cryodata.formats.tables import REJECTED, read_table
from cryodata.formats.versions import DatasetVersion

LISTED = "list"
"name of the scheme that a user's list is"


@dataclass(frozen=True, slots=True, eq=False)
class SplitReport:
    """Splits of a version, and what they let through."""

    rule: str
    "join or share: what joins entries in the scheme `sequence` of this version"

    score: int
    "of the best local alignment from which on two chains count as alike"

    counts: Mapping[str, Mapping[str, int]]
    "entries by scheme and split"

    leakage: Sequence[Leakage]
    "of each scheme that was asked for"

    missing: Mapping[str, str]
    "ids of the list that the version lacks, and why: the code of the rejection, or `not in the dataset`"

    unlisted: int
    "entries that the list does not name"


def count_splits(opened: DatasetVersion) -> dict[str, dict[str, int]]:
    """Entries by scheme and split."""
    schemes = opened.manifest.schemes
    table = read_table(opened.table("entries.parquet"), columns=[f"split_{scheme}" for scheme in schemes])
    return {scheme: dict(sorted(Counter(table[f"split_{scheme}"].to_pylist()).items())) for scheme in schemes}


def report_splits(
    opened: DatasetVersion,
    schemes: Sequence[str] = (),
    split_list: Path | None = None,
    hands: int = 1,
    observe: Observe = lambda done, total: None,
) -> SplitReport:
    """Measure what schemes let through.

    schemes: of the version; `resolution` and `sequence` where it has them if none is named and there is no list.
    split_list: CSV file with the columns id and split, as a build takes it. UsageError for an unknown scheme,
    SourceError for a list that can't be read.
    """
    known = opened.manifest.schemes
    unknown = [scheme for scheme in schemes if scheme not in known]
    if unknown:
        raise UsageError(f"no split scheme '{unknown[0]}'; found: {', '.join(known)}")
    if not schemes and split_list is None:
        schemes = [scheme for scheme in ("resolution", "sequence") if scheme in known]
    rows, entries, proteins = _read(opened)
    splits = {scheme: {row["entry_id"]: row[f"split_{scheme}"] for row in rows} for scheme in schemes}
    missing: dict[str, str] = {}
    if split_list is not None:
        splits[LISTED], missing = listed_splits(split_list, entries, _refused(opened))
    pairs = all_pairs(_folder(opened), None, proteins.sequences, hands, observe)
    return SplitReport(
        rule=rule_of(str(opened.manifest.parameters.get("promiscuous", AUTO)), len(entries)),
        score=leakage_criterion(proteins).score,
        counts={scheme: dict(sorted(Counter(found.values()).items())) for scheme, found in splits.items()},
        leakage=[measure(scheme, found, proteins, pairs) for scheme, found in splits.items()],
        missing=missing,
        unlisted=len(entries) - len(splits[LISTED]) if split_list is not None else 0,
    )


def _read(opened: DatasetVersion) -> tuple[list[dict[str, Any]], list[Entry], Proteins]:
    """Rows of the entries table with splits and sequences, the entries, and their proteins."""
    columns = ["entry_id", "emdb_id", "pdb_id", "sequences", *(f"split_{name}" for name in opened.manifest.schemes)]
    rows = read_table(opened.table("entries.parquet"), columns=columns).to_pylist()
    entries = [Entry(row["entry_id"], row["emdb_id"] or "", row["pdb_id"] or "") for row in rows]
    return rows, entries, Proteins.of((entry, row["sequences"] or ()) for entry, row in zip(entries, rows, strict=True))


def _folder(opened: DatasetVersion) -> Path | None:
    """Where pairs may be kept."""
    return None if is_remote(opened.root) else Path(opened.root) / opened.manifest.name


def listed_splits(
    path: Path, entries: Sequence[Entry], refused: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Split of each entry that a list names, and the ids in it that no entry has, with the reason."""
    listed = recognised(read_split_list(path), entries)
    wrong = sorted(set(listed.values()) - set(SPLITS))
    if wrong:
        raise SourceError(f"{path}: unknown split '{wrong[0]}'; expected one of {', '.join(SPLITS)}")
    found = {
        entry.entry_id: listed.get(entry.entry_id) or listed[entry.unit]
        for entry in entries
        if entry.entry_id in listed or entry.unit in listed
    }
    return found, missing_ids(listed, entries, refused)


def missing_ids(listed: Mapping[str, str], entries: Sequence[Entry], refused: Mapping[str, str]) -> dict[str, str]:
    """Ids of a list that no entry has, and why. refused: code of the rejection by id."""
    known = {entry.entry_id for entry in entries} | {entry.unit for entry in entries}
    return {key: refused.get(key, "not in the dataset") for key in sorted(set(listed) - known)}


def _refused(opened: DatasetVersion) -> dict[str, str]:
    table = read_table(opened.table("rejected.parquet"), REJECTED)
    return dict(zip(table["entry_id"].to_pylist(), table["code"].to_pylist(), strict=True))
