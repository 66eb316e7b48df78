"""States with residue types and sequences become chains."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.baseline.cases import Case, chains_of, copies, correspondence, make_case, read_chains, score
from benchmarks.baseline.cases import Chain as TrueChain
from cryodata.baseline.chains import scan
from cryodata.baseline.chains.copies import relations
from cryodata.baseline.chains.emission import LETTERS, monotone, types_of
from cryodata.baseline.chains.graph import neighbours
from cryodata.baseline.chains.hidden_markov import DEVIATION, FLOOR, MEAN, paper_emission, paper_path
from cryodata.baseline.chains.shapes import arrange, copies_of
from cryodata.baseline.viterbi import trace
from cryodata.errors import UsageError


def walk(residues: int, seed: int) -> TrueChain:
    """A chain that turns at random and never comes near itself."""
    rng = np.random.default_rng(seed)
    while True:
        xyz = np.zeros((residues, 3))
        for i in range(1, residues):
            step = rng.normal(size=3) + (1.5 * (xyz[i - 1] - xyz[i - 2]) / 3.8 if i > 1 else 0)
            xyz[i] = xyz[i - 1] + 3.8 * step / np.linalg.norm(step)
        apart = np.linalg.norm(xyz[:, None] - xyz[None], axis=2) + 9 * (
            np.abs(np.subtract.outer(*2 * [range(residues)])) < 3
        )
        if apart.min() > 4.5:
            return TrueChain("".join(LETTERS[number] for number in rng.integers(0, 20, residues)), xyz)


@pytest.fixture(scope="module")
def noisy(shared_data: Path) -> Case:
    return make_case(chains_of("448"), 0)


@pytest.fixture(scope="module")
def answer(noisy: Case) -> list[npt.NDArray[np.int64]]:
    return trace(noisy.xyz, noisy.amino, noisy.sequences)


@pytest.mark.real
def test_a_noisy_case_of_two_pairs_of_copies_is_mostly_in_register(noisy: Case, answer: Any) -> None:
    found = score(noisy, answer)

    assert found.entity >= 0.8
    assert found.precision >= 0.93


@pytest.mark.real
def test_no_state_is_used_twice(answer: Any) -> None:
    used = np.concatenate(answer)
    used = used[used >= 0]

    assert len(used) > 300
    assert len(np.unique(used)) == len(used)


@pytest.mark.real
def test_the_same_input_gives_the_same_answer(noisy: Case, answer: Any) -> None:
    again = trace(noisy.xyz, noisy.amino, noisy.sequences)

    assert all(np.array_equal(one, two) for one, two in zip(answer, again, strict=True))


@pytest.mark.real
def test_true_positions_and_types_give_every_chain_whole(shared_data: Path) -> None:
    case = make_case(chains_of("448"), 0, noisy=False)

    assert score(case, trace(case.xyz, case.amino, case.sequences)).entity >= 0.995


@pytest.mark.real
def test_the_method_of_the_paper_follows_a_perfect_case_and_gets_lost_in_a_noisy_one(
    noisy: Case, shared_data: Path
) -> None:
    perfect = make_case(chains_of("448"), 0, noisy=False)

    found = [score(case, trace(case.xyz, case.amino, case.sequences, method="paper")) for case in (perfect, noisy)]

    assert found[0].lax > 0.9
    assert found[1].lax < 0.5


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_a_chain_is_followed_in_the_direction_of_its_sequence(reverse: bool) -> None:
    chain = walk(40, 1)
    states = slice(None, None, -1) if reverse else slice(None)
    amino = np.eye(20)[types_of(chain.sequence)] * 0.6 + 0.02

    (path,) = trace(chain.xyz[states], amino[states], [chain.sequence])

    expected = np.arange(40)[states]
    assert np.array_equal(expected, path)


def test_a_sequence_read_backwards_is_another_one() -> None:
    chain = walk(40, 1)
    amino = np.eye(20)[types_of(chain.sequence)] * 0.6 + 0.02

    (path,) = trace(chain.xyz, amino, [chain.sequence[::-1]])

    # the states stand where the types fit, so the path runs down the numbers
    assert np.array_equal(np.arange(40)[::-1], path)


def test_residues_without_states_have_none_and_those_around_them_stay_in_register() -> None:
    chain = walk(60, 3)
    amino = np.eye(20)[types_of(chain.sequence)] * 0.6 + 0.02
    there = np.setdiff1d(np.arange(60), [20, 31, 32, 40, 41, 42, 43])

    (path,) = trace(chain.xyz[there], amino[there], [chain.sequence])

    expected = np.full(60, -1)
    expected[there] = np.arange(len(there))
    assert np.array_equal(expected, path)


def test_unknown_letters_take_any_state() -> None:
    chain = walk(40, 3)
    amino = np.eye(20)[types_of(chain.sequence)] * 0.6 + 0.02

    (path,) = trace(chain.xyz, amino, [chain.sequence[:18] + "XX" + chain.sequence[20:]])

    assert np.array_equal(np.arange(40), path)


def test_two_copies_share_nothing_and_stay_whole() -> None:
    chains = copies([walk(50, 4)], 100)
    case = make_case(chains, 0, noisy=False)

    found = score(case, trace(case.xyz, case.amino, case.sequences))

    assert (found.entity, found.placed) == (1.0, 1.0)


def test_tails_of_copies_go_to_the_heads_whose_shape_they_continue() -> None:
    """Links know nothing of it: where the tails were exchanged, residues are missing in all three copies."""
    chain = walk(120, seed=3)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    xyz = np.concatenate([chain.xyz, chain.xyz @ turn + 80, chain.xyz - 90])
    true = [np.arange(120, dtype=np.int32) + 120 * k for k in range(3)]
    for path in true:
        path[55:65] = -1
    mixed = [np.concatenate([true[head][:60], true[tail][60:]]) for head, tail in ((0, 1), (1, 2), (2, 0))]

    count = arrange(xyz, (2.2, 5.4), mixed, copies_of([chain.sequence] * 3)[0], lambda k, path: 0.0)

    assert count == 1
    assert all(np.array_equal(found, path) for found, path in zip(mixed, true, strict=True))


@pytest.mark.real
def test_states_that_lie_badly_are_traced_by_the_tables_for_such(shared_data: Path) -> None:
    case = make_case(chains_of("448"), 1, error=0.65)

    tables_for_good, for_bad = (
        score(case, trace(case.xyz, case.amino, case.sequences, error=error)).entity for error in (0.35, 0.65)
    )

    assert for_bad > tables_for_good + 0.1


def test_scores_of_links_kept_for_a_few_residues_at_a_time_give_the_same_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case([walk(70, seed=5)], 0)
    whole = trace(case.xyz, case.amino, case.sequences)
    monkeypatch.setattr(scan, "MEMORY", 1)

    in_parts = trace(case.xyz, case.amino, case.sequences)

    assert (whole[0] >= 0).sum() > 40
    assert np.array_equal(whole[0], in_parts[0])


def test_nothing_gives_nothing() -> None:
    empty = trace(np.empty((0, 3)), np.empty((0, 20)), ["ACD", ""])
    one = trace(np.zeros((1, 3)), np.full((1, 20), 0.05), ["ACD", ""])

    assert [path.tolist() for path in empty] == [[-1, -1, -1], []]
    assert [len(path) for path in one] == [3, 0]
    assert trace(np.zeros((1, 3)), np.full((1, 20), 0.05), []) == []


@pytest.mark.parametrize(
    ("xyz", "amino", "message"),
    [
        (np.zeros((3, 2)), np.ones((3, 20)), "xyz: expected positions of shape (states, 3), found (3, 2)"),
        (np.zeros((3, 3)), np.ones((3, 21)), "amino: expected probabilities of shape (3, 20), found (3, 21)"),
        (
            np.full((3, 3), np.nan),
            np.ones((3, 20)),
            "xyz and amino: expected finite numbers, and probabilities that are not negative",
        ),
    ],
    ids=["flat", "with-background", "nan"],
)
def test_input_that_cannot_be_is_refused(xyz: Any, amino: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        trace(xyz, amino, ["ACD"])

    assert str(error.value) == message


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        trace(np.zeros((1, 3)), np.ones((1, 20)), ["A"], method="hmm")

    assert str(error.value) == "no tracing method 'hmm'; there are: default, paper"


@pytest.mark.parametrize("seed", range(4))
def test_the_paths_of_the_paper_are_the_most_probable_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states, length = 5, 5
    xyz = rng.normal(0, 4, (states, 3))
    emission = paper_emission(rng.dirichlet(np.full(20, 0.5), states))
    types = rng.integers(0, 20, length)
    # the published formulas, written out with a full matrix
    apart = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)
    chance = np.exp(-0.5 * ((apart - MEAN) / DEVIATION) ** 2) / (DEVIATION * np.sqrt(2 * np.pi)) + FLOOR
    step = np.log(chance / chance.sum(axis=1, keepdims=True))

    def value(path: Any) -> float:
        total = emission[path[0], types[0]] + sum(emission[s, a] for s, a in zip(path, types, strict=True))
        return float(total + sum(step[s, t] for s, t in itertools.pairwise(path)))

    best = max(value(path) for path in itertools.product(range(states), repeat=length))

    assert value(paper_path(xyz, emission, types).tolist()) == pytest.approx(best, rel=1e-5)


def test_neighbours_are_those_that_all_distances_give() -> None:
    xyz = np.random.default_rng(0).normal(0, 8, (200, 3)).astype(np.float32)
    apart = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)

    first, other, distance = neighbours(xyz, 2.0, 6.0)

    for point in range(200):
        rows = slice(first[point], first[point + 1])
        assert sorted(other[rows]) == np.flatnonzero((apart[point] >= 2) & (apart[point] <= 6)).tolist()
        assert np.allclose(distance[rows], apart[point, other[rows]], atol=1e-4)


def test_values_that_fall_are_pooled() -> None:
    # 3 and 1 pool to (3 * 1 + 1 * 3) / 4 = 1.5, above the 1 before them
    assert monotone(np.array([1.0, 3.0, 1.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0])).tolist() == [1.0, 1.5, 1.5, 4.0]


def test_chains_of_one_protein_are_found_though_their_ends_differ() -> None:
    whole = walk(60, 5).sequence
    other = walk(60, 6).sequence

    pairs = relations([whole, other, whole[10:50]])

    assert [(one, two) for one, two, _, _ in pairs] == [(0, 2)]
    assert pairs[0][2].tolist() == [-1] * 10 + list(range(40)) + [-1] * 10
    assert pairs[0][3].tolist() == list(range(10, 50))


@pytest.mark.real
def test_the_judge_lets_copies_of_different_length_change_places(shared_data: Path) -> None:
    chains = read_chains("golden/EMD-34610/8hb0.pdb")[:1]
    case = make_case(copies([chains[0]], 586 + 385), 0, noisy=False)
    true = [np.full(len(chain.sequence), -1) for chain in case.chains]
    for chain, path in zip(case.chains, true, strict=True):
        path[:] = np.linalg.norm(chain.xyz[:, None] - case.xyz[None], axis=2).argmin(axis=1)

    exchanged = [np.r_[true[1], np.full(586 - 385, -1)], true[0][:385]]

    assert score(case, true).entity == 1.0
    assert score(case, exchanged).entity == pytest.approx(2 * 385 / 971)
    assert score(case, exchanged).lax == 0.0
    assert (correspondence(chains[0].sequence[:385], chains[0].sequence) >= 0).all()
