"""Conditions on tables: pyarrow expressions, or lists of (column, operator, value); never text to evaluate."""

from __future__ import annotations

import hashlib
import pickle
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryodata.core.layout import canonical_json
from cryodata.core.subgrids import counts_of
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.cache import Cache
from cryodata.formats.row_groups import iterate_subgrids
from cryodata.formats.tables import vectors
from cryodata.read.decode import Volumes
from cryodata.read.kept import Kept
from cryodata.read.sources import SUBGRID_IDS

CONDITIONS_KEPT = 8
"conditions whose result a process remembers for each version"


def as_expression(condition: Any) -> Any:
    """A pyarrow expression, or None for no condition. Raises UsageError for anything else."""
    if condition is None or isinstance(condition, pc.Expression):
        return condition
    try:
        if isinstance(condition, str):
            raise ValueError("text is never evaluated")
        _check_conditions(condition)
        return pq.filters_to_expression(condition)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UsageError(
            f"filter={condition!r}: {error}; expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]"
        ) from None


def _check_conditions(condition: Any) -> None:
    """ValueError for what pyarrow would misread: text for a list of values is taken letter by letter, and fits none."""
    if not isinstance(condition, list | tuple):
        raise ValueError("conditions stand in a list")
    for item in condition:
        for one in item if isinstance(item, list) else [item]:  # a list of lists: one of them must hold
            if not isinstance(one, tuple) or len(one) != 3:
                raise ValueError(f"a condition is (column, operator, value), found {one!r}")
            if one[1] in ("in", "not in") and isinstance(one[2], str | bytes):
                raise ValueError(f"'{one[1]}' takes a list of values, found {one[2]!r}")


def keep(table: pa.Table, expression: Any) -> pa.Table:
    """The rows that meet a condition. Raises UsageError, listing the columns, if it names others."""
    try:
        return table.filter(expression)
    except (pa.ArrowException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0][:200]
        raise UsageError(f"filter: {first}; columns are {', '.join(table.schema.names)}") from None


def digest_of(expression: Any) -> str:
    """Hash of an expression, or of None. Its text would leave out long lists."""
    return hashlib.sha256(pickle.dumps(expression)).hexdigest()


def kept_subgrids(store: Volumes, expression: Any) -> Kept:
    """The sub-grids that meet a condition; nothing is decoded.

    The tables are read once: this process remembers the result, and so does the cache on disk (`CRYODATA_CACHE`), for
    every process, by the manifest and the condition.
    """
    key = hashlib.sha256(canonical_json(["kept", 1, store.key.sha256, digest_of(expression)])).hexdigest()
    if key in store.kept:
        store.kept.move_to_end(key)
        return store.kept[key]
    manifest = store.opened.manifest
    counts = counts_of(vectors(store.entries["shape_zyx"]), manifest.core).prod(axis=1)
    kept, cache = Kept.none(counts), Cache.of_environment()
    made = cache.made(key)
    if made is not None and len(made) == len(kept.bits):
        kept.bits[...] = np.frombuffer(made, dtype=np.uint8)
    else:
        _scan(store, expression, counts, kept)
        with suppress(CryodataError):  # a cache that can't be written costs time, the next time
            cache.keep_made(key, kept.bits.tobytes())
    store.kept[key] = kept
    while len(store.kept) > CONDITIONS_KEPT:
        store.kept.popitem(last=False)
    return kept


def _scan(store: Volumes, expression: Any, counts: npt.NDArray[np.int64], kept: Kept) -> None:
    """Look at the tables of sub-grids, in memory for one row group."""
    seen, ids = np.zeros(len(counts), dtype=np.int64), store.entries.select(list(SUBGRID_IDS))
    for name in store.opened.gathered("subgrids-"):
        for group in iterate_subgrids(store.opened.table(name)):
            number = group["volume"].to_numpy()
            if not len(number):
                continue
            if number.min() < 0 or number.max() >= len(counts):
                raise DatasetError(f"{name}: a sub-grid of no entry")
            # rows of a volume lie together and in the order of its grid
            begin = np.flatnonzero(np.r_[True, np.diff(number) != 0])
            length = np.diff(np.r_[begin, len(number)])
            place = np.arange(len(number)) - np.repeat(begin - seen[number[begin]], length)
            np.add.at(seen, number[begin], length)
            if np.any(place >= counts[number]):
                wrong = int(number[np.argmax(place >= counts[number])])
                raise DatasetError(
                    f"{name}: entry {ids['entry_id'][wrong].as_py()} has more than its {counts[wrong]:,} sub-grids"
                )
            table = group.append_column("place", pa.array(place.astype(np.int32)))
            for column in SUBGRID_IDS:
                table = table.append_column(column, ids[column].take(group["volume"]))
            table = keep(table, expression)
            kept.add(table["volume"].to_numpy(), table["place"].to_numpy())
