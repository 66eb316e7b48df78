"""The unit of a split is the archive id, and nothing moves it."""

from __future__ import annotations

import pytest

from cryodata.core.entry import Entry
from cryodata.core.splits import assign, fraction_of, id_fold, resolution_bin
from cryodata.errors import SourceError


def entries(count: int) -> list[Entry]:
    return [Entry(f"EMD-{i}-crop", emdb_id=f"EMD-{i}") for i in range(1, count + 1)]


def test_about_a_tenth_of_the_units_is_held_out() -> None:
    splits = assign(entries(2000))["resolution"]

    assert 160 < sum(split == "validation" for split in splits.values()) < 240


def test_entries_of_one_unit_share_a_split() -> None:
    pairs = [Entry(f"EMD-{i}-{part}", emdb_id=f"EMD-{i}") for i in range(200) for part in "ab"]

    splits = assign(pairs)["resolution"]

    assert all(splits[f"EMD-{i}-a"] == splits[f"EMD-{i}-b"] for i in range(200))


def test_the_split_does_not_depend_on_the_other_entries() -> None:
    few, many = assign(entries(50))["resolution"], assign(entries(500))["resolution"]

    assert few == {key: many[key] for key in few}


def test_another_seed_gives_another_split() -> None:
    assert assign(entries(200), seed=1) != assign(entries(200), seed=0)


def test_entries_of_two_splits_that_get_one_archive_id_are_in_neither() -> None:
    entries = [Entry("A", emdb_id="EMD-7"), Entry("B", emdb_id="EMD-7"), Entry("C", emdb_id="EMD-8"), Entry("D")]
    before = {"A": "train", "B": "validation", "C": "test", "D": "validation"}

    found = assign(entries, parent=before)["resolution"]

    assert found == {"A": "unassigned", "B": "unassigned", "C": "test", "D": "validation"}


def test_a_listed_split_wins_over_the_entry_and_the_entry_over_the_parent() -> None:
    entry = Entry("A", split="test")

    assert assign([entry], listed={"A": "train"}, parent={"A": "validation"})["resolution"] == {"A": "train"}
    assert assign([entry], parent={"A": "validation"})["resolution"] == {"A": "test"}
    assert assign([Entry("A")], parent={"A": "unassigned"})["resolution"] == {"A": "unassigned"}


def test_a_unit_that_asks_for_two_splits_is_refused() -> None:
    rows = [Entry("A-1", emdb_id="A", split="train"), Entry("A-2", emdb_id="A", split="test")]
    message = (
        r"^entries A-1 and A-2 are one unit \(A\) but ask for the splits 'train' and 'test'; a unit is never divided$"
    )

    with pytest.raises(SourceError, match=message):
        assign(rows)


def test_an_unknown_split_is_refused() -> None:
    message = r"^entry A: unknown split 'dev'; expected one of train, validation, test, unassigned$"

    with pytest.raises(SourceError, match=message):
        assign([Entry("A", split="dev")])


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [(None, "other"), (0.9, "other"), (1.0, "[1,2)"), (2.0, "[2,3)"), (3.0, "[3,4]"), (4.0, "[3,4]"), (4.1, "(4,6]"),
     (6.0, "(4,6]"), (6.1, "(6,inf)")],
)  # fmt: skip
def test_resolution_bins_have_the_ends_that_they_say(resolution: float | None, expected: str) -> None:
    assert resolution_bin(resolution) == expected


@pytest.mark.parametrize(
    ("emdb_id", "expected"), [("EMD-3488", "emd_3"), ("EMD-0001", "emd_0"), ("", "unassigned"), ("X", "unassigned")]
)
def test_the_fold_is_the_first_digit_as_written(emdb_id: str, expected: str) -> None:
    assert id_fold(emdb_id) == expected


def test_the_hash_is_fixed_for_all_time() -> None:
    # blake2b("0:EMD-3488", 8 bytes), big endian, / 2^64: a change would move units between splits of new versions
    assert fraction_of("EMD-3488", 0) == pytest.approx(0.70591, abs=1e-5)
