"""Which entries there are: the `entries.csv` of a source folder."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryodata.core.entry import Entry, Source, entry_id_fault
from cryodata.core.splits import SPLITS
from cryodata.errors import SourceError

LIST_NAME = "entries.csv"
ROLES = ("map", "model", "half1", "half2", "mask")
OWN_COLUMNS = ("entry_id", "emdb_id", "pdb_id", "resolution", "contour_level", "split", *ROLES)

PREPARED, DEPTH = "emd_normalized_map.mrc", 4
"map in each folder of the published dataset, and how deep below a source it is looked for"

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

MAX_FAULTS = 20
"faults that are named; a list with more is wrong as a whole"


def read_source_folder(folder: Path, reserved: Iterable[str] = ()) -> list[Entry]:
    """Entries of a source folder, sorted by id; opens no map.

    reserved: column names that metadata can't have. Raises SourceError, naming the lines, if the list can't be read
    or a row can't be trusted.
    """
    path = folder / LIST_NAME
    if not path.exists() and _is_prepared(folder):
        raise SourceError(
            f"{folder}: folders with {PREPARED}, and no {LIST_NAME}; `cryodata build published` takes them"
        )
    rows = _read_rows(path)
    faults: list[str] = []
    entries: dict[str, tuple[int, Entry]] = {}
    archive: dict[str, tuple[int, str]] = {}
    columns = list(rows[0][1]) if rows else []
    taken = {name.casefold() for name in reserved}
    meant = [
        f"'{name}' for {name.casefold()}"
        for name in columns
        if name.casefold() in OWN_COLUMNS and name not in OWN_COLUMNS
    ]
    if meant:
        raise SourceError(f"{path}: columns have lower-case names: {', '.join(meant)}")
    clash = sorted(name for name in columns if name not in OWN_COLUMNS and name.casefold() in taken)
    if clash:
        raise SourceError(f"{path}: column {', '.join(clash)} is one that the dataset makes itself; rename it")
    for line, row in rows:
        entry_id = row["entry_id"]
        found = entry_id_fault(entry_id)
        other = entries.get(entry_id.casefold())
        if found is None and other is not None:
            found = f"the id is already on line {other[0]} (case does not count)"
        try:
            entry = _entry(folder, row)
        except ValueError as error:
            found = found or str(error)
        there, written = archive.setdefault(row.get("emdb_id", "").casefold(), (line, row.get("emdb_id", "")))
        if found is None and written != row.get("emdb_id", ""):  # else they were two units, and might be divided
            found = f"emdb_id is '{row['emdb_id'][:80]}'; line {there} writes it '{written[:80]}': write it in one way"
        if found is not None:
            faults.append(f"line {line}, entry '{entry_id[:80]}': {found}")
        else:
            entries[entry_id.casefold()] = (line, entry)
    if faults:
        more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise SourceError(f"{path}: {'; '.join(faults[:MAX_FAULTS])}{more}")
    return sorted((entry for _, entry in entries.values()), key=lambda entry: entry.entry_id)


def _is_prepared(folder: Path) -> bool:
    """Whether these are folders of the published dataset."""
    return any(True for depth in range(DEPTH) for _ in folder.glob(f"{'*/' * depth}{PREPARED}"))


def read_split_list(path: Path) -> dict[str, str]:
    """Split by entry id or archive id, from a CSV file with the columns id and split."""
    rows = _read_rows(path, ("id", "split"))
    splits: dict[str, str] = {}
    for line, row in rows:
        if splits.setdefault(row["id"], row["split"]) != row["split"]:
            raise SourceError(f"{path}: line {line}: '{row['id']}' has two splits")
    return splits


def _read_rows(path: Path, required: tuple[str, ...] = ("entry_id", "map")) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file with a header, every field stripped."""
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise SourceError(f"{path}: can't be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SourceError(f"{path}: line {line} is no UTF-8 text (byte 0x{error.object[error.start]:02x})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing or len(set(header)) != len(header) or "" in header:
            other_separator = len(header) == 1 and any(mark in header[0] for mark in ";\t")
            raise SourceError(
                f"{path}: columns are {', '.join(header)[:200] or 'none'}; expected different names, among them "
                f"{', '.join(required)}" + (", separated by commas" if other_separator else "")
            )
        rows = []
        begins = reader.line_num + 1
        for fields in reader:
            line, begins = begins, reader.line_num + 1
            if not fields:
                continue
            if len(fields) != len(header):
                raise SourceError(
                    f"{path}: line {line} has {len(fields)} fields; expected {len(header)} as in the header"
                )
            rows.append((line, dict(zip(header, (field.strip() for field in fields), strict=True))))
    except csv.Error as error:
        raise SourceError(f"{path}: line {reader.line_num}: {error}") from None
    return rows


def _entry(folder: Path, row: Mapping[str, str]) -> Entry:
    if not row["map"]:
        raise ValueError("no map is named")
    for role in ROLES:
        if "\0" in row.get(role, ""):
            raise ValueError(f"{role} is a path with a NUL character; expected the name of a file")
    if row.get("split", "") not in ("", *SPLITS):
        raise ValueError(f"unknown split '{row['split']}'; expected one of {', '.join(SPLITS)}")
    return Entry(
        entry_id=row["entry_id"],
        emdb_id=row.get("emdb_id", ""),
        pdb_id=row.get("pdb_id", ""),
        resolution=_number(row, "resolution"),
        contour_level=_number(row, "contour_level", positive=False),
        sources={role: Source(str(folder / row[role])) for role in ROLES if row.get(role)},
        split=row.get("split", ""),
        metadata={name: value for name, value in row.items() if name not in OWN_COLUMNS},
    )


def _number(row: Mapping[str, str], column: str, positive: bool = True) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text) if NUMBER.fullmatch(text) else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"{column} is '{text[:40]}'; expected a number{' above 0' if positive else ''} or nothing")
    return value
