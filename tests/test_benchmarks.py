"""Benchmarks can't rot: each runs at tiny size."""

from __future__ import annotations

import numpy as np

from benchmarks.formats.density_codec import CODECS, STORED, measure


def test_density_codec() -> None:
    density = np.random.Generator(np.random.PCG64(0)).random((20, 20, 20), dtype=np.float32)

    rows = list(measure(density, chunks=(16,)))

    assert len(rows) == len(CODECS) * len(STORED)
    errors = {row["dtype"]: row["largest_error"] for row in rows}
    assert errors["float32"] == 0.0
    assert errors["float16"] <= 5e-4
