"""Splits by sequence: what stands on both sides is counted, and nothing that stands moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryodata.build.kinship.leakage import measure
from cryodata.build.kinship.pairs import similar_pairs
from cryodata.build.kinship.splits import Rules, measured, split_by_sequence, telling
from cryodata.build.kinship.units import Proteins
from cryodata.prepare.alignment import Criterion, Query
from tests.build.kinship.families import Known, entry, of_world, random, relative


def divided(known: Known, tmp_path: Path, rule: str = "auto", **fixed: dict[str, str]) -> dict[str, str]:
    """Split of each entry, as a build gives it."""
    rules = Rules(0, rule, fixed.get("listed", {}), fixed.get("parent", {}))
    return split_by_sequence(known, rules, tmp_path, tmp_path)[0]


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
