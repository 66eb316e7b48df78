"""A dataset that is served, and what is read of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from torch.utils.data import DataLoader

from cryodata.build.dataset import Report
from cryodata.torch import SubgridStream

PARTS = ("tables", "versions", "volumes", "latest.json")
"what of a dataset is published"

LATEST = ["simulated/latest.json", "simulated/versions/0.1.0.json"]
"what opening the latest version over http asks for"


def copy_published(simulated: Report, target: Path) -> None:
    target.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (simulated.folder / part).is_dir() else shutil.copy
        copy(simulated.folder / part, target / part)


def batches(**options: Any) -> list[dict[str, Any]]:
    stream = SubgridStream("simulated", split="train", batch_size=8, seed=3, **options)
    return list(DataLoader(stream, batch_size=None))


def published(simulated: Report) -> set[str]:
    """Every object that the version refers to."""
    rows = pq.read_table(simulated.folder / simulated.manifest.tables / "objects.parquet")["path"].to_pylist()
    return {f"simulated/{path}" for path in [*rows, f"{simulated.manifest.tables}/objects.parquet"]}
