"""Which entries of a source a build takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryodata.build.builder import Builder
from cryodata.core.entry import Entry, Rejection
from cryodata.core.splits import fraction_of
from cryodata.errors import RejectedError, SourceError

ARCHIVE_ID = re.compile(r"(?:emd[-_ ]?)?([0-9]{4,})", re.IGNORECASE)
"a number of EMDB, as lists of splits have it"


def recognised(listed: Mapping[str, str], entries: Sequence[Entry]) -> dict[str, str]:
    """A list of splits with its ids as the source writes them: published lists have 22898 or emd_22898 for EMD-22898.

    Ids that no entry has stay as they are. Raises SourceError for one archive id with two splits.
    """
    known = {entry.entry_id for entry in entries} | {entry.unit for entry in entries}
    found: dict[str, str] = {}
    for key, split in listed.items():
        number = ARCHIVE_ID.fullmatch(key)
        name = f"EMD-{number[1]}" if number and key not in known and f"EMD-{number[1]}" in known else key
        if found.setdefault(name, split) != split:
            raise SourceError(f"splits: '{name}' has two splits, '{found[name]}' and, as '{key}', '{split}'")
    return found


def check_listed(listed: Mapping[str, str], entries: Sequence[Entry]) -> None:
    """A misspelt id in a list of splits would leave a test map in training."""
    known = {entry.entry_id for entry in entries} | {entry.unit for entry in entries}
    unknown = sorted(set(listed) - known)
    if unknown:
        raise SourceError(
            f"splits: {len(unknown)} ids that the source does not have: {', '.join(unknown[:20])} "
            "(--set unknown_ids=report goes on without them)"
        )


def select(entries: Sequence[Entry], ids: Path | None, limit: int | None, parameters: Mapping[str, Any]) -> list[Entry]:
    """The entries of the sample, then those of the id list, then the first `limit`; sorted by id."""
    chosen = [entry for entry in entries if fraction_of(entry.unit, -1) < parameters["sample"]]
    if ids is not None:
        try:
            wanted = {line.strip() for line in ids.read_text("utf-8").splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{ids}: no readable list of ids ({error})") from None
        missing = sorted(wanted - {entry.entry_id for entry in entries})
        if missing:
            raise SourceError(f"{ids}: ids that the source does not have: {', '.join(missing[:20])}")
        chosen = [entry for entry in chosen if entry.entry_id in wanted]
    return sorted(chosen, key=lambda entry: entry.entry_id)[:limit]


def admit(
    builder: Builder, entries: Sequence[Entry], parameters: Mapping[str, Any]
) -> tuple[list[Entry], list[Rejection]]:
    """Entries that the list does not refuse already, and those that it does."""
    admitted, refused = [], []
    for entry in entries:
        try:
            builder.admit(entry, parameters)
        except RejectedError as error:
            refused.append(Rejection(entry.entry_id, error.code, error.message))
        else:
            admitted.append(entry)
    return admitted, refused
