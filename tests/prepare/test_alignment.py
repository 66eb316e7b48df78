"""The best local alignment: the same by parasail, by NumPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal

from benchmarks.splits.families import background, descendant, text
from cryodata.prepare.alignment import LETTERS, Criterion, Match, Query, align, clean, score_beyond_chance, scores


def related(seed: int) -> tuple[str, str]:
    """Two sequences with gaps between them, some with unknown residues."""
    rng = np.random.Generator(np.random.PCG64(seed))
    one = background(rng, int(rng.integers(5, 150)))
    other = descendant(one, float(rng.uniform(0.1, 0.9)), rng)
    return text(one) + "X" * int(rng.integers(3)), text(background(rng, 9)) + text(other)


def test_an_alignment_counts_columns_matches_and_gaps() -> None:
    # W W W W C - - W W W W   8 W = 88, 1 C = 9, a gap of two costs 11 + 1 = 12
    # W W W W C A A W W W W
    expected = Match(score=8 * 11 + 9 - 12, same=9, columns=11)

    assert Query("WWWWCWWWW").match("WWWWCAAWWWW") == expected
    assert align("WWWWCWWWW", "WWWWCAAWWWW") == expected
    assert expected.identity == 9 / 11


def test_what_has_nothing_in_common_scores_nothing() -> None:
    assert Query("WWWW").match("GGGG").score == align("WWWW", "GGGG").score == 0
    assert align("", "A") == Match(0, 0, 0)
    assert Match(0, 0, 0).identity == 0.0


def test_parasail_and_numpy_have_the_same_score_and_nearly_always_the_same_alignment() -> None:
    cases = [related(seed) for seed in range(200)]
    found = [(Query(one).match(other), align(one, other), Query(one).score(other)) for one, other in cases]

    assert all(first.score == second.score == score for first, second, score in found)
    assert sum(first != second for first, second, _ in found) <= 10  # several are the best


@pytest.mark.parametrize("seed", range(20))
def test_the_score_is_that_of_another_library(seed: int) -> None:
    one, other = related(seed)
    matrix = SubstitutionMatrix.std_protein_matrix()
    pair = ProteinSequence(one), ProteinSequence(other)

    (expected,) = align_optimal(*pair, matrix, gap_penalty=(-11, -1), local=True, max_number=1)

    assert Query(one).score(other) == expected.score


def test_the_matrix_is_blosum62() -> None:
    other = SubstitutionMatrix.std_protein_matrix()
    expected = [[other.get_score(one, two) for two in LETTERS] for one in LETTERS]

    assert scores().tolist() == expected


def test_chains_are_alike_from_each_threshold_on() -> None:
    criterion = Criterion()  # 30 % identity, half of the shorter chain, score 60

    assert Match(60, 15, 50).meets(criterion, 100)
    assert not Match(59, 15, 50).meets(criterion, 100)
    assert not Match(60, 14, 50).meets(criterion, 100)  # 28 %
    assert not Match(60, 15, 49).meets(criterion, 100)  # 49 columns of 100 residues


def test_other_letters_are_unknown_residues() -> None:
    assert clean("acUB*") == "ACXXX"


def test_the_score_beyond_chance_grows_with_what_is_compared() -> None:
    # K m n exp(-lambda S) = 1: ln(0.041 * 10^12 / 2) / 0.267 = 88.97
    assert score_beyond_chance(1_000_000) == 89
    assert score_beyond_chance(1000) == 60
    assert score_beyond_chance(0) == 60


def test_about_one_pair_of_unrelated_sequences_reaches_the_score_beyond_chance() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    sequences = [text(background(rng, int(rng.integers(50, 500)))) for _ in range(150)]
    beyond = score_beyond_chance(sum(map(len, sequences)))

    found = [Query(one).score(other) for number, one in enumerate(sequences) for other in sequences[:number]]

    assert sum(score >= beyond for score in found) <= 3
    assert sum(score >= beyond - 10 for score in found) > 3


def test_without_parasail_numpy_aligns(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = related(3)
    expected = Query(one).match(other)
    monkeypatch.setattr("cryodata.prepare.alignment._parasail", lambda: None)

    query = Query(one)

    assert (query.score(other), query.match(other)) == (expected.score, align(one, other))
