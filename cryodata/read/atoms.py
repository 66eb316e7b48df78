"""The label points of a version, read from its atoms files a few row groups at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.errors import DatasetError
from cryodata.formats.row_groups import groups_and_rows, labelled_columns, read_points
from cryodata.formats.tables import ATOMS
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.rules import LabelRule
from cryodata.read.decoded import LabelsAsked, VolumeLabels, volume_labels

TOGETHER = 1 << 16
"atoms that are made labels of together, of several volumes: to begin costs as much as those of a small one"

ROW = ("entry_id", "shape_zyx", "origin_xyz", "voxel_size_xyz")
"columns of the entries table that labels are placed by"

ATOMS_OF_ENTRY = ATOMS.insert(0, pa.field("entry_id", pa.string()))
"columns of the label points as users see them"

_Group = tuple[int, int]
"number of a volume, and of its row group in the file"


class LabelTables:
    """The atoms files of a version; safe to use from several threads."""

    def __init__(self, opened: DatasetVersion, entries: pa.Table) -> None:
        self._opened, self._entries = opened, entries

    @cached_property
    def _groups(self) -> dict[int, tuple[str, int, int]]:
        """Name of the file, row group and number of the label points of each volume."""
        groups, entries = dict[int, tuple[str, int, int]](), len(self._entries)
        for name in self._opened.gathered("atoms-"):
            found = groups_and_rows(self._opened.table(name))
            unknown = [volume for volume in found if not 0 <= volume < entries]
            if unknown:
                raise DatasetError(f"{name}: label points of volume {unknown[0]} of {entries}")
            groups.update({volume: (name, *group) for volume, group in found.items()})
        return groups

    @cached_property
    def volumes_of_files(self) -> list[int]:
        """Volumes whose label points each atoms file holds."""
        return list(Counter(name for name, *_ in self._groups.values()).values())

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Label points of each volume, int64 (entries,)."""
        counts = np.zeros(len(self._entries), dtype=np.int64)
        counts[list(self._groups)] = [rows for _, _, rows in self._groups.values()]
        return counts

    def of(self, number: int) -> pa.Table:
        """Label points of a volume, its entry id in front."""
        if number not in self._groups:
            return ATOMS_OF_ENTRY.empty_table()
        name, group, _ = self._groups[number]
        table = read_points(self._opened.table(name), group)
        ids = pa.array([self._entries["entry_id"][number].as_py()] * len(table), pa.string())
        return table.add_column(0, ATOMS_OF_ENTRY.field(0), ids)

    def labels(
        self, numbers: Sequence[int], rule: str, names: frozenset[str] | None = None, rotated: bool = False
    ) -> list[VolumeLabels]:
        """What labels of some volumes are written from by a rule, as `LabelRule` writes it.

        names: of the labels, None for all; rotated: after rotations, too.
        """
        asked = LabelsAsked(self._opened.manifest.schema, LabelRule.parse(rule), names, rotated)
        found: dict[int, VolumeLabels] = {}
        for file, together in self._together(numbers):
            path = self._opened.table(file) if file is not None else None
            columns = labelled_columns(path, [group for _, group in together], asked.columns)
            for (number, _), own in zip(together, columns, strict=True):
                row = dict(self._entries.select(ROW).slice(number, 1).to_pylist()[0])
                found[number] = volume_labels(asked, own, row)
        return [found[number] for number in numbers]

    def _together(self, numbers: Sequence[int]) -> Iterator[tuple[str | None, list[_Group]]]:
        """Volumes of the same file, None for those without label points, that have TOGETHER of them, or are one."""
        files: dict[str | None, list[_Group]] = {}
        for number in dict.fromkeys(numbers):
            file, group, _ = self._groups.get(number, (None, 0, 0))
            files.setdefault(file, []).append((number, group))
        for file, groups in files.items():
            some, atoms = list[_Group](), 0
            for number, group in groups:
                if some and atoms + self.counts[number] > TOGETHER:
                    yield file, some
                    some, atoms = [], 0
                some.append((number, group))
                atoms += int(self.counts[number])
            yield file, some
