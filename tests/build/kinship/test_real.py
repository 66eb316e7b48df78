"""What is alike among the real entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryodata.build.catalog import read_source_folder
from cryodata.build.kinship.splits import Rules, split_by_sequence
from cryodata.build.kinship.units import Proteins
from cryodata.formats.structure import read_structure
from cryodata.prepare.alignment import Query
from tests.build.kinship.families import Known, joined


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
