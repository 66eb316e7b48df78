"""What a call of `load_dataset` asks for: checked, then turned into a source of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.core.balance import Balance
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import UsageError
from cryodata.formats.tables import ATOMS, SUBGRIDS
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.rules import LabelRule
from cryodata.read.atoms import ATOMS_OF_ENTRY
from cryodata.read.columns import array_columns, check_volumes_fit
from cryodata.read.decode import VersionKey, Volumes, volumes_of
from cryodata.read.filters import as_expression, keep, kept_subgrids
from cryodata.read.plan import check_whole
from cryodata.read.sources import SUBGRID_IDS, ExampleSource, RowSource, SubgridSource, VolumeSource

CONFIGS = ("subgrids", "volumes", "entries", "atoms")

MAX_BOX = 1024
"voxels a side: its cube are the 2^30 voxels that a map may have (max_voxels of cryo2struct)"


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a call of `load_dataset` asks for, checked."""

    config: str
    key: VersionKey
    box: int
    core: int
    rule: str
    "of the labels, as `LabelRule` writes it"

    columns: tuple[str, ...]
    keep: Any
    "pyarrow expression, or None"


def split_names(opened: DatasetVersion, scheme: str | None) -> tuple[str, tuple[str, ...]]:
    """The scheme, the default one if none is named, and its splits. UsageError listing the known ones."""
    scheme = scheme or opened.manifest.default_scheme
    if scheme not in opened.manifest.schemes:
        raise UsageError(f"no split scheme '{scheme}'; found: {', '.join(opened.manifest.schemes)}")
    return scheme, opened.manifest.schemes[scheme]


def volumes_of_split(
    opened: DatasetVersion, selection: Selection, scheme: str | None, split: str
) -> npt.NDArray[np.int32]:
    """Rows of the entries table that a split holds, sorted by entry id; UsageError for a split that is not there."""
    scheme, names = split_names(opened, scheme)
    if split not in names:
        known = ", ".join(names)
        raise UsageError(f"no split '{split}' of the scheme '{scheme}'; found: {known}{_meant(split, names)}")
    column = volumes_of(selection.key).entries[f"split_{scheme}"].to_pylist()
    return np.flatnonzero(np.asarray(column, dtype=np.str_) == split).astype(np.int32)


def _meant(split: str, names: Sequence[str]) -> str:
    """What a name that is no split may have been meant for."""
    if set(split) & set("[+"):  # as `datasets` writes parts and sums, of rows: two parts would share a map
        return (
            "; for a part of one: .take(n), .skip(n), or whole maps by filter=[('entry_id', 'in', [...])]; "
            "for several: datasets.concatenate_datasets"
        )
    close = [name for name in names if split and name.startswith(split)] or get_close_matches(split, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def checked_selection(
    opened: DatasetVersion,
    config: str,
    rule: str,
    box: int | None,
    core: int | None,
    columns: Sequence[str] | None,
    filter: Any,
) -> Selection:
    """The request as a Selection. Raises UsageError, naming what there is, for anything that is not."""
    manifest = opened.manifest
    if config not in CONFIGS:
        raise UsageError(f"no config '{config}'; found: {', '.join(CONFIGS)}")
    rule = str(LabelRule.parse(rule))
    box, core = _checked_box(manifest.box if box is None else box, manifest.core if core is None else core)
    if filter is not None and config == "subgrids" and (box, core) != (manifest.box, manifest.core):
        raise UsageError(f"filter= looks at the table of sub-grids, which has box {manifest.box}, core {manifest.core}")
    key = VersionKey(opened.root, manifest.name, manifest.version, opened.sha256)
    known = _columns(volumes_of(key), config, rule)
    chosen = tuple(columns) if columns is not None else known
    missing = [column for column in chosen if column not in known]
    if missing or not chosen:
        raise UsageError(f"no column {', '.join(missing) or 'is asked for'}; found: {', '.join(known)}")
    expression = as_expression(filter)
    if expression is not None and config == "atoms":
        keep(ATOMS_OF_ENTRY.empty_table(), expression)  # an unknown column is refused now, not when rows are read
    return Selection(config, key, box, core, rule, chosen, expression)


def _checked_box(box: int, core: int) -> tuple[int, int]:
    for name, value in (("box", box), ("core", core)):
        check_whole(name, value)
    if box > MAX_BOX:
        raise UsageError(f"box={box}; expected {MAX_BOX:,} at most, as in the largest map that is built")
    try:
        SubgridGrid.uniform((1, 1, 1), box, core)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return int(box), int(core)


def _columns(store: Volumes, config: str, rule: str) -> tuple[str, ...]:
    if config == "entries":
        return tuple(store.entries.schema.names)
    if config == "atoms":
        return ("entry_id", *ATOMS.names) if len(store.entries) else ("entry_id",)
    arrays = tuple(array_columns(store.opened.manifest.schema, rule))
    if config == "subgrids":
        return (*arrays, *SUBGRID_IDS, "start_zyx")
    return (*arrays, *SUBGRID_IDS, "voxel_size_xyz", "origin_xyz")


def checked_balance(opened: DatasetVersion, selection: Selection, balance: Any) -> Balance | None:
    """What draws are to follow. UsageError for columns that the table of sub-grids has not, or has for other boxes."""
    if balance is None:
        return None
    parsed, manifest = Balance.parse(balance), opened.manifest
    known = [field.name for field in SUBGRIDS if field.name not in ("volume", "start_zyx")]
    missing = [column for column in parsed.columns if column not in known]
    if missing:
        raise UsageError(f"balance: no column {', '.join(missing)} of sub-grids; found: {', '.join(known)}")
    if parsed.columns and (selection.box, selection.core) != (manifest.box, manifest.core):
        raise UsageError(
            f"balance= looks at the table of sub-grids, which has box {manifest.box}, core {manifest.core}"
        )
    return parsed


def source_of(store: Volumes, selection: Selection, volumes: npt.NDArray[np.int32]) -> ExampleSource:
    """Examples of the volumes of a split, those left out that a filter empties."""
    key, columns = selection.key, selection.columns
    if selection.config == "subgrids":
        kept = None if selection.keep is None else kept_subgrids(store, selection.keep)
        if kept is not None:
            volumes = volumes[kept.counts[volumes] > 0]
        return SubgridSource(key, volumes, columns, selection.box, selection.core, selection.rule, kept)
    if selection.config == "atoms":
        return RowSource(key, volumes, "atoms", columns, selection.keep)
    if selection.keep is not None:
        numbered = store.entries.append_column("volume_row", pa.array(range(len(store.entries)), pa.int32()))
        rows = keep(numbered, selection.keep)["volume_row"].to_numpy()
        volumes = volumes[np.isin(volumes, rows)]
    if selection.config == "entries":
        return RowSource(key, volumes, "entries", columns)
    arrays = array_columns(store.opened.manifest.schema, selection.rule)
    shapes = store.entries["shape_zyx"].take(volumes).to_pylist()
    check_volumes_fit([arrays[name] for name in columns if name in arrays], map(tuple, shapes), selection.rule)
    return VolumeSource(key, volumes, columns, selection.rule)
