"""What the tests of the reader share: the simulated dataset as users open it, and what must come out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.read.decode import VersionKey, Volumes, volumes_of

Open = Callable[..., Any]
Place = tuple[str, int, int, int]
"entry_id, and start in z, y, x"


@pytest.fixture(scope="session", autouse=True)
def hf_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of `datasets` for these tests alone, and no bars in their output."""
    folder = tmp_path_factory.mktemp("hf_cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(folder))  # for workers and fresh processes
        patch.setenv("CRYODATA_CACHE", str(tmp_path_factory.mktemp("cache") / "objects"))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        datasets.disable_progress_bars()
        yield folder
        datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def stream(simulated: Report) -> Open:
    """`load_dataset` of the simulated training split, streaming; keywords add to it."""
    return partial(load_dataset, str(simulated.folder), **{"split": "train", "streaming": True})


@pytest.fixture(scope="session")
def table(simulated: Report) -> Open:
    """`load_dataset` of the simulated training split with random access; keywords add to it."""
    return partial(load_dataset, str(simulated.folder), **{"split": "train"})


@pytest.fixture
def decoder(simulated: Report) -> Volumes:
    """What decodes the simulated volumes in this process, with nothing decoded yet."""
    manifest = (simulated.folder / "versions/0.1.0.json").read_bytes()
    volumes_of.cache_clear()
    return volumes_of(
        VersionKey(str(simulated.folder.parent), "simulated", "0.1.0", hashlib.sha256(manifest).hexdigest())
    )


@pytest.fixture(scope="session")
def subgrid_rows(simulated: Report) -> list[dict[str, Any]]:
    """Rows of the published table of training sub-grids with their `entry_id`, as pyarrow reads them."""
    tables = simulated.folder / simulated.manifest.tables
    ids = pq.read_table(tables / "entries.parquet")["entry_id"].to_pylist()
    rows = []
    for path in sorted(tables.glob("subgrids-train-*.parquet")):
        rows += pq.ParquetFile(path).read().to_pylist()
    return [{**row, "entry_id": ids[row["volume"]]} for row in rows]


@pytest.fixture(scope="session")
def places(subgrid_rows: list[dict[str, Any]]) -> list[Place]:
    """Which training sub-grids there are, in the order of the published table."""
    return [(row["entry_id"], *row["start_zyx"]) for row in subgrid_rows]


@pytest.fixture(scope="session")
def place() -> Callable[[Any], Place]:
    """The identity of an example, of whatever type its columns are."""

    def of(example: Any) -> Place:
        z, y, x = (int(start) for start in example["start_zyx"])
        return str(example["entry_id"]), z, y, x

    return of
