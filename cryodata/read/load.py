"""`load_dataset`: from a name to a dataset that behaves as those of Hugging Face do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cryodata.errors import UsageError
from cryodata.formats.versions import DatasetVersion, open_dataset
from cryodata.read import hf
from cryodata.read.arrow_table import arrow_file
from cryodata.read.atoms import ATOMS_OF_ENTRY
from cryodata.read.decode import Volumes, volumes_of
from cryodata.read.hf_examples import ROUNDS, STREAMS
from cryodata.read.plan import StreamPlan, check_whole
from cryodata.read.selection import (
    Selection,
    checked_selection,
    source_of,
    split_names,
    volumes_of_split,
)
from cryodata.read.sources import SubgridSource


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
    shuffle: int | None = None,
    batch_size: int | None = None,
    streams: int | None = None,
    pool_volumes: int | None = None,
) -> Any:
    """Open a dataset that cryodata built.

    name: NAME or NAME@VERSION, or the path or URL of the dataset's folder. config: `subgrids` (the default), `volumes`,
    `entries` or `atoms`. split: `train`, `validation`, `test`, `unassigned`; without one, a dictionary of those
    that have entries.
    streaming: an IterableDataset that decodes each volume once, in order; else a Dataset with random access, whose
    arrays are cut when a row is read. revision: a version; the highest if none is given. root: folder of the datasets
    or its URL (http, https, s3, gs, az), else CRYODATA_ROOT, else ~/.cache/cryodata. split_by: the scheme that says
    what a split is: `resolution`, `id` or `sequence`. labels: how they are written from the atoms when a sub-grid is
    read. `stored` (as the recipe placed them), `floor` (the published rule), `nearest` (the nearest voxel); `sphere:R`
    (each voxel the class of the nearest atom within R A); `gaussian:S` (a float32 channel a class, max of exp(-d^2 / 2
    S^2), 0 beyond 4 S A); `offset` (as stored, and from the centre of each labelled voxel to its atom). Atoms outside a
    sub-grid count within it.
    box, core: voxels a side of a sub-grid and of the part that belongs to it alone (32 and 20). columns: only these.
    filter: only sub-grids that meet a condition on their table, without decoding the others, as a pyarrow expression
    or a list such as [("n_ca_core", ">", 0)]. shuffle: seed of a shuffle over all maps that decodes each once and
    resumes exactly (streams of sub-grids; the same as `.shuffle(seed)` on the result). batch_size: makes each example
    a whole batch, arrays (n, box, box, box). streams: parts of a shuffled epoch that are read side by side, the shards
    that workers share (8, or the most of 8, 4, 2, 1 that the batch can be dealt to). pool_volumes: maps mixed at a
    time, a multiple of `streams`, for `shuffle`.

    A sub-grid example has `density` float32 (box, box, box) in [0, 1], `atom`, `amino`, `secondary` uint8 of the same
    shape, `entry_id`, `emdb_id`, `pdb_id`, `resolution` (A) and `start_zyx` (three int32); z, y, x order. By `gaussian`
    labels are float32 (classes, box, box, box), channel i for class i + 1; by `offset` there are `offset` float32
    (3, box, box, box), x, y, z in A, and `offset_mask` uint8, both of the first label. Arrays are NumPy unless a format
    is set.

    Returns a datasets.IterableDataset if streaming, else a datasets.Dataset; a dictionary of them without `split`.
    Raises UsageError for a name, version, split, column or rule that is not there; DatasetError for damaged files.
    """
    opened = open_dataset(os.fspath(name), revision, root)
    columns = [columns] if isinstance(columns, str) else columns
    selection = checked_selection(opened, config, labels, box, core, columns, filter)
    scheme, names = split_names(opened, split_by)
    keyed = Keyed(shuffle, batch_size, streams, pool_volumes)
    if keyed != Keyed() and not (streaming and config == "subgrids"):
        raise UsageError(
            "shuffle=, batch_size=, streams= and pool_volumes= are for streams of sub-grids: streaming=True"
        )
    if split is None:
        filled = set(volumes_of(selection.key).entries[f"split_{scheme}"].to_pylist())
        by_split = {
            found: _load_split(opened, selection, scheme, found, streaming, keyed) for found in names if found in filled
        }
        return hf.as_dict(by_split, streaming)
    return _load_split(
        opened, selection, scheme, str(split), streaming, keyed
    )  # datasets.Split.TRAIN is no text, but says it


@dataclass(frozen=True, slots=True)
class Keyed:
    """What makes a stream one in the keyed order."""

    seed: int | None = None
    batch_size: int | None = None
    streams: int | None = None
    pool_volumes: int | None = None

    def plan(self, source: SubgridSource) -> StreamPlan:
        """The order: shuffled if there is a seed; every sub-grid exactly once."""
        streams, size = self.streams, self.batch_size
        if isinstance(self.seed, bool):  # False is 0, which would shuffle
            raise UsageError(f"shuffle={self.seed}; expected the seed of a shuffle, a whole number, or None for none")
        if size is not None:
            check_whole("batch_size", size)
        if self.seed is None:
            if streams not in (None, 1):
                raise UsageError(f"streams={streams} without shuffle=: the order of the table is one stream")
            streams = 1
        if streams is None:
            streams = next(n for n in (STREAMS, 4, 2, 1) if size is None or size % n == 0)
        size = streams * ROUNDS if size is None else size
        pool = streams if self.pool_volumes is None else self.pool_volumes
        return StreamPlan(source, size, self.seed or 0, self.seed is not None, streams, pool, "keep")


def _load_split(
    opened: DatasetVersion, selection: Selection, scheme: str, split: str, streaming: bool, keyed: Keyed
) -> Any:
    store = volumes_of(selection.key)
    source = source_of(store, selection, volumes_of_split(opened, selection, scheme, split))
    info = {
        "dataset_name": opened.manifest.name,
        "config_name": selection.config,
        "version": opened.manifest.version,
        "license": opened.manifest.license,
    }
    if isinstance(source, SubgridSource) and keyed != Keyed():
        features = _features(store, selection, lazy=False)
        whole = keyed.batch_size is not None
        return hf.keyed_stream(
            keyed.plan(source), hf.batch_features(features) if whole else features, whole, info, split
        )
    if streaming:
        return hf.streaming(source, _features(store, selection, lazy=False), info, split)
    features = _features(store, selection, lazy=True)
    return hf.mapped(arrow_file(store, selection, source, features, scheme, split), features, info, split)


def _features(store: Volumes, selection: Selection, lazy: bool) -> Any:
    schema = store.opened.manifest.schema
    if selection.config == "subgrids":
        key = selection.key if lazy else None
        return hf.subgrid_features(schema, selection.columns, selection.box, key, selection.rule)
    if selection.config == "volumes":
        return hf.volume_features(schema, selection.columns, selection.key, selection.rule)
    table = store.entries.schema if selection.config == "entries" else ATOMS_OF_ENTRY
    return hf.features_of(pa.schema([table.field(column) for column in selection.columns]))
