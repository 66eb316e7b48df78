"""Dense sub-grids as Parquet files (pyarrow): arrays as nested lists, which `datasets` reads as Array3D."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cryodata.core.schema import Schema

GROUP = 128
"rows of a row group: about 20 MB in memory, so that a reader may skip what it does not need"

ARRAY = "datasets.features.features.Array3DExtensionType"
"""what `datasets` calls the type of such a column; where nobody knows it, the column is the lists that it is made of.
Without it `datasets` takes them for lists of no fixed length, which it reads 16 times slower: 19 against 1.2 ms"""

IDS = {"entry_id": "string", "emdb_id": "string", "pdb_id": "string", "resolution": "float64"}
"columns before the arrays"


def write_dense(path: Path, schema: Schema, box: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write sub-grids; in memory for one row group. The same rows give the same bytes.

    rows: values by column, `start_zyx` (3,) and arrays (box, box, box), density in float16 or float32.
    """
    names = [array.name for array in schema.arrays if array.role in ("density", "label")]
    coming = iter(rows)
    group = list(islice(coming, GROUP))
    dtypes = {name: str(group[0][name].dtype) for name in names}
    made = _schema(dtypes, box)
    with pq.ParquetWriter(path, made, compression="zstd", compression_level=3, write_page_checksum=True) as writer:
        while group:
            columns: dict[str, Any] = {name: [row[name] for row in group] for name in IDS}
            columns["start_zyx"] = [list(row["start_zyx"]) for row in group]
            columns |= {name: nested(np.stack([row[name] for row in group])) for name in names}
            writer.write_table(pa.table(columns, schema=made), row_group_size=len(group))
            group = list(islice(coming, GROUP))


def nested(values: npt.NDArray[Any]) -> pa.Array:
    """An array (n, a, b, c) as n lists of lists of lists, without a copy of its values."""
    flat = pa.array(values.reshape(-1))
    for length in reversed(values.shape[1:]):
        flat = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, length, dtype=np.int32)), flat)
    return flat


def _schema(dtypes: Mapping[str, str], box: int) -> pa.Schema:
    """Columns, with what `datasets` has to know of them (its `Features`) in the metadata."""
    features: dict[str, Any] = {name: {"dtype": kind, "_type": "Value"} for name, kind in IDS.items()}
    features["start_zyx"] = {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List", "length": 3}
    fields = [pa.field(name, pa.string() if kind == "string" else pa.float64()) for name, kind in IDS.items()]
    fields.append(pa.field("start_zyx", pa.list_(pa.int32(), 3)))
    for name, dtype in dtypes.items():
        features[name] = {"shape": _sides(box), "dtype": dtype, "_type": "Array3D"}
        kind = pa.from_numpy_dtype(np.dtype(dtype))
        told = {"ARROW:extension:name": ARRAY, "ARROW:extension:metadata": json.dumps([_sides(box), dtype])}
        fields.append(pa.field(name, pa.list_(pa.list_(pa.list_(kind))), metadata=told))
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _sides(box: int) -> Sequence[int]:
    return [box, box, box]
