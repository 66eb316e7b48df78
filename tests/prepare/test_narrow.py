"""Density on its way to the disk: another type in the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.prepare.narrow import narrowed

pytestmark = pytest.mark.usefixtures("loops")


def test_every_kind_of_float32_is_rounded_as_numpy_does() -> None:
    """Random bits: zeros, what is too small or too large for float16, infinities, halves of a step."""
    bits = np.random.default_rng(3).integers(0, 1 << 32, 300_000, dtype=np.uint32).view(np.float32)
    ties = (np.arange(1 << 15, dtype=np.uint32) << 13 | 1 << 12).view(np.float32)
    values = np.concatenate([bits[~np.isnan(bits)], ties, -ties, [0.0, -0.0, 65519.99, 65520.0, 2**-24, 2**-25]])
    values = values[~np.isnan(values)].astype(np.float32).reshape(1, 1, -1)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
        stored = narrowed(values, np.dtype(np.float16))

    assert np.array_equal(stored.view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_take_another_type_in_their_own_memory(dtype: str) -> None:
    data = np.random.default_rng(2).random((7, 5, 9), dtype=np.float32)
    expected = data.astype(dtype)

    stored = narrowed(data, np.dtype(dtype))

    assert stored.dtype == dtype
    assert np.array_equal(stored, expected)
    assert np.shares_memory(stored, data)


@pytest.mark.parametrize("order", ["transposed", "read-only", "wider"])
def test_memory_that_cannot_be_taken_is_left_as_it_is(order: str) -> None:
    data = np.random.default_rng(2).random((7, 5, 9), dtype=np.float32)
    given = data.transpose(2, 1, 0) if order == "transposed" else data.astype(np.float16) if order == "wider" else data
    given.flags.writeable = order != "read-only"
    kept = given.copy()

    stored = narrowed(given, np.dtype(np.float32 if order == "wider" else np.float16))

    assert np.array_equal(stored, kept.astype(stored.dtype))
    assert np.array_equal(given, kept)
