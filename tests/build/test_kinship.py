"""Splits by sequence: which entries are joined, what stands on both sides, and that nothing that stands moves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.splits.families import background, descendant, text, world
from cryodata.build.catalog import read_source_folder
from cryodata.build.kinship.edges import everywhere, unit_edges
from cryodata.build.kinship.kept import FOLDER, all_pairs
from cryodata.build.kinship.leakage import measure
from cryodata.build.kinship.pairs import Pairs, similar_pairs
from cryodata.build.kinship.splits import Rules, measured, split_by_sequence, telling
from cryodata.build.kinship.units import Proteins, criterion_of, rule_of
from cryodata.core.entry import Entry
from cryodata.formats.structure import read_structure
from cryodata.prepare.alignment import Criterion, Query

Known = list[tuple[Entry, list[dict[str, str]]]]


def random(seed: int, length: int = 200) -> str:
    return text(background(np.random.Generator(np.random.PCG64(seed)), length))


def relative(sequence: str, identity: float, seed: int) -> str:
    """Of the same family."""
    codes = np.array(["ARNDCQEGHILKMFPSTWYV".index(letter) for letter in sequence])
    return text(descendant(codes, identity, np.random.Generator(np.random.PCG64(seed))))


def entry(number: int, chains: Sequence[str], pdb_id: str = "", part: str = "") -> tuple[Entry, list[dict[str, str]]]:
    told = [
        {"chain": "ABCDEFGHIJ"[at], "kind": "peptide", "modelled": chain[:20], "full": chain}
        for at, chain in enumerate(chains)
    ]
    return Entry(f"EMD-{number}{part}", emdb_id=f"EMD-{number}", pdb_id=pdb_id), told


def joined(known: Known, rule: str = "join") -> list[tuple[str, str]]:
    proteins = Proteins.of(known)
    criterion = criterion_of(rule, proteins)
    found = unit_edges(proteins, similar_pairs(proteins.sequences, Criterion()), rule, criterion)
    return [(proteins.units[one], proteins.units[other]) for one, other in found.tolist()]


def divided(known: Known, tmp_path: Path, rule: str = "auto", **fixed: dict[str, str]) -> dict[str, str]:
    """Split of each entry, as a build gives it."""
    rules = Rules(0, rule, fixed.get("listed", {}), fixed.get("parent", {}))
    return split_by_sequence(known, rules, tmp_path, tmp_path)[0]


def of_world(entries: int, seed: int = 0) -> Known:
    return [entry(1000 + number, chains) for number, chains in enumerate(world(entries, seed).entries)]


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


@pytest.mark.parametrize("seed", [0, 1])
def test_with_join_no_chain_that_is_held_out_is_alike_to_one_of_training(seed: int, tmp_path: Path) -> None:
    known = of_world(150, seed)
    splits = divided(known, tmp_path, "join")
    chains = {"train": set[str](), "validation": set[str]()}
    for item, told in known:
        chains[splits[item.entry_id]].update(row["full"] for row in told)
    criterion = Criterion()

    assert chains["validation"]
    assert not [
        (one, other)
        for one in chains["validation"]
        for other in chains["train"]
        if Query(one).match(other).meets(criterion, min(len(one), len(other)))
    ]


def test_with_share_what_is_let_through_is_counted_chain_by_chain(tmp_path: Path) -> None:
    antibody = random(99, 230)
    known = [entry(number, [random(number, 400), relative(antibody, 0.8, number)]) for number in range(1, 61)]
    rules = Rules(0, "share", {}, {})
    splits, proteins, pairs = split_by_sequence(known, rules, tmp_path, tmp_path)
    held_out = [item.entry_id for item, _ in known if splits[item.entry_id] == "validation"]
    lengths = {item.entry_id: [len(row["full"]) for row in told] for item, told in known}

    (found,) = measured({"sequence": splits}, proteins, pairs)
    (held,) = found.held

    assert len(held_out) > 2
    assert {(item.entry_id, item.chain) for item in held.leaked} == {(entry_id, "B") for entry_id in held_out}
    assert held.residues == sum(sum(lengths[entry_id]) for entry_id in held_out)
    assert held.above[0] == sum(lengths[entry_id][1] for entry_id in held_out)
    assert held.share(0.30) == held.above[0] / held.residues
    assert held.above[2] == 0


def test_leakage_counts_identities_and_archive_ids_on_both_sides() -> None:
    base = random(0, 300)
    known = [
        entry(1, [base], "1aaa"),
        entry(2, [base, random(1, 100)], "1AAA"),  # the same: 300 of 400
        entry(3, [relative(base, 0.6, 3)]),
        entry(4, [random(4, 50)], part="-a"),
        entry(4, [random(5, 50)], part="-b"),
    ]
    proteins = Proteins.of(known)
    pairs = similar_pairs(proteins.sequences, Criterion())
    split_of = {"EMD-1": "train", "EMD-2": "test", "EMD-3": "validation", "EMD-4-a": "train", "EMD-4-b": "test"}

    validation, test = measure("list", split_of, proteins, pairs).held

    assert [(item.split, item.entries, item.chains) for item in (validation, test)] == [
        ("validation", 1, 1),
        ("test", 2, 3),
    ]
    assert test.above == (300, 300, 300) and test.residues == 450
    assert test.same_archive == ("1aaa", "EMD-4")
    (leaked,) = validation.leaked
    assert 0.5 < leaked.identity < 0.75
    assert (leaked.train_entry_id, leaked.train_chain) == ("EMD-1", "A")
    assert validation.above == (leaked.residues, leaked.residues, 0)


def test_folds_are_held_each_against_all_others() -> None:
    base = random(0, 300)
    known = [entry(1, [base]), entry(2, [base]), entry(3, [random(3)])]
    proteins = Proteins.of(known)
    found = measure(
        "id", {"EMD-1": "emd_1", "EMD-2": "emd_2", "EMD-3": "unassigned"}, proteins,
        similar_pairs(proteins.sequences, Criterion()),
    )  # fmt: skip

    assert [(item.split, item.above) for item in found.held] == [("emd_1", (300,) * 3), ("emd_2", (300,) * 3)]


def test_the_parent_keeps_its_units_and_what_bridges_is_unassigned(tmp_path: Path) -> None:
    before = of_world(120)
    parent = divided(before, tmp_path)
    of_split = {
        split: [told for item, told in before if parent[item.entry_id] == split] for split in set(parent.values())
    }
    new = [
        *(entry(5000 + at, [of_split["train"][at][0]["full"]]) for at in range(6)),
        *(entry(5100 + at, [of_split["validation"][0][0]["full"]]) for at in range(4)),
        *(
            entry(5200 + at, [of_split["train"][at][0]["full"], of_split["validation"][0][0]["full"]])
            for at in range(5)
        ),
        *(entry(5300 + at, [random(700 + at)]) for at in range(5)),
    ]  # 20 entries

    splits = divided([*before, *new], tmp_path, parent=parent)

    assert set(of_split) == {"train", "validation"}
    assert {entry_id: splits[entry_id] for entry_id in parent} == parent
    assert {splits[f"EMD-{5000 + at}"] for at in range(6)} == {"train"}
    assert {splits[f"EMD-{5100 + at}"] for at in range(4)} == {"validation"}
    assert {splits[f"EMD-{5200 + at}"] for at in range(5)} == {"unassigned"}
    assert "unassigned" not in {splits[f"EMD-{5300 + at}"] for at in range(5)}
    assert divided([*before, *new], tmp_path) != splits  # without the parent, bridges hold both sides together


def test_a_list_wins_over_the_parent_and_the_parent_over_relatives(tmp_path: Path) -> None:
    known = [entry(number, [random(0)]) for number in (1, 2, 3)]

    found = divided(known, tmp_path, listed={"EMD-1": "test"}, parent={"EMD-1": "train", "EMD-2": "train"})

    assert found == {"EMD-1": "test", "EMD-2": "train", "EMD-3": "unassigned"}


def rows(pairs: Pairs) -> list[tuple[float, ...]]:
    return [tuple(row) for row in pairs.rows().tolist()]


def test_pairs_are_the_same_for_any_number_of_hands() -> None:
    sequences = Proteins.of(of_world(80)).sequences

    assert rows(similar_pairs(sequences, Criterion(), hands=1)) == rows(similar_pairs(sequences, Criterion(), hands=5))


@pytest.mark.parametrize("exact", [0, 1000], ids=["words", "all"])
def test_pairs_do_not_depend_on_what_was_compared_before(exact: int) -> None:
    sequences = Proteins.of(of_world(100)).sequences
    every = rows(similar_pairs(sequences, Criterion(), exact=exact))
    for fresh in (range(0, len(sequences), 3), [len(sequences) - 1], range(len(sequences) // 2, len(sequences))):
        wanted = set(fresh)

        found = rows(similar_pairs(sequences, Criterion(), fresh=list(fresh), exact=exact))

        assert found == [row for row in every if row[0] in wanted or row[1] in wanted]


def test_an_interruption_does_not_wait_for_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences, begun = Proteins.of(of_world(150)).sequences, []

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    class Counted(Query):
        def __init__(self, sequence: str) -> None:
            begun.append(sequence)
            super().__init__(sequence)

    monkeypatch.setattr("cryodata.build.kinship.pairs.Query", Counted)
    with pytest.raises(KeyboardInterrupt):
        similar_pairs(sequences, Criterion(), hands=2, observe=interrupt)

    assert 0 < len(begun) < len(sequences)


def test_words_find_the_pairs_that_alignments_of_all_find() -> None:
    sequences = Proteins.of(of_world(150)).sequences
    every = rows(similar_pairs(sequences, Criterion()))

    found = rows(similar_pairs(sequences, Criterion(), exact=0))

    assert set(found) <= set(every)
    assert len(found) >= 0.97 * len(every) > 100


def test_pairs_that_were_kept_are_not_aligned_again_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = Proteins.of(of_world(150)).sequences
    monkeypatch.setattr("cryodata.build.kinship.kept.WORTH", 10)
    expected = rows(all_pairs(None, None, sequences))
    all_pairs(tmp_path, tmp_path, sequences[::2])
    asked = []

    found = all_pairs(tmp_path, tmp_path, sequences, observe=lambda done, total: asked.append(total))
    again = all_pairs(tmp_path, tmp_path, sequences[3:], observe=lambda done, total: asked.append(-1))

    assert rows(found) == expected
    assert set(asked) == {len(sequences) // 2}
    assert rows(again) == rows(all_pairs(None, None, sequences[3:]))


@pytest.mark.parametrize("harm", ["cut", "other", "text"])
def test_kept_pairs_that_are_damaged_are_not_believed(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = Proteins.of(of_world(60)).sequences
    monkeypatch.setattr("cryodata.build.kinship.kept.WORTH", 10)
    expected = rows(all_pairs(tmp_path, tmp_path, sequences))
    path = tmp_path / FOLDER / "all.parquet"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif harm == "text":
        path.write_text("no table", encoding="utf-8")
    else:  # found by another rule
        table = pq.read_table(path)
        said = table.schema.metadata[b"cryodata"].split()
        pq.write_table(table.slice(0, 1).replace_schema_metadata({"cryodata": b" ".join([b"0" * 32, *said[1:]])}), path)

    assert rows(all_pairs(tmp_path, tmp_path, sequences)) == expected


def real_entries(shared_data: Path) -> Known:
    """The real entries whose model fits, with the sequences of their files."""
    rows = [item for item in read_source_folder(shared_data) if "model" in item.sources]
    return [
        (
            item,
            [
                {"chain": chain.chain, "kind": chain.kind, "modelled": chain.modelled, "full": chain.full}
                for chain in read_structure(Path(item.sources["model"].path)).sequences
            ],
        )
        for item in rows
        if item.metadata["model_fits"] == "yes"
    ]


@pytest.mark.real
@pytest.mark.parametrize("rule", ["join", "share"])
def test_of_the_real_entries_exactly_the_two_rotavirus_proteins_are_joined(shared_data: Path, rule: str) -> None:
    known = real_entries(shared_data)

    assert len(known) == 17
    assert joined(known, rule) == [("EMD-1461", "EMD-6272")]


@pytest.mark.real
def test_the_two_rotavirus_proteins_are_the_same_over_all_residues(shared_data: Path) -> None:
    chains = {item.entry_id: told[0] for item, told in real_entries(shared_data)}
    one, other = chains["EMD-1461-crop"]["modelled"], chains["EMD-6272-zone"]["modelled"]

    match = Query(one).match(other)

    assert (match.same, match.columns, len(one)) == (397, 397, 397)


@pytest.mark.real
def test_the_boxes_of_tubulin_and_kinesin_stand_together_as_one_archive_entry(
    shared_data: Path, tmp_path: Path
) -> None:
    known = real_entries(shared_data)
    boxes = ("EMD-6187-box-A", "EMD-6187-box-K")
    sequences = [told[0]["modelled"] for item, told in known if item.entry_id in boxes]

    assert Query(sequences[0]).score(sequences[1]) < 60  # they have nothing else in common
    assert Proteins.of(known).units.count("EMD-6187") == 1
    for seed in range(40):
        splits = split_by_sequence(known, Rules(seed, "auto", {}, {}), tmp_path, tmp_path)[0]
        assert splits[boxes[0]] == splits[boxes[1]]
        assert splits["EMD-1461-crop"] == splits["EMD-6272-zone"]


def test_long_work_is_told_in_tenths_and_what_would_shorten_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    observe = telling(lines.append)
    for done in range(0, 2001, 50):
        observe(done, 2000)
    told = len(lines)
    monkeypatch.setattr("cryodata.build.kinship.splits.is_fast", lambda: False)
    telling(lines.append)(16, 300)

    assert told == 11
    assert lines[10] == "comparing sequences: 2,000 of 2,000"
    assert lines[11:] == ["comparing sequences by NumPy; `pip install parasail` would make it 300 times as fast"]


def test_ids_of_the_archive_are_compared_without_regard_to_case() -> None:
    proteins = Proteins.of([entry(1, [random(0)], "1ABC 2def"), entry(2, [random(1)], "2DEF")])

    free = Proteins.of([entry(1, [], "none"), entry(2, [], "none, pdb_00001abc"), entry(3, [], "PDB_00001ABC")])
    assert proteins.archive_ids["EMD-1"] == ("EMD-1", "1abc", "2def")
    assert free.same_archive.tolist() == [[1, 2]]
    assert re.fullmatch("[A-Z]+", proteins.sequences[0])
    assert proteins.same_archive.tolist() == [[0, 1]]
