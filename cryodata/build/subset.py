"""Some of the entries of a version: by split, by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cryodata.errors import SourceError, UsageError
from cryodata.formats.tables import check_entries, read_table
from cryodata.formats.versions import DatasetVersion

ROW = "row"
"column that `chosen_entries` adds: the row in the whole table, which other tables call `volume`"


@dataclass(frozen=True, slots=True)
class Subset:
    """What of a version is wanted: entries of some splits, and of some ids; everything if neither is named."""

    splits: tuple[str, ...] = ()
    scheme: str = ""
    "scheme of the splits; the default one if empty"

    ids: Path | None = None
    "file with an id a line"

    @property
    def whole(self) -> bool:
        """Whether everything is wanted."""
        return not self.splits and self.ids is None


def chosen_entries(opened: DatasetVersion, subset: Subset) -> pa.Table:
    """Rows of the entries table, with the column ROW. Raises UsageError or SourceError, listing what there is."""
    scheme = scheme_of(opened, subset)
    known = opened.manifest.schemes[scheme]
    unknown = [split for split in subset.splits if split not in known]
    if unknown:
        raise UsageError(f"no split '{unknown[0]}'; found: {', '.join(known)}")
    chosen = check_entries(read_table(opened.table("entries.parquet")), "entries.parquet")
    chosen = chosen.append_column(ROW, pa.array(range(len(chosen)), pa.int32()))
    if subset.splits:
        chosen = chosen.filter(pc.is_in(chosen[f"split_{scheme}"], pa.array(subset.splits)))
    if subset.ids is not None:
        ids = read_ids(subset.ids)
        missing = sorted(ids - set(chosen["entry_id"].to_pylist()))
        if missing:
            raise SourceError(f"{subset.ids}: ids that are not among the chosen entries: {', '.join(missing[:20])}")
        chosen = chosen.filter(pc.is_in(chosen["entry_id"], pa.array(sorted(ids), pa.string())))
    return chosen


def scheme_of(opened: DatasetVersion, subset: Subset) -> str:
    """The scheme of the splits. UsageError for one that is not there."""
    scheme = subset.scheme or opened.manifest.default_scheme
    if scheme not in opened.manifest.schemes:
        raise UsageError(f"no split scheme '{scheme}'; found: {', '.join(opened.manifest.schemes)}")
    return scheme


def read_ids(path: Path) -> set[str]:
    """Ids of a file, one a line. SourceError if it can't be read."""
    try:
        return {line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: no readable list of ids ({error})") from None
