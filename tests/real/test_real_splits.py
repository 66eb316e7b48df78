"""What splits of the real maps let through, in a dataset that was built from them."""

from __future__ import annotations

from typing import Any

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.build.kinship.report import report_splits
from cryodata.core.model import ChainSequence
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from cryodata.prepare.sequences import unmodelled


def rows_of(report: Report) -> dict[str, dict[str, Any]]:
    opened = open_version(report.folder.parent, "cryo2struct")
    return {row["entry_id"]: row for row in read_table(opened.table("entries.parquet")).to_pylist()}


@pytest.mark.real
def test_the_default_scheme_shows_a_protein_on_both_sides_and_the_scheme_by_sequence_does_not(real: Report) -> None:
    found = {item.scheme: item for item in report_splits(open_version(real.folder.parent, "cryo2struct")).leakage}
    (validation,) = found["resolution"].held
    (leaked,) = validation.leaked

    assert (leaked.entry_id, leaked.train_entry_id) == ("EMD-1461-crop", "EMD-6272-zone")
    assert (leaked.residues, leaked.identity) == (397, 1.0)
    assert validation.share(0.90) > 0
    assert [part.leaked for part in found["sequence"].held] in ([], [()])


@pytest.mark.real
def test_what_belongs_together_is_in_one_split_by_sequence(real: Report) -> None:
    rows = rows_of(real)
    splits = {entry_id: row["split_sequence"] for entry_id, row in rows.items()}

    assert splits["EMD-1461-crop"] == splits["EMD-6272-zone"]
    assert splits["EMD-6187-box-A"] == splits["EMD-6187-box-K"]
    loaded = load_dataset("cryo2struct", "entries", split_by="sequence", root=real.folder.parent)
    assert sum(len(part) for part in loaded.values()) == len(rows)


@pytest.mark.real
def test_residues_that_the_model_lacks_are_in_the_entries_table(real: Report) -> None:
    (chain,) = [ChainSequence(**item) for item in rows_of(real)["EMD-5778-chainA"]["sequences"]]

    assert (len(chain.full), len(chain.modelled)) == (598, 592)
    assert unmodelled(chain) == [(392, 397), (597, 598)]
