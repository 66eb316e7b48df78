"""Entries of a version that share what they should not: a map under two ids, a model in two maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryodata.core.entry import is_content


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that several entries have in common."""

    what: str
    "a key of WHAT"

    entries: tuple[str, ...]
    "entry ids, sorted; two at least"

    value: str
    "what it is: the beginning of a hash, an archive id, or figures"


WHAT: Mapping[str, str] = {
    "map": "one map: the same bytes after decompression",
    "map_values": "one map in other files: equal after normalising, whatever the header and the scale",
    "model": "one model: the same bytes after decompression",
    "emdb_id": "several maps of one EMDB entry",
    "pdb_id": "one PDB entry in several maps",
}
"what may be shared, in words"


def shared(rows: Iterable[Mapping[str, Any]]) -> list[Shared]:
    """What is found in more than one entry, in the order of WHAT, then of ids.

    rows: of the entries table: entry_id, emdb_id, pdb_id, shape_zyx, source_sha256, and density_mean and saturated if
    there are such. What `map` tells is not told again as `map_values`, and splits keep entries of one EMDB id together
    whatever is found here.
    """
    holders: dict[str, dict[str, set[str]]] = {what: {} for what in WHAT}
    for row in rows:
        for what, value in _values(row):
            holders[what].setdefault(value, set()).add(row["entry_id"])
    found = [
        Shared(what, tuple(sorted(ids)), value)
        for what, by_value in holders.items()
        for value, ids in sorted(by_value.items(), key=lambda item: sorted(item[1]))
        if len(ids) > 1
    ]
    same_bytes = {item.entries for item in found if item.what == "map"}
    return [item for item in found if item.what != "map_values" or item.entries not in same_bytes]


def _values(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What an entry has that others may have too."""
    for source in row["source_sha256"]:
        if is_content(source["role"]):
            yield ("map" if source["role"] == "map" else "model"), source["sha256"][:12]
    mean, saturated = row.get("density_mean"), row.get("saturated")
    if (
        isinstance(mean, float) and isinstance(saturated, int) and saturated
    ):  # without a saturated voxel the mean alone would have to tell
        shape = " x ".join(map(str, row["shape_zyx"]))
        yield "map_values", f"{shape} voxels, mean {mean:.6f}, {saturated:,} at 1"
    for name in ("emdb_id", "pdb_id"):
        if row.get(name):
            yield name, row[name].lower() if name == "pdb_id" else row[name]
