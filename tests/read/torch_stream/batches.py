"""Which sub-grids batches hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.torch import SubgridStream

Make = Callable[..., SubgridStream]
Key = tuple[str, int, int, int]


def keys(batch: dict[str, Any]) -> list[Key]:
    starts = batch["start_zyx"].tolist()
    return [(entry_id, *start) for entry_id, start in zip(batch["entry_id"], starts, strict=True)]


def epoch_of(stream: Any) -> list[list[Key]]:
    return [keys(batch) for batch in stream]


def everything(simulated: Report) -> set[Key]:
    table = load_dataset("simulated", split="train", root=simulated.folder.parent, columns=["entry_id", "start_zyx"])
    return {(row["entry_id"], *row["start_zyx"]) for row in table}
