"""Random numbers as a function of key and position."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cryodata.core.keyed import keyed_bits, keyed_choice, keyed_uniform


def splitmix(position: int, *key: int | str) -> int:
    """The definition, in Python's whole numbers."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    start, step = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little") | 1
    value = (start + step * (position + 1)) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def test_the_bits_are_those_of_the_definition() -> None:
    positions = [0, 1, 2, 39_000_000, 2**40]

    assert keyed_bits(positions, "block", 1, 2).tolist() == [splitmix(n, "block", 1, 2) for n in positions]


def test_what_a_position_gives_does_not_hang_on_what_is_asked_beside_it() -> None:
    together = keyed_uniform(np.arange(100), "a", 1)

    assert [float(keyed_uniform(n, "a", 1)) for n in range(100)] == together.tolist()


def test_another_key_gives_other_bits() -> None:
    assert not np.isin(keyed_bits(np.arange(1000), "a", 1), keyed_bits(np.arange(1000), "a", 2)).any()


def test_numbers_are_spread_evenly_from_0_to_below_1() -> None:
    numbers = keyed_uniform(np.arange(100_000), "spread")
    counts = np.histogram(numbers, bins=100, range=(0, 1))[0]

    assert 0 <= numbers.min() < numbers.max() < 1
    # 1,000 each, standard deviation 31.5
    assert np.all(np.abs(counts - 1000) < 5 * 31.5)


@pytest.mark.parametrize("count", [1, 3, 24, 2**32])
def test_a_choice_is_one_of_count(count: int) -> None:
    chosen = keyed_choice(count, np.arange(10_000), "choice")

    assert chosen.min() >= 0
    assert chosen.max() < count
    assert len(np.unique(chosen)) >= min(count, 9_000)
