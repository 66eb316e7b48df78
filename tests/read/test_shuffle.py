"""How well an epoch is mixed: better with every map more in the pool, and better than a buffer of the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.read.shuffle import buffered, compare, figures, pooled

COUNTS = np.full(30, 125, dtype=np.int64)


def test_figures_of_small_orders_by_hand() -> None:
    counts = np.array([2, 2])

    # 0 0 | 1 1: one map a batch; pairs of one map lie 1 apart, any two places (1 x 3 + 2 x 2 + 3) / 6 = 5 / 3;
    # each batch misses its share of 1 and 1 by 1 and 1: (1 / 1 + 1 / 1), by chance (2 - 1) (4 - 2) / (4 - 1)
    assert figures(np.array([0, 0, 1, 1]), counts, 2) == {"maps": 1.0, "spread": 0.6, "noise": 3.0}
    # 0 1 | 0 1: both maps in each batch, as even as can be
    assert figures(np.array([0, 1, 0, 1]), counts, 2) == {"maps": 2.0, "spread": 1.2, "noise": 0.0}


def test_every_map_more_in_the_pool_mixes_better() -> None:
    found = [figures(pooled(COUNTS, pool, min(pool, 8), 16), COUNTS, 16) for pool in (1, 2, 4, 8, 16, 24)]

    for name in ("maps", "spread"):
        values = [one[name] for one in found]
        assert values == sorted(values)
        assert values[-1] > 2 * values[0]
    noise = [one["noise"] for one in found]
    assert noise == sorted(noise, reverse=True)


def test_all_maps_in_the_pool_are_a_full_permutation() -> None:
    counts = np.full(30, 2197, dtype=np.int64)

    found = figures(pooled(counts, 30, 1), counts)

    # 30 (1 - (29 / 30)^64) = 26.57 maps of a batch by chance
    assert found["maps"] == pytest.approx(26.57, abs=0.15)
    assert found["spread"] == pytest.approx(1, abs=0.02)
    assert found["noise"] == pytest.approx(1, abs=0.05)


def test_a_buffer_as_large_as_the_epoch_is_a_full_permutation() -> None:
    found = figures(buffered(COUNTS, int(COUNTS.sum())), COUNTS, 16)

    assert found["spread"] == pytest.approx(1, abs=0.05)
    assert found["noise"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("pool", [8, 16, 24])
def test_a_pool_mixes_better_than_a_buffer_of_the_same_bytes(pool: int) -> None:
    row = compare(maps=30, pool=pool, streams=8, side=200, batch=64)

    assert row["buffer samples"] * 196_608 <= row["bytes"]
    assert row["ours"]["maps"] > 1.1 * row["buffer"]["maps"]
    assert row["ours"]["spread"] > 1.5 * row["buffer"]["spread"]
    assert row["ours"]["noise"] < 0.7 * row["buffer"]["noise"]
