"""Label points of several volumes are read together, in the memory that is stated for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata.errors import DatasetError
from cryodata.formats.row_groups import labelled_columns
from cryodata.read import atoms
from cryodata.read.decode import Volumes


@pytest.mark.parametrize("rule", ["stored", "nearest", "sphere:2"])
def test_labels_of_volumes_that_are_read_together_are_those_of_each(decoder: Volumes, rule: str) -> None:
    numbers = [*reversed(range(len(decoder.entries)))]

    together = decoder.atoms.labels(numbers, rule)

    for number, found in zip(numbers, together, strict=True):
        (alone,) = decoder.atoms.labels([number], rule)
        assert len(alone.voxels) + len(alone.points) > 0
        assert alone.voxels.keys() == found.voxels.keys()
        for name, expected in alone.voxels.items():
            assert all(np.array_equal(*pair) for pair in zip(expected, found.voxels[name], strict=True))
        for expected_points, points in zip(alone.points, found.points, strict=True):
            assert np.array_equal(expected_points.place_zyx, points.place_zyx)
            assert all(np.array_equal(values, points.values[name]) for name, values in expected_points.values.items())


def test_no_more_label_points_are_read_together_than_memory_is_stated_for(
    decoder: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, reads = decoder.atoms.counts, list[list[int]]()
    group_of = {group: number for number, (_, group, _) in decoder.atoms._groups.items()}

    def counted(path: Path | None, groups: Sequence[int], columns: Collection[str]) -> Any:
        reads.append([group_of[group] for group in groups])
        return labelled_columns(path, groups, columns)

    monkeypatch.setattr(atoms, "labelled_columns", counted)
    monkeypatch.setattr(atoms, "TOGETHER", int(counts[:2].sum()))

    decoder.atoms.labels([*range(len(counts))], "stored")

    assert [0, 1] in reads
    assert sorted(number for read in reads for number in read) == [*range(len(counts))]
    assert all(len(read) == 1 or counts[read].sum() <= counts[:2].sum() for read in reads)


def test_label_points_of_a_volume_that_no_entry_has_are_refused(decoder: Volumes) -> None:
    fewer = atoms.LabelTables(decoder.opened, decoder.entries.slice(0, 1))

    with pytest.raises(DatasetError, match=r"atoms-00000-of-00001.parquet: label points of volume 1 of 1"):
        fewer.labels([0], "stored")
