"""`evaluate` gives the published numbers, and each measure says what it claims to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cryodata.baseline.evaluate import evaluate, residue_states
from cryodata.baseline.scoring.chain_comparison import ChainComparison, compare_chains
from cryodata.baseline.scoring.unique import unique_part
from cryodata.cli import app
from cryodata.core.calphas import CAlphas
from cryodata.formats.calphas import read_calphas
from tests.baseline.models import calphas, helix, sequence, write_pdb

GOLDEN = "golden/EMD-34610/34610_cryo2struct_full.pdb", "golden/EMD-34610/8hb0.pdb"


def run(*words: object) -> dict[str, object]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words), "--json"], standalone_mode=False)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def protein() -> CAlphas:
    """Two different chains of 60 and 40 residues, far from each other."""
    return calphas({"A": (sequence(60, 1), helix(60)), "B": (sequence(40, 2), helix(40, (40.0, 0.0, 0.0)))})


@pytest.mark.real
@pytest.mark.parametrize("target", ["chain_comparison_model.pdb", "chain_comparison_model1.pdb"])
def test_the_published_regression_test_of_chain_comparison(shared_data: Path, target: str) -> None:
    folder = shared_data / "conformance"
    found = run(folder / "chain_comparison_query.pdb", folder / target)["chain_comparison"]
    rounded = {name: round(value, 9) if isinstance(value, float) else value for name, value in found.items()}

    assert rounded == {
        "target": "unique",
        "target_residues": 136,
        "close": 54,
        "rmsd": 1.545835235,
        "far": 7,
        "forward": 14,
        "forward_rmsd": 1.675106990,
        "reverse": 29,
        "reverse_rmsd": 1.388466551,
        "mixed": 11,
        "found_percent": 39.705882353,  # 39.7
        "ca_score": 0.256857144,  # 0.26
        "seq_match_percent": 9.259259259,  # 9.3
        "seq_score": 0.036764706,  # 0.04
        "mean_length": 6.0,
        "fragments": 7,
        "bad_connections": 6,
    }


@pytest.mark.real
def test_without_its_crystal_that_model_is_far_away(shared_data: Path) -> None:
    folder = shared_data / "conformance"
    files = folder / "chain_comparison_query.pdb", folder / "chain_comparison_model.pdb"

    assert run(*files, "--no-symmetry")["chain_comparison"]["close"] == 0


@pytest.mark.real
def test_the_published_prediction_for_EMD_34610(shared_data: Path) -> None:
    files = [shared_data / name for name in GOLDEN]
    as_is, moved = run(*files), run(*files, "--shift-xyz", "0.5")
    within = as_is["matching"][2]

    assert (as_is["model_residues"], as_is["reference_residues"], within["cap"]) == (790, 615, 3.0)
    assert [round(within[name], 3) for name in ("recall", "precision", "rmsd", "identity")] == [
        *(0.776, 0.604),
        *(1.081, 0.532),
    ]
    assert round(moved["matching"][2]["rmsd"], 3) == 0.835


def test_a_model_is_like_itself(protein: CAlphas) -> None:
    found = evaluate(protein, protein)

    assert [(row.precision, row.recall, row.f1, row.rmsd, row.identity) for row in found.matching] == [
        (1, 1, 1, 0, 1)
    ] * 3
    assert [(item.tm_score, item.lddt) for item in (found.by_place, found.by_sequence)] == [(1, 1)] * 2
    assert found.in_register == 1
    assert found.comparison.found_percent == found.comparison.seq_match_percent == 100


def test_half_a_model_has_half_the_recall_and_all_the_precision(protein: CAlphas) -> None:
    found = evaluate(protein.take(np.arange(50)), protein)

    assert [(row.precision, row.recall) for row in found.matching] == [(1.0, 0.5)] * 3
    assert found.matching[0].f1 == pytest.approx(2 / 3)
    assert found.in_register == found.by_place.tm_score == 0.5
    assert found.by_place.lddt == pytest.approx(0.5, abs=0.02)  # a contact counts if both residues are there


def test_a_moved_model_counts_from_its_distance_on(protein: CAlphas) -> None:
    found = evaluate(protein.moved((1.5, 0.0, 0.0)), protein)

    assert [row.recall for row in found.matching] == [pytest.approx(0.0, abs=0.05), 1.0, 1.0]
    assert found.matching[1].rmsd == pytest.approx(1.5)
    assert found.by_place.tm_score < 0.9
    assert found.by_place.lddt == pytest.approx(1.0)  # distances within the model did not change


def test_a_shifted_sequence_is_found_by_place_and_not_by_sequence(protein: CAlphas) -> None:
    letters = [protein.sequence(rows) for rows in protein.chains.values()]
    places = [protein.xyz[rows] for rows in protein.chains.values()]
    # each residue stands where the one two further on belongs: 5.4 A away in a helix
    model = calphas({"A": (letters[0][:-2], places[0][2:]), "B": (letters[1][:-2], places[1][2:])})
    found = evaluate(model, protein)

    assert found.matching[2].recall == 0.96
    assert found.by_place.tm_score == pytest.approx(0.96)
    assert found.in_register == 0
    assert found.by_sequence.tm_score < 0.5
    assert {pair.aligned for pair in found.chains} == {58, 38}


def test_a_reversed_chain_is_reverse(protein: CAlphas) -> None:
    rows = np.arange(60)[::-1]
    found = compare_chains(protein.take(rows), protein)

    assert (found.close, found.forward, found.reverse, found.mixed) == (60, 0, 60, 0)
    assert (found.bad_connections, found.mean_length) == (0, 60)


def test_the_first_pair_after_a_break_of_an_unbroken_list_is_mixed(protein: CAlphas) -> None:
    # rows 0-9 forward, then 20-29 forward: the list goes on, the chain jumps
    found = compare_chains(protein.take(np.r_[0:10, 20:30]), protein)

    assert (found.forward, found.mixed, found.fragments, found.bad_connections) == (19, 1, 2, 0)
    # a run backwards in the reference is a bad joint
    back = compare_chains(protein.take(np.r_[20:30, 0:10]), protein)
    assert (back.forward, back.mixed, back.bad_connections) == (19, 1, 1)


def test_copies_may_be_exchanged_whole(protein: CAlphas) -> None:
    letters = sequence(40, 3)
    twice = calphas({"A": (letters, helix(40)), "B": (letters, helix(40, (30.0, 0.0, 0.0)))})
    exchanged = calphas({"A": (letters, helix(40, (30.0, 0.0, 0.0))), "B": (letters, helix(40))})
    found = evaluate(exchanged, twice)

    assert found.in_register == 1
    assert [(pair.model, pair.reference) for pair in found.chains] == [("A", "B"), ("B", "A")]


@pytest.mark.parametrize(
    ("copies", "kept"),
    [
        pytest.param("XX", "A", id="a dimer is one chain"),
        pytest.param("XXYY", "AC", id="two of each are one of each"),
        pytest.param("XXY", "ABC", id="multiples of one copy"),
        pytest.param("XXYYYY", "ACD", id="multiples of two copies"),
        pytest.param("XXYYY", "ABCDE", id="no multiples: all"),
    ],
)
def test_the_unique_part_has_one_copy_of_the_smallest_unit(copies: str, kept: str) -> None:
    texts = {"X": sequence(30, 4), "Y": sequence(35, 5)}
    chains = {
        "ABCDEF"[i]: (texts[kind], helix(len(texts[kind]), (30.0 * i, 0.0, 0.0))) for i, kind in enumerate(copies)
    }
    found = unique_part(calphas(chains), calphas({"A": (texts["X"], helix(30))}))

    assert "".join(sorted(found.chains)) == kept


def test_of_copies_the_nearest_to_the_model_is_taken_and_the_whole_if_more_of_it_is_found() -> None:
    letters = sequence(40, 6)
    twice = calphas({"A": (letters, helix(40)), "B": (letters, helix(40, (30.0, 0.0, 0.0)))})
    second = twice.take(twice.chain == "B")
    one, both = compare_chains(second, twice), compare_chains(twice, twice)

    assert (one.target, one.target_residues, one.found_percent) == ("unique", 40, 100)
    assert (both.target, both.found_percent) == ("unique", 100)  # a tie goes to the unique part
    # half of each copy: 40 of 80 in the whole, 20 of 40 in the unique part; a little more of the other copy decides
    halves = twice.take(np.r_[0:20, 40:70])
    whole = compare_chains(halves, twice)
    assert (whole.target, whole.found_percent) == ("unique", 75)


def test_hetatm_records_count_for_the_measures_but_not_for_chain_comparison(tmp_path: Path) -> None:
    model = calphas({"A": (sequence(20, 7), helix(20))})
    hetero = np.arange(20) == 7
    names = np.where(hetero, "MSE", model.residue)
    model = CAlphas(model.xyz, names, np.where(hetero, "M", model.letter), model.chain, model.number, hetero)
    found = evaluate(model, read_calphas(write_pdb(tmp_path / "one.pdb", model))[0])

    assert (found.reference_residues, found.matching[0].pairs) == (20, 20)
    assert (found.comparison.target_residues, found.comparison.close, found.comparison.far) == (19, 19, 0)


def test_a_model_far_away_has_zeros_and_no_rmsd(protein: CAlphas) -> None:
    found = evaluate(protein.moved((500.0, 0.0, 0.0)), protein)

    assert [(row.f1, row.rmsd, row.identity) for row in found.matching] == [(0.0, None, None)] * 3
    assert (found.by_place.tm_score, found.by_place.lddt, found.in_register) == (0, 0, 0)
    assert found.comparison == ChainComparison(
        "unique", 100, 0, None, 100, 0, None, 0, None, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 2, 0
    )


def test_a_model_without_residues_has_zeros(protein: CAlphas) -> None:
    found = evaluate(protein.take(np.arange(0)), protein)

    assert (found.matching[2].f1, found.by_sequence.lddt, found.in_register, found.chains) == (0, 0, 0, ())
    assert (found.comparison.close, found.comparison.found_percent) == (0, 0)
    assert residue_states(protein.take(np.arange(0)), protein).tolist() == [3] * 100


def test_a_single_residue_is_judged_too(tmp_path: Path) -> None:
    one = calphas({"A": ("G", np.zeros((1, 3)))})
    found = evaluate(one, one)

    assert (found.matching[0].f1, found.by_place.lddt, found.comparison.mixed) == (1, 0, 1)


def test_each_residue_of_the_reference_has_a_state(protein: CAlphas) -> None:
    model = protein.take(np.arange(10, 60))  # chain B and the first ten are missing
    names = model.residue.copy()
    names[:3] = np.where(names[:3] == "TRP", "ALA", "TRP")
    letters = model.letter.copy()
    letters[:3] = "W"
    model = CAlphas(model.xyz, names, letters, model.chain, model.number, model.hetero)
    states = residue_states(model, protein)

    assert states.tolist() == [3] * 10 + [0] * 50 + [3] * 40


def test_the_command_prints_tables_and_draws(tmp_path: Path, protein: CAlphas) -> None:
    file = write_pdb(tmp_path / "model.pdb", protein)
    result = CliRunner().invoke(app, ["evaluate", str(file), str(file), "--png", str(tmp_path / "new/score.png")])

    assert result.exit_code == 0
    assert "100 residues of the model, 100 of the reference" in result.stdout
    assert "residues in register (within 3 A of the same residue): 1.000" in result.stdout
    assert (tmp_path / "new/score.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("text", ["a", "1,2", "1,2,3,4", "nan", "inf", ""])
def test_a_shift_is_one_number_or_three(tmp_path: Path, protein: CAlphas, text: str) -> None:
    file = str(write_pdb(tmp_path / "model.pdb", protein))
    result = CliRunner().invoke(app, ["evaluate", file, file, "--shift-xyz", text])

    assert result.exit_code == 2
    assert f"'{text}': expected A along x,y,z, such as 0.5,0.5,0.5, or one number for all" in result.output
