"""Pairs of sequences alike: the same however they are looked for, and those that are kept are found again."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cryodata.build.kinship.kept import FOLDER, all_pairs
from cryodata.build.kinship.pairs import Pairs, similar_pairs
from cryodata.build.kinship.units import Proteins
from cryodata.prepare.alignment import Criterion, Query
from tests.build.kinship.families import of_world


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
