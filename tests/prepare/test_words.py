"""Which sequences are worth an alignment: nearly all that are alike, few of the others."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.splits.families import background, descendant, text
from cryodata.prepare import words
from cryodata.prepare.words import WordIndex


def unrelated(count: int, seed: int = 0) -> list[str]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return [text(background(rng, int(length))) for length in rng.integers(60, 700, count)]


def test_few_unrelated_sequences_are_let_through() -> None:
    index = WordIndex(unrelated(600))

    passed = sum(len(index.alike(number)) - 1 for number in range(50)) / (50 * 599)

    assert 0.05 < passed < 0.2


def test_descendants_that_kept_four_tenths_are_found() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    ancestors = [background(rng, int(length)) for length in rng.integers(80, 500, 80)]
    index = WordIndex([text(item) for item in ancestors] + [text(descendant(item, 0.4, rng)) for item in ancestors])

    found = sum(number + 80 in index.alike(number) for number in range(80))

    assert found >= 74  # 93 %


def test_a_part_of_a_chain_finds_the_whole() -> None:
    whole = unrelated(1)[0][:300]
    others = unrelated(50, seed=2)
    index = WordIndex([whole[100:160], *others, whole])

    assert 51 in index.alike(0)
    assert 0 in index.alike(51)


def test_the_first_to_look_at_can_be_given() -> None:
    one = unrelated(1)[0]
    index = WordIndex([one, one, one])

    assert index.alike(1).tolist() == [0, 1, 2]
    assert index.alike(1, 2).tolist() == [2]


def test_what_is_found_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = unrelated(70)
    expected = [WordIndex(sequences).alike(number).tolist() for number in range(70)]
    monkeypatch.setattr(words, "BLOCK", 16)

    found = [WordIndex(sequences).alike(number).tolist() for number in range(70)]

    assert found == expected


def test_of_two_sequences_either_finds_the_other_or_none_does() -> None:
    index = WordIndex(unrelated(150))
    found = {(one, other) for one in range(150) for other in index.alike(one).tolist()}

    assert found == {(other, one) for one, other in found}


def test_short_and_unknown_sequences_have_no_words() -> None:
    index = WordIndex(["AC", "XXXXXXXX", "ACDEFGHIKL", ""])

    assert [index.alike(number).tolist() for number in range(4)] == [[], [], [2], []]
