"""A version in the layouts of others: one module a format, each with `lay_out(asked) -> Layout`.

`hub` copies the objects of a version as they are, and so has an `export` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryodata.build.subset import Subset
from cryodata.errors import UsageError

if TYPE_CHECKING:
    from cryodata.build.decoded import Decoder
    from cryodata.formats.versions import DatasetVersion

FORMATS = ("hub", "mrc", "npy", "npz", "parquet", "webdataset")
"names of the modules here"

Observe = Callable[[int, int], None]
"called as (done, total)"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, or would be."""

    folder: Path
    files: int
    "in the folder, all versions in it together"

    bytes: int
    "of the version; of a dry run an upper estimate"

    reused: int
    "files that an earlier export had made"

    advice: str
    "what to do next"

    dry_run: bool = False
    "whether nothing was written"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks of an export."""

    subset: Subset = field(default_factory=Subset)
    workers: int = 0
    "threads at most; 0 for one a core"

    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """What is made at a time, whole or not at all."""

    name: str
    "unique in the export, and fit for the name of a file"

    files: int
    bytes: int
    "upper estimate"

    memory: int
    "bytes that making it takes"

    make: Callable[[Path], None]
    "writes its files below an empty folder, placed as below that of the export"


@dataclass(frozen=True, slots=True)
class Layout:
    """An export as it will be."""

    pieces: Sequence[Piece]
    front: Mapping[str, Callable[[], Iterable[str]]]
    "texts that are written last, by path, in parts: lists of sub-grids may be long"

    advice: str
    "what to do with it, with {folder} in it"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The entries of an export, and what decodes them."""

    decoder: Decoder
    rows: Sequence[Mapping[str, Any]]
    "of the entries table, in its order"

    scheme: str
    "of the splits"

    @property
    def title(self) -> str:
        """NAME@VERSION."""
        return f"{self.decoder.opened.manifest.name}@{self.decoder.opened.manifest.version}"

    def split_of(self, row: Mapping[str, Any]) -> str:
        """The split of an entry."""
        return str(row[f"split_{self.scheme}"])

    @property
    def by_split(self) -> dict[str, list[Mapping[str, Any]]]:
        """Entries by split, in the order in which the scheme names them; only those with an entry."""
        names = self.decoder.opened.manifest.schemes[self.scheme]
        found = {name: [row for row in self.rows if self.split_of(row) == name] for name in names}
        return {name: rows for name, rows in found.items() if rows}


def export_version(
    opened: DatasetVersion, to: Path, layout: str, observe: Observe, wish: Wish | None = None
) -> Exported:
    """Write a version into a folder in one of FORMATS. What an earlier run made is kept, so that it can be killed.

    Raises UsageError for what the layout can't hold, DatasetError for objects that are missing or damaged,
    CryodataError if the disk has too little room.
    """
    wish = wish or Wish()
    module = import_module(f"{__name__}.{layout}")
    if layout == "hub":
        if not wish.subset.whole:
            raise UsageError("--format hub takes a whole version; to publish some of it, build a version of these ids")
        exported: Exported = module.export(opened, to, observe, wish.dry_run)
        return exported
    from cryodata.build.export.pieces import export_pieces

    return export_pieces(opened, to, layout, observe, wish)
