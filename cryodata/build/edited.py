"""A catalogue that somebody edited: which entries of a source to take, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryodata.build.archive import model_sources
from cryodata.build.catalog import OWN_COLUMNS
from cryodata.core.entry import Entry, entry_id_fault
from cryodata.core.splits import SPLITS
from cryodata.errors import DatasetError, SourceError
from cryodata.formats.tables import MAX_ENTRIES, read_table

TEXTS = ("emdb_id", "pdb_id", "split")
NUMBERS = ("resolution", "contour_level")

TOLD = ("map", "refused")
"columns of the catalogue that tell and decide nothing: files come from where the source has them"


def edited(listing: Sequence[Entry], path: Path, reserved: Iterable[str], folder: Path) -> list[Entry]:
    """The entries of a catalogue, sorted by id: their files from the listing, the rest as the catalogue says.

    reserved: column names that metadata can't have. folder: of the dataset, where models of changed ids are fetched to.
    Raises SourceError for a file that is no catalogue, and for ids that the source does not have.
    """
    rows = _rows(path, reserved)
    known = {entry.entry_id: entry for entry in listing}
    unknown = sorted(set(rows) - set(known))
    if unknown:
        raise SourceError(f"{path}: {len(unknown):,} ids that the source does not have: {', '.join(unknown[:20])}")
    return [_entry(known[key], row, path, folder) for key, row in sorted(rows.items())]


def _entry(entry: Entry, row: Mapping[str, Any], path: Path, folder: Path) -> Entry:
    changes: dict[str, Any] = {name: _text(row[name]) for name in TEXTS if name in row}
    changes |= {name: _number(row[name], name, entry.entry_id, path) for name in NUMBERS if name in row}
    if changes.get("split", "") not in ("", *SPLITS):
        found = f"unknown split '{changes['split'][:40]}'; expected one of {', '.join(SPLITS)}, or nothing"
        raise SourceError(f"{path}: entry {entry.entry_id}: {found}")
    if entry.sources["map"].urls and changes.get("pdb_id", entry.pdb_id) != entry.pdb_id:
        rest = {role: source for role, source in entry.sources.items() if not role.startswith("model")}
        changes["sources"] = {**rest, **model_sources(changes["pdb_id"], folder)}
    changes["metadata"] = {name: _text(value) for name, value in row.items() if name not in (*OWN_COLUMNS, *TOLD)}
    return replace(entry, **changes)


def _rows(path: Path, reserved: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of a catalogue by id."""
    try:
        table = read_table(path)
    except DatasetError as error:
        raise SourceError(f"--catalog: {error}") from None
    names = table.schema.names
    if "entry_id" not in names or len(table) > MAX_ENTRIES:
        raise SourceError(f"{path}: {len(table):,} rows with the columns {', '.join(names)[:200]}; expected entry_id")
    clash = sorted({name.casefold() for name in reserved} & {name.casefold() for name in names} - {*OWN_COLUMNS})
    if clash or len(set(names)) < len(names):
        raise SourceError(f"{path}: columns that the dataset makes itself, or twice: {', '.join(clash)}; rename them")
    rows: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(table.to_pylist(), 1):
        entry_id = _text(row["entry_id"])
        fault = entry_id_fault(entry_id) or ("it is there already" if entry_id in rows else None)
        if fault is not None:
            raise SourceError(f"{path}: row {number}, entry '{entry_id[:80]}': {fault}")
        rows[entry_id] = row
    return rows


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _number(value: Any, name: str, entry_id: str, path: Path) -> float | None:
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if math.isnan(found) and isinstance(value, float):
        return None  # what data frames write for nothing
    if not math.isfinite(found) or (name == "resolution" and found <= 0):
        raise SourceError(f"{path}: entry {entry_id}: {name} is '{str(value)[:40]}'; expected a number or nothing")
    return found
