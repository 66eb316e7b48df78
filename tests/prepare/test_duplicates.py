"""What several entries share: bytes of a map or model, values of a map, archive ids."""

from __future__ import annotations

from typing import Any

import pytest

from cryodata.prepare.duplicates import Shared, shared


def row(entry_id: str, **other: Any) -> dict[str, Any]:
    """A row of the entries table with a map and a model of its own."""
    sources = [{"role": role, "sha256": f"{role}-{entry_id}"} for role in ("map", "model")]
    found = {"entry_id": entry_id, "emdb_id": "", "pdb_id": "", "shape_zyx": [3, 4, 5], "source_sha256": sources}
    return found | {"density_mean": 0.1, "saturated": len(entry_id)} | other


def sources(**hashes: str) -> list[dict[str, str]]:
    return [{"role": role, "sha256": value} for role, value in hashes.items()]


def test_entries_of_their_own_share_nothing() -> None:
    assert shared([row("A"), row("BB"), row("CCC")]) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(
            {"source_sha256": sources(map="m" * 64, model="a" * 64), "saturated": 7},
            {"source_sha256": sources(map="m" * 64, model="b" * 64), "saturated": 7},
            Shared("map", ("EMD-1", "EMD-2"), "m" * 12),
            id="one map under two ids",
        ),
        pytest.param(
            {"source_sha256": sources(map="m" * 64, model="a" * 64)},
            {"source_sha256": sources(map="n" * 64, model2="a" * 64), "saturated": 9},
            Shared("model", ("EMD-1", "EMD-2"), "a" * 12),
            id="one model in two maps, the second of one",
        ),
        pytest.param(
            {"saturated": 7, "density_mean": 0.25},
            {"saturated": 7, "density_mean": 0.25 + 1e-9},
            Shared("map_values", ("EMD-1", "EMD-2"), "3 x 4 x 5 voxels, mean 0.250000, 7 at 1"),
            id="one map with another header",
        ),
        pytest.param(
            {"emdb_id": "EMD-9", "saturated": 1},
            {"emdb_id": "EMD-9", "saturated": 2},
            Shared("emdb_id", ("EMD-1", "EMD-2"), "EMD-9"),
            id="two crops of one map",
        ),
        pytest.param(
            {"pdb_id": "1ABC", "saturated": 1},
            {"pdb_id": "1abc", "saturated": 2},
            Shared("pdb_id", ("EMD-1", "EMD-2"), "1abc"),
            id="one PDB entry",
        ),
    ],
)
def test_what_two_entries_share_is_told_once(first: dict[str, Any], second: dict[str, Any], expected: Shared) -> None:
    found = shared([row("EMD-2", **second), row("EMD-1", **first), row("EMD-30")])

    assert found == [expected]


def test_maps_that_differ_in_shape_or_have_no_saturated_voxel_are_not_taken_for_one() -> None:
    shapes = [row("A", saturated=7), row("B", saturated=7, shape_zyx=[3, 4, 6])]
    empty = [row("A", saturated=0), row("B", saturated=0)]

    assert shared(shapes) == []
    assert shared(empty) == []


def test_a_dataset_whose_builder_measures_nothing_is_looked_through_all_the_same() -> None:
    rows = [
        {key: value for key, value in row(name).items() if key not in ("density_mean", "saturated")} for name in "AB"
    ]

    assert shared(rows) == []
