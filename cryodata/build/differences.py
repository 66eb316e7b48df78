"""What differs between two versions of a dataset: entry by entry, and why; and which step of the version that takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryodata.core.layout import version_key
from cryodata.core.schema import Schema
from cryodata.formats.manifest import Manifest
from cryodata.formats.tables import REJECTED, check_entries, read_table
from cryodata.formats.versions import DatasetVersion

DERIVED = frozenset(
    ("shape_zyx", "voxel_size_xyz", "origin_xyz", "n_subgrids", "volume", "volume_bytes", "sequences", "label_counts")
)
"columns that follow from sources and recipe: they are no reason of their own when one of those changed"

SILENT = frozenset(("source_sha256", "recipe_digest", "resolution_bin"))
"columns that other words tell of"

LONG = 60
"characters of a value that is shown"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one entry."""

    entry_id: str
    kind: str
    "added, removed or changed"

    why: tuple[str, ...]
    "in words"


@dataclass(frozen=True, slots=True)
class Difference:
    """What the second of two versions has that the first has not, and the reverse."""

    changes: tuple[Change, ...]
    "by entry id"

    same: int
    "entries that are the same in every column"

    settings: Mapping[str, tuple[Any, Any]]
    "what the manifests say differently: recipe, revision, format, parameters, licence, parent"

    lost: tuple[str, ...]
    "what readers of the first could rely on and the second does not have, in words"

    gained: tuple[str, ...]
    "what only the second has, besides entries"

    def count(self, kind: str) -> int:
        """Entries of one kind of change."""
        return sum(change.kind == kind for change in self.changes)

    @property
    def step(self) -> str:
        """The step of a semantic version that this asks for: PATCH (the same data), MINOR (more) or MAJOR (other)."""
        if self.lost or self.count("removed") or self.count("changed"):
            return "MAJOR"
        return "MINOR" if self.changes or self.gained else "PATCH"


def compare(first: DatasetVersion, second: DatasetVersion) -> Difference:
    """Compare two versions by their tables; no volume is opened. Raises DatasetError if a table can't be read."""
    one, other = _Tables(first), _Tables(second)
    shared = [name for name in one.columns if name in other.columns]
    facts = {fact.name for opened in (first, second) for fact in opened.manifest.schema.facts}
    changes, same = [], 0
    for entry_id in sorted({*one.rows, *other.rows}):
        here, there = one.rows.get(entry_id), other.rows.get(entry_id)
        if here is None or there is None:
            kind, without = ("added", one) if here is None else ("removed", other)
            changes.append(Change(entry_id, kind, (without.absence(entry_id),)))
        elif why := tuple(_reasons(here, there, shared, facts)):
            changes.append(Change(entry_id, "changed", why))
        else:
            same += 1
    lost, gained = _columns(one, other)
    return Difference(
        tuple(changes),
        same,
        dict(_settings(first.manifest, second.manifest)),
        (*lost, *_promises(first.manifest, second.manifest)),
        (*gained, *(f"array {name}" for name in _arrays(second.manifest.schema) - _arrays(first.manifest.schema))),
    )


def step_fault(previous: str, version: str, found: Difference) -> str | None:
    """Why a version may not be called so after the previous one; None if it may.

    PATCH: the same data. MINOR: all of it, and more. MAJOR: anything; also MINOR as long as MAJOR is 0 (semver.org 4).
    """
    before, after = version_key(previous), version_key(version)
    if after[0] > before[0] or (after[0] == 0 and after[1] > before[1]):
        return None
    taken = "MINOR" if after[1] > before[1] else "PATCH"
    if found.step == "PATCH" or found.step == taken:
        return None
    entries = ", ".join(
        f"{found.count(kind):,} {kind}" for kind in ("added", "removed", "changed") if found.count(kind)
    )
    what = "; ".join(filter(None, (f"entries: {entries}" if entries else "", *found.lost, *found.gained)))
    major, minor, _ = before
    right = f"{major + 1}.0.0" if found.step == "MAJOR" and major else f"{major}.{minor + 1}.0"
    promise = "the same data" if taken == "PATCH" else "all data of the one before, unchanged, and more"
    return (
        f"{version} after {previous} promises {promise}, but differs from it: {what}; build it with --version {right} "
        "or higher"
    )


class _Tables:
    """Entries of a version by id, and what it refused."""

    def __init__(self, opened: DatasetVersion) -> None:
        table = check_entries(read_table(opened.table("entries.parquet")), "entries.parquet")
        self.columns = {name: table.schema.field(name).type for name in table.schema.names}
        self.rows: dict[str, Mapping[str, Any]] = {row["entry_id"]: row for row in table.to_pylist()}
        rejected = read_table(opened.table("rejected.parquet"), REJECTED)
        self.rejected = dict(zip(rejected["entry_id"].to_pylist(), rejected["code"].to_pylist(), strict=True))
        self.title = f"{opened.manifest.name}@{opened.manifest.version}"

    def absence(self, entry_id: str) -> str:
        """Why an entry is not here."""
        code = self.rejected.get(entry_id)
        return f"{self.title} rejected it: {code}" if code else f"{self.title} does not list it"


def _reasons(here: Mapping[str, Any], there: Mapping[str, Any], columns: list[str], facts: set[str]) -> Iterator[str]:
    """Why an entry is another than it was. facts: columns of the builder, which follow as the derived ones do."""
    differing = [name for name in columns if not _equal(here[name], there[name])]
    before, after = ({item["role"]: item["sha256"] for item in row["source_sha256"] or ()} for row in (here, there))
    roles = sorted(role for role in {**before, **after} if before.get(role) != after.get(role))
    yield from (f"another {role}" if role in before and role in after else f"{role} came or went" for role in roles)
    explained = bool(roles) or "recipe_digest" in differing
    if explained and not roles:
        yield "another recipe, settings, or metadata that the recipe reads"
    for name in sorted(differing):
        if name.startswith("split_"):
            yield f"split by {name.removeprefix('split_')}: {here[name]} -> {there[name]}"
        elif name not in SILENT and not (explained and (name in DERIVED or name in facts)):
            yield f"{name}: {_short(here[name])} -> {_short(there[name])}"


def _equal(here: Any, there: Any) -> bool:
    """Are two values the same? Two that are no numbers are."""
    return bool(here == there or (here != here and there != there))


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _columns(one: _Tables, other: _Tables) -> tuple[list[str], list[str]]:
    """Columns of the entries table that went, or came."""
    lost = [
        f"column {name} of entries"
        for name, kind in one.columns.items()
        if name not in other.columns or other.columns[name] != kind
    ]
    return lost, [f"column {name} of entries" for name in other.columns if name not in one.columns]


def _promises(first: Manifest, second: Manifest) -> Iterator[str]:
    """What the first manifest says that readers rely on and the second says otherwise."""
    for name in ("box", "core", "default_scheme"):
        if getattr(first, name) != getattr(second, name):
            yield f"{name} {getattr(first, name)} -> {getattr(second, name)}"
    for scheme, splits in first.schemes.items():
        if not set(splits) <= set(second.schemes.get(scheme, ())):
            yield f"splits of the scheme {scheme}"
    there = {array.name: array for array in second.schema.arrays}
    for array in first.schema.arrays:
        if there.get(array.name) != array:
            yield f"array {array.name}"


def _arrays(schema: Schema) -> set[str]:
    return {array.name for array in schema.arrays}


def _settings(first: Manifest, second: Manifest) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in ("builder", "recipe", "revision", "format", "license", "parent"):
        pair = getattr(first, name), getattr(second, name)
        if pair[0] != pair[1]:
            yield name, pair
    for name in sorted({*first.parameters, *second.parameters}):
        pair = first.parameters.get(name), second.parameters.get(name)
        if pair[0] != pair[1]:
            yield f"parameter {name}", pair
