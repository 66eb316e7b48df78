"""`load_dataset`: from a name to a dataset that behaves as those of Hugging Face do."""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.core.layout import canonical_json
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import UsageError
from cryodata.formats.manifest import DatasetVersion, open_version
from cryodata.formats.tables import iterate_groups
from cryodata.read import hf
from cryodata.read.decode import LABEL_RULES, VersionKey, Volumes, volumes_of
from cryodata.read.features import references
from cryodata.read.filters import as_expression, keep
from cryodata.read.sources import SUBGRID_IDS, ExampleSource, RowSource, SubgridSource, VolumeSource

CONFIGS = ("subgrids", "volumes", "entries", "atoms")

VOLUMES_PER_BATCH = 64
"volumes whose rows are written at a time when a map-style table is made"


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a call of `load_dataset` asks for, checked."""

    config: str
    key: VersionKey
    box: int
    core: int
    rule: str
    columns: tuple[str, ...]
    keep: Any
    "pyarrow expression, or None"


def load_dataset(
    name: str | os.PathLike[str],
    config: str = "subgrids",
    *,
    split: str | None = None,
    streaming: bool = False,
    revision: str | None = None,
    root: str | os.PathLike[str] | None = None,
    split_by: str | None = None,
    labels: str = "stored",
    box: int | None = None,
    core: int | None = None,
    columns: Sequence[str] | str | None = None,
    filter: Any = None,
) -> Any:
    """Open a dataset that cryodata built.

    name: NAME or NAME@VERSION, or the path of the dataset's folder. config: `subgrids` (the default), `volumes`,
    `entries` or `atoms`. split: `train`, `validation`, `test`, `unassigned`; without one, a dictionary of those
    that have entries.
    streaming: an IterableDataset that decodes each volume once, in order; else a Dataset with random access, whose
    arrays are cut when a row is read. revision: a version; the highest if none is given. root: folder of the
    datasets (CRYODATA_ROOT, else ~/.cache/cryodata). split_by: the scheme that says what a split is, `resolution` or
    `id`. labels: `stored` (as the recipe placed them), `floor` (the published rule) or `nearest` (the nearest voxel).
    box, core: voxels a side of a sub-grid and of the part that belongs to it alone (32 and 20). columns: only these.
    filter: only sub-grids that meet a condition on their table, without decoding the others, as a pyarrow expression
    or a list such as [("n_ca_core", ">", 0)].

    A sub-grid example has `density` float32 (box, box, box) in [0, 1], `atom`, `amino`, `secondary` uint8 of the same
    shape, `entry_id`, `emdb_id`, `pdb_id`, `resolution` (A) and `start_zyx` int32 (3,); z, y, x order. Arrays are NumPy
    unless a format is set.

    Returns a datasets.IterableDataset if streaming, else a datasets.Dataset; a dictionary of them without `split`.
    Raises UsageError for a name, version, split, column or rule that is not there; DatasetError for damaged files.
    """
    opened = _open(os.fspath(name), revision, root)
    columns = [columns] if isinstance(columns, str) else columns
    selection = _checked(opened, config, labels, box, core, columns, filter)
    scheme = split_by or opened.manifest.default_scheme
    if scheme not in opened.manifest.schemes:
        raise UsageError(f"no split scheme '{scheme}'; found: {', '.join(opened.manifest.schemes)}")
    names = opened.manifest.schemes[scheme]
    if split is None:
        filled = set(volumes_of(selection.key).entries[f"split_{scheme}"].to_pylist())
        by_split = {
            found: _load_split(opened, selection, scheme, found, streaming) for found in names if found in filled
        }
        return hf.as_dict(by_split, streaming)
    split = str(split)  # datasets.Split.TRAIN is no text, but says it
    if split not in names:
        raise UsageError(f"no split '{split}' of the scheme '{scheme}'; found: {', '.join(names)}")
    return _load_split(opened, selection, scheme, split, streaming)


def _open(name: str, revision: str | None, root: str | os.PathLike[str] | None) -> DatasetVersion:
    if "://" in name or "://" in str(root or ""):
        raise UsageError(f"'{name}': datasets are read from folders of this machine")
    base, _, pinned = name.partition("@")
    if os.sep in base or base.startswith("~"):
        folder = Path(base).expanduser().resolve()
        return open_version(folder.parent, folder.name, revision or pinned or None)
    found = Path(root or os.environ.get("CRYODATA_ROOT") or "~/.cache/cryodata").expanduser().resolve()
    return open_version(found, base, revision or pinned or None)


def _checked(
    opened: DatasetVersion,
    config: str,
    rule: str,
    box: int | None,
    core: int | None,
    columns: Sequence[str] | None,
    filter: Any,
) -> Selection:
    manifest = opened.manifest
    if config not in CONFIGS:
        raise UsageError(f"no config '{config}'; found: {', '.join(CONFIGS)}")
    if rule not in LABEL_RULES:
        raise UsageError(f"no label rule '{rule}'; found: {', '.join(LABEL_RULES)}")
    box, core = box or manifest.box, core or manifest.core
    try:
        SubgridGrid.uniform((1, 1, 1), box, core)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if filter is not None and config == "subgrids" and (box, core) != (manifest.box, manifest.core):
        raise UsageError(f"filter= looks at the table of sub-grids, which has box {manifest.box}, core {manifest.core}")
    key = VersionKey(str(opened.root), manifest.name, manifest.version, opened.sha256)
    known = _columns(volumes_of(key), config)
    chosen = tuple(columns) if columns is not None else known
    missing = [column for column in chosen if column not in known]
    if missing or not chosen:
        raise UsageError(f"no column {', '.join(missing) or 'is asked for'}; found: {', '.join(known)}")
    expression = as_expression(filter)
    if expression is not None and config == "atoms":
        keep(
            volumes_of(key).atoms(0).slice(0, 0), expression
        )  # an unknown column is refused now, not when rows are read
    return Selection(config, key, box, core, rule, chosen, expression)


def _columns(store: Volumes, config: str) -> tuple[str, ...]:
    arrays = tuple(array.name for array in store.opened.manifest.schema.arrays)
    return {
        "subgrids": (*arrays, *SUBGRID_IDS, "start_zyx"),
        "volumes": (*arrays, *SUBGRID_IDS, "voxel_size_xyz", "origin_xyz"),
        "entries": tuple(store.entries.schema.names),
        "atoms": tuple(store.atoms(0).schema.names) if len(store.entries) else ("entry_id",),
    }[config]


def _load_split(opened: DatasetVersion, selection: Selection, scheme: str, split: str, streaming: bool) -> Any:
    store = volumes_of(selection.key)
    in_split = np.asarray(store.entries[f"split_{scheme}"].to_pylist(), dtype=np.str_) == split
    volumes = np.flatnonzero(in_split).astype(np.int32)
    source = _source(store, selection, volumes)
    info = {
        "dataset_name": opened.manifest.name,
        "config_name": selection.config,
        "version": opened.manifest.version,
        "license": opened.manifest.license,
    }
    if streaming:
        return hf.streaming(source, _features(store, selection, lazy=False), info, split)
    features = _features(store, selection, lazy=True)
    return hf.mapped(_arrow_file(store, selection, source, features, scheme, split), features, info, split)


def _source(store: Volumes, selection: Selection, volumes: npt.NDArray[np.int32]) -> ExampleSource:
    key, columns = selection.key, selection.columns
    if selection.config == "subgrids":
        kept = None if selection.keep is None else _kept_subgrids(store, selection.keep, set(volumes.tolist()))
        if kept is not None:
            volumes = np.array([volume for volume in volumes.tolist() if len(kept[volume])], dtype=np.int32)
        return SubgridSource(key, volumes, columns, selection.box, selection.core, selection.rule, kept)
    if selection.config == "atoms":
        return RowSource(key, volumes, "atoms", columns, selection.keep)
    if selection.keep is not None:
        numbered = store.entries.append_column("volume_row", pa.array(range(len(store.entries)), pa.int32()))
        rows = keep(numbered, selection.keep)["volume_row"].to_numpy()
        volumes = volumes[np.isin(volumes, rows)]
    if selection.config == "entries":
        return RowSource(key, volumes, "entries", columns)
    return VolumeSource(key, volumes, columns, selection.rule)


def _kept_subgrids(store: Volumes, expression: Any, volumes: set[int]) -> dict[int, npt.NDArray[np.int32]]:
    """Places of the sub-grids that meet a condition, by volume; nothing is decoded."""
    kept = dict.fromkeys(volumes, np.zeros(0, dtype=np.int32))
    ids = store.entries.select(list(SUBGRID_IDS))
    for name in store.opened.tables("subgrids-"):
        for group in iterate_groups(store.opened.table(name)):
            number = group["volume"].to_numpy()
            # rows of a volume lie together and in the order of its grid
            first = np.r_[True, np.diff(number) != 0]
            place = np.arange(len(number)) - np.maximum.accumulate(np.where(first, np.arange(len(number)), 0))
            table = group.append_column("place", pa.array(place.astype(np.int32)))
            for column in SUBGRID_IDS:
                table = table.append_column(column, ids[column].take(group["volume"]))
            table = keep(table, expression)
            found, place = table["volume"].to_numpy(), table["place"].to_numpy()
            kept.update({volume: place[found == volume] for volume in set(found.tolist()) & volumes})
    return kept


def _features(store: Volumes, selection: Selection, lazy: bool) -> Any:
    schema = store.opened.manifest.schema
    if selection.config == "subgrids":
        key = selection.key if lazy else None
        return hf.subgrid_features(schema, selection.columns, selection.box, key, selection.rule)
    if selection.config == "volumes":
        return hf.volume_features(schema, selection.columns, selection.key, selection.rule)
    table = store.entries if selection.config == "entries" else store.atoms(0) if len(store.entries) else pa.table({})
    return hf.features_of(pa.schema([table.schema.field(column) for column in selection.columns]))


def _arrow_file(
    store: Volumes, selection: Selection, source: ExampleSource, features: Any, scheme: str, split: str
) -> Path:
    """The table behind a map-style dataset: references to what is cut, made once, then memory-mapped."""
    request = {**asdict(replace(selection, keep=None)), "scheme": scheme, "split": split}
    request["keep"] = hashlib.sha256(pickle.dumps(selection.keep)).hexdigest()  # its text leaves out long lists
    digest = hashlib.sha256(canonical_json(request)).hexdigest()[:32]
    # a folder each: `datasets` keeps what it derives from a table beside it, and clears it by the folder
    folder = hf.cache_folder() / "cryodata" / f"{store.key.name}-{store.key.version}-{digest}"
    path = folder / "table.arrow"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    schema = hf.arrow_schema(features)
    try:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for columns in _row_batches(store, selection, source):
                writer.write_table(pa.table(columns, schema=schema))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _row_batches(store: Volumes, selection: Selection, source: ExampleSource) -> Iterator[Mapping[str, Any]]:
    if isinstance(source, RowSource):
        for shard in range(source.shards):
            table = source.rows(shard)
            yield {name: table[name] for name in selection.columns}
        return
    volumes = source.volumes  # type: ignore[attr-defined]
    arrays = {array.name for array in store.opened.manifest.schema.arrays}
    for first in range(0, len(volumes), VOLUMES_PER_BATCH):
        part = volumes[first : first + VOLUMES_PER_BATCH]
        starts = [_starts(store, source, int(volume)) for volume in part]
        number = np.repeat(part, [len(item) for item in starts]).astype(np.int32)
        reference = references(number, np.concatenate(starts))
        columns: dict[str, Any] = {}
        for name in selection.columns:
            if name in arrays:
                columns[name] = reference
            elif name == "start_zyx":
                columns[name] = reference.field("start_zyx")
            else:
                columns[name] = store.entries[name].take(pa.array(number))
        yield columns


def _starts(store: Volumes, source: ExampleSource, volume: int) -> npt.NDArray[np.int32]:
    if not isinstance(source, SubgridSource):
        return np.zeros((1, 3), dtype=np.int32)
    shape = store.entries["shape_zyx"][volume].as_py()
    starts = SubgridGrid.uniform(shape, source.box, source.core).starts_zyx()
    return starts if source.kept is None else starts[source.kept[volume]]
