"""The table behind a map-style dataset: references to what is cut, made once, then memory-mapped."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.core.layout import canonical_json
from cryodata.core.subgrids import SubgridGrid
from cryodata.read import hf
from cryodata.read.columns import array_columns
from cryodata.read.decode import Volumes
from cryodata.read.features import references
from cryodata.read.filters import digest_of
from cryodata.read.selection import Selection
from cryodata.read.sources import ExampleSource, RowSource, SubgridSource

VOLUMES_PER_BATCH = 64
"volumes whose rows are written at a time"


def arrow_file(
    store: Volumes, selection: Selection, source: ExampleSource, features: Any, scheme: str, split: str
) -> Path:
    """Path of the Arrow file of a selection in the cache of `datasets`; made if it is not there."""
    request = {**asdict(replace(selection, keep=None)), "scheme": scheme, "split": split}
    request["keep"] = digest_of(selection.keep)
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
    arrays = array_columns(store.opened.manifest.schema, selection.rule)
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
