"""What the tests of the baseline share: settings small enough to train in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryodata.baseline.learning.config import TrainConfig
from cryodata.baseline.train import train
from cryodata.build.dataset import Report

SMALL = {
    "filters": 8, "blocks": "1,1", "scales": 1, "box": 16, "core": 8, "batch_size": 4, "streams": 1, "pool_volumes": 3,
    "steps": 9, "evaluate_every": 4, "validation_batches": 2, "warmup": 2, "balance": "map",
    "device": "cpu", "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="session")
def small() -> TrainConfig:
    """Nine steps of a tiny residual network."""
    return TrainConfig(**SMALL)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, simulated: Report, small: TrainConfig) -> Path:
    """A run of these settings, come to its end."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train("simulated", small, folder, root=str(simulated.folder.parent))
    return folder
