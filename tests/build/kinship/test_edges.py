"""Which entries are joined because their proteins are alike."""

from __future__ import annotations

import re

import numpy as np

from benchmarks.splits.families import world
from cryodata.build.kinship.edges import everywhere
from cryodata.build.kinship.pairs import similar_pairs
from cryodata.build.kinship.units import Proteins, rule_of
from cryodata.core.entry import Entry
from cryodata.prepare.alignment import Criterion
from tests.build.kinship.families import entry, joined, random, relative


def test_entries_with_chains_alike_are_joined_and_others_are_not() -> None:
    first = random(0)

    assert joined([entry(1, [first, random(1)]), entry(2, [relative(first, 0.6, 5)]), entry(3, [random(2)])]) == [
        ("EMD-1", "EMD-2")
    ]


def test_one_archive_entry_is_one_unit_and_one_model_joins_two_maps() -> None:
    boxes = [
        entry(1, [random(0)], "3j8x", "-A"),
        entry(1, [random(1)], "3j8x", "-K"),
        entry(2, [random(2)], "1abc,3J8X"),
    ]

    assert Proteins.of(boxes).units == ("EMD-1", "EMD-2")
    assert joined(boxes) == [("EMD-1", "EMD-2")]


def test_a_peptide_too_short_for_the_score_joins_nothing() -> None:
    peptide = "GASGAS"  # with itself it scores 6 + 4 + 4 + 6 + 4 + 4 = 28

    assert joined([entry(1, [peptide]), entry(2, [peptide])]) == []


def test_nucleic_acids_and_entries_without_protein_join_nothing() -> None:
    rna = {"chain": "A", "kind": "nucleic", "modelled": "ACGU" * 40, "full": "ACGU" * 40}
    known = [(Entry("A"), [rna]), (Entry("B"), [rna]), (Entry("C"), [])]

    assert joined(known) == []
    assert Proteins.of(known).units == ("A", "B", "C")


def test_ids_of_the_archive_are_compared_without_regard_to_case() -> None:
    proteins = Proteins.of([entry(1, [random(0)], "1ABC 2def"), entry(2, [random(1)], "2DEF")])

    free = Proteins.of([entry(1, [], "none"), entry(2, [], "none, pdb_00001abc"), entry(3, [], "PDB_00001ABC")])
    assert proteins.archive_ids["EMD-1"] == ("EMD-1", "1abc", "2def")
    assert free.same_archive.tolist() == [[1, 2]]
    assert re.fullmatch("[A-Z]+", proteins.sequences[0])
    assert proteins.same_archive.tolist() == [[0, 1]]


def test_join_holds_below_a_thousand_entries_and_share_from_there_on() -> None:
    assert [rule_of("auto", count) for count in (1, 999, 1000)] == ["join", "join", "share"]
    assert rule_of("share", 1) == "share"


def test_under_share_chains_of_less_than_a_tenth_of_the_smaller_entry_do_not_join() -> None:
    small = random(9, 60)
    large = [entry(1, [random(0, 550), small]), entry(2, [random(1, 700), small])]  # 60 of 610: 9.8 %
    less = [entry(1, [random(0, 530), small]), entry(2, [random(1, 700), small])]  # 60 of 590: 10.2 %

    assert joined(large) == [("EMD-1", "EMD-2")]
    assert joined(large, "share") == []
    assert joined(less, "share") == [("EMD-1", "EMD-2")]


def test_shares_count_copies_of_a_chain() -> None:
    small = random(9, 60)

    assert joined([entry(1, [random(0, 550), small, small]), entry(2, [random(1, 700), small])], "share") == [
        ("EMD-1", "EMD-2")  # 120 of 670 residues
    ]


def test_under_share_a_family_that_is_everywhere_joins_only_entries_of_which_it_is_the_main_protein() -> None:
    antibody = random(99, 230)
    known = [entry(number, [random(number, 400), relative(antibody, 0.8, number)]) for number in range(1, 11)]
    alone = [entry(number, [relative(antibody, 0.8, number)]) for number in (21, 22)]

    assert len(joined(known, "join")) == 45
    assert joined(known, "share") == []
    assert joined([*known, *alone], "share") == [("EMD-21", "EMD-22")]
    assert len(joined(known[:9], "share")) == 36  # nine main proteins are not everywhere


def test_a_family_is_not_everywhere_because_many_entries_show_it() -> None:
    spike, fab = random(0, 400), random(1, 130)
    known = [entry(number, [relative(spike, 0.95, number), fab]) for number in range(15)]
    proteins = Proteins.of(known)

    assert not everywhere(proteins, similar_pairs(proteins.sequences, Criterion())).any()
    assert len(joined(known, "share")) == 15 * 14 / 2


def test_what_is_everywhere_in_a_made_up_archive_is_found() -> None:
    made = world(700, seed=2)
    proteins = Proteins.of(entry(number, chains) for number, chains in enumerate(made.entries))
    pairs = similar_pairs(proteins.sequences, Criterion(), exact=0)

    found = {proteins.sequences[number] for number in np.flatnonzero(everywhere(proteins, pairs))}

    assert found <= made.promiscuous
    assert len(found) >= 0.9 * len(made.promiscuous)
