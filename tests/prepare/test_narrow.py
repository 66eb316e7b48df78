"""Density on its way to the disk: another type in the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.schema import STEP, ArraySpec
from cryodata.prepare.narrow import in_steps, narrowed

HALF = np.dtype(np.float16)

pytestmark = pytest.mark.usefixtures("loops")


def test_every_kind_of_float32_is_rounded_as_numpy_does() -> None:
    """Random bits: zeros, what is too small or too large for float16, infinities, halves of a step."""
    bits = np.random.default_rng(3).integers(0, 1 << 32, 300_000, dtype=np.uint32).view(np.float32)
    ties = (np.arange(1 << 15, dtype=np.uint32) << 13 | 1 << 12).view(np.float32)
    values = np.concatenate([bits[~np.isnan(bits)], ties, -ties, [0.0, -0.0, 65519.99, 65520.0, 2**-24, 2**-25]])
    values = values[~np.isnan(values)].astype(np.float32).reshape(1, 1, -1)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
        stored = narrowed(values, HALF, overwrite=True)

    assert np.array_equal(stored.view(np.uint16), expected.view(np.uint16))


def test_a_normalised_density_is_stored_in_even_steps_within_half_of_one() -> None:
    """Halves of a step go to the even one; 0 and 1 are exact, and no zero is negative."""
    halves = (np.arange(1024, dtype=np.float32) + 0.5) * STEP
    random = np.random.default_rng(5).random(100_000, dtype=np.float32)
    values = np.concatenate([halves, random, random**8, np.float32([0.0, -0.0, 1.0, 1e-30, 1 - 2**-24])])
    values = values.reshape(1, 1, -1)
    kept = values.astype(np.float64)

    stored = narrowed(values.copy(), HALF, STEP, overwrite=True)

    found = stored.astype(np.float64)
    assert np.array_equal(found, np.rint(kept / STEP) * STEP)
    assert np.abs(found - kept).max() == STEP / 2 < 5e-4
    assert not found[kept == 0].any()
    assert found[kept == 1].tolist() == [1.0]
    assert not np.signbit(stored).any()
    assert np.array_equal(narrowed(values, HALF, STEP).view(np.uint16), stored.view(np.uint16))
    assert np.array_equal(values, kept)


def test_of_all_float16_from_0_to_1_the_1025_multiples_are_in_steps(loops: str) -> None:
    values = np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16)

    found = [value for value in values if in_steps(value.reshape(1, 1, 1), STEP)]

    assert np.array_equal(found, np.arange(1025) * STEP)
    assert in_steps(-np.float16(found).reshape(5, 5, 41), STEP)
    assert in_steps(np.float16(found).reshape(5, 5, 41).transpose(2, 0, 1), STEP)
    assert not in_steps(np.full((1, 1, 2), np.nan, dtype=np.float16), STEP)
    assert not in_steps(np.array([[[0.5, 0.5], [0.5, 0.5 + 2**-11]]], dtype=np.float16), STEP)


@pytest.mark.parametrize(
    ("maximum", "dtype", "step"), [(1.0, "float16", STEP), (1.0, "float32", 0), (9.0, "float16", 0)]
)
def test_only_a_normalised_density_as_float16_has_steps_of_its_own(maximum: float, dtype: str, step: float) -> None:
    density = ArraySpec("density", "density", "float32", 0.0, maximum, "of whatever scale")

    assert density.step_as(np.dtype(dtype)) == step


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_take_another_type_in_their_own_memory(dtype: str) -> None:
    data = np.random.default_rng(2).random((7, 5, 9), dtype=np.float32)
    expected = data.astype(dtype)

    stored = narrowed(data, np.dtype(dtype), overwrite=True)

    assert stored.dtype == dtype
    assert np.array_equal(stored, expected)
    assert np.shares_memory(stored, data)


@pytest.mark.parametrize("order", ["transposed", "read-only", "wider"])
def test_memory_that_cannot_be_taken_is_left_as_it_is(order: str) -> None:
    data = np.random.default_rng(2).random((7, 5, 9), dtype=np.float32)
    given = data.transpose(2, 1, 0) if order == "transposed" else data.astype(np.float16) if order == "wider" else data
    given.flags.writeable = order != "read-only"
    kept = given.copy()

    stored = narrowed(given, np.dtype(np.float32 if order == "wider" else np.float16), overwrite=True)

    assert np.array_equal(stored, kept.astype(stored.dtype))
    assert np.array_equal(given, kept)
