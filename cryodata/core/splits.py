"""Which split an entry belongs to. The unit is the archive id, never the row: its entries stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from cryodata.core.entry import Entry
from cryodata.errors import SourceError

TRAIN, VALIDATION, TEST, UNASSIGNED = "train", "validation", "test", "unassigned"
SPLITS = (TRAIN, VALIDATION, TEST, UNASSIGNED)
"every split has its files, even when it is empty"

SCHEMES = ("resolution", "sequence", "id")
DEFAULT_SCHEME = "resolution"

VALIDATION_SHARE = 0.10
"share of units held out, as the published dataset: 6,652 train and 740 validation of 7,392 maps"


def fraction_of(unit: str, seed: int) -> float:
    """A number in [0, 1) that depends on the unit and the seed alone: blake2b as a fraction of 2^64."""
    digest = hashlib.blake2b(f"{seed}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def resolution_bin(resolution: float | None) -> str:
    """Name of the bin a resolution (A) is reported under; the first three are those of the published dataset."""
    if resolution is None or resolution < 1.0:
        return "other"
    if resolution < 2.0:
        return "[1,2)"
    if resolution < 3.0:
        return "[2,3)"
    if resolution <= 4.0:
        return "[3,4]"
    return "(4,6]" if resolution <= 6.0 else "(6,inf)"


def id_fold(emdb_id: str) -> str:
    """Fold of the ID-based scheme: `emd_0` to `emd_9` by the first digit of the EMDB number as written."""
    number = emdb_id.upper().removeprefix("EMD-")
    return f"emd_{number[0]}" if number[:1] in tuple("0123456789") else UNASSIGNED


def id_folds() -> tuple[str, ...]:
    """All split names of the ID-based scheme."""
    return (*(f"emd_{digit}" for digit in range(10)), UNASSIGNED)


def split_names(scheme: str) -> tuple[str, ...]:
    """Split names of a scheme."""
    return id_folds() if scheme == "id" else SPLITS


def assign(
    entries: Sequence[Entry],
    *,
    seed: int = 0,
    listed: Mapping[str, str] | None = None,
    parent: Mapping[str, str] | None = None,
) -> dict[str, dict[str, str]]:
    """Split of each entry under the schemes that look at no sequence: {scheme: {entry_id: split}}.

    entries: accepted entries. listed: split of an entry id or unit, from a user's file; it wins over the
    `split` of an entry, which wins over `parent` (split of each unit in the parent version), which wins over
    the seeded hash. Raises SourceError if two rows of one unit ask for different splits.
    """
    fixed = fixed_splits(entries, listed or {}, parent or {})
    resolution = {
        entry.entry_id: fixed.get(entry.unit)
        or (VALIDATION if fraction_of(entry.unit, seed) < VALIDATION_SHARE else TRAIN)
        for entry in entries
    }
    return {"resolution": resolution, "id": {entry.entry_id: id_fold(entry.emdb_id) for entry in entries}}


def fixed_splits(entries: Sequence[Entry], listed: Mapping[str, str], parent: Mapping[str, str]) -> dict[str, str]:
    """Units whose split stands, whatever the scheme would say: by a list, by the source, by the parent version, in this
    order. Raises as `assign` does."""
    by_unit = {**parent, **_wishes(entries, listed)}
    found: dict[str, str] = {}
    for entry in entries:
        # it may have had no archive id in the parent
        split = by_unit.get(entry.unit) or by_unit.get(entry.entry_id, "")
        if split and found.setdefault(entry.unit, split) != split:
            found[entry.unit] = UNASSIGNED  # one archive id now, and two splits before
    return found


def _wishes(entries: Iterable[Entry], listed: Mapping[str, str]) -> dict[str, str]:
    wishes: dict[str, tuple[str, str]] = {}
    for entry in entries:
        split = listed.get(entry.entry_id) or listed.get(entry.unit) or entry.split
        if not split:
            continue
        if split not in SPLITS:
            raise SourceError(f"entry {entry.entry_id}: unknown split '{split}'; expected one of {', '.join(SPLITS)}")
        other, other_split = wishes.get(entry.unit, (entry.entry_id, split))
        if other_split != split:
            raise SourceError(
                f"entries {other} and {entry.entry_id} are one unit ({entry.unit}) but ask for the splits "
                f"'{other_split}' and '{split}'; a unit is never divided"
            )
        wishes[entry.unit] = (entry.entry_id, split)
    return {unit: split for unit, (_, split) in wishes.items()}
