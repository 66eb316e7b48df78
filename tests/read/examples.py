"""What tests of streams and of tables with random access tell examples by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cryodata.build.dataset import Report

Open = Callable[..., Any]
Place = tuple[str, int, int, int]

CONFIGS = ("subgrids", "volumes", "entries", "atoms")
ARRAYS = ("density", "atom", "amino", "secondary")
LIGHT = ["entry_id", "start_zyx"]
"columns that say which example it is and need nothing decoded"

too_many_workers = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores


def key(example: Any) -> str:
    """The identity of an example, or of a batch of them."""
    return json.dumps([example["entry_id"], np.asarray(example["start_zyx"]).tolist()])


def keys(examples: Iterable[Any]) -> list[str]:
    return [key(example) for example in examples]


def kinds(example: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every column."""
    return {
        name: (str(value.dtype), tuple(value.shape)) if hasattr(value, "dtype") else (type(value).__name__, ())
        for name, value in example.items()
    }


def entry_rows(report: Report) -> list[dict[str, Any]]:
    rows = pq.read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
    return [row for row in rows if row["split_resolution"] == "train"]


def peak(example: Any) -> dict[str, float]:
    return {"peak": float(np.asarray(example["density"]).max())}


def plain(example: Any) -> dict[str, Any]:
    """The values of an example, whatever holds them."""
    return {name: np.asarray(value).tolist() for name, value in example.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two examples have the same columns of the same values, whatever holds them."""
    return list(one) == list(other) and all(
        np.array_equal(np.asarray(one[name]), np.asarray(other[name])) for name in one
    )
