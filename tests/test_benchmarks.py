"""Benchmarks can't rot: each runs at tiny size."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.formats.density_codec import CODECS, STORED, measure
from benchmarks.read import loaders
from cryodata.build.dataset import Report


def test_density_codec() -> None:
    density = np.random.Generator(np.random.PCG64(0)).random((20, 20, 20), dtype=np.float32)

    rows = list(measure(density, chunks=(16,)))

    assert len(rows) == len(CODECS) * len(STORED)
    errors = {row["dtype"]: row["largest_error"] for row in rows}
    assert errors["float32"] == 0.0
    assert errors["float16"] <= 5e-4


@pytest.mark.filterwarnings("ignore")
def test_loaders(simulated: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "BATCH", 8)

    rows = loaders.main(simulated.folder.parent, "simulated", seconds=0.01)

    assert len(rows) == 7
    assert min(row["rate"] for row in rows) > 0
