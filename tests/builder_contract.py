"""What every builder keeps to. A builder of your own is tested by a subclass that sets `builder`, `source`,
`settings`:

    class TestMine(BuilderContract):
        name = "my_package.my_builder"
        settings = ("limit=2",)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata.build.builder import Builder, find_builder, settings_of
from cryodata.build.dataset import Request, build
from cryodata.build.identify import Job, identify
from cryodata.build.verify import verify_version
from cryodata.core.entry import Entry, Sample, entry_id_fault
from cryodata.core.layout import canonical_json
from cryodata.core.parameters import resolve
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files
from cryodata.prepare.labels import WRITTEN, label_voxels


class BuilderContract:
    """Subclass it and set these."""

    name = ""
    settings: tuple[str, ...] = ()

    @pytest.fixture
    def source(self) -> Path | None:
        """The source folder, for a builder that needs one."""
        return None

    @pytest.fixture
    def builder(self) -> Builder:
        return find_builder(self.name)

    @pytest.fixture
    def parameters(self, builder: Builder) -> Mapping[str, Any]:
        return resolve(settings_of(builder), self.settings)

    @pytest.fixture
    def entries(
        self, builder: Builder, source: Path | None, parameters: Mapping[str, Any], tmp_path: Path
    ) -> list[Entry]:
        return builder.entries(source, parameters, tmp_path / "dataset")

    def samples(self, builder: Builder, entries: list[Entry], parameters: Mapping[str, Any]) -> list[Sample]:
        recipe = next(iter(builder.recipes))
        return [builder.make(builder.fetch(entry, parameters), recipe, parameters) for entry in entries[:2]]

    def test_ids_are_allowed_unique_and_sorted(self, entries: list[Entry]) -> None:
        ids = [entry.entry_id for entry in entries]

        assert [entry_id_fault(entry_id) for entry_id in ids] == [None] * len(ids)
        assert len({entry_id.casefold() for entry_id in ids}) == len(ids)
        assert ids == sorted(ids)

    def test_listing_entries_opens_no_map(
        self, builder: Builder, source: Path | None, parameters: Mapping[str, Any], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        def refuse(*args: object) -> None:
            raise AssertionError("a map was opened")

        monkeypatch.setattr("cryodata.formats.inflate.open_inflated", refuse)
        monkeypatch.setattr("cryodata.formats.mrc.open_inflated", refuse)

        assert builder.entries(source, parameters, tmp_path / "dataset")

    def test_settings_are_json_and_have_help(self, builder: Builder, parameters: Mapping[str, Any]) -> None:
        assert canonical_json(parameters)
        assert [item.name for item in builder.parameters if not item.help] == []

    def test_arrays_are_what_the_schema_declares(
        self, builder: Builder, entries: list[Entry], parameters: Mapping[str, Any]
    ) -> None:
        schema = builder.schema(next(iter(builder.recipes)), parameters)
        for sample in self.samples(builder, entries, parameters):
            density = sample.density.data
            assert schema.density.minimum <= density.min() <= density.max() <= schema.density.maximum
            assert set(sample.facts) == {fact.name for fact in schema.facts}
            for array in schema.labels:
                voxel, values = label_voxels(array, sample.points.columns, sample.points.voxel_zyx)
                assert len(voxel) == len(np.unique(voxel, axis=0)) == len(values)
                assert set(values.tolist()) <= {*array.values.values()}

    def test_labels_lie_inside_the_grid_and_on_atoms(
        self, builder: Builder, entries: list[Entry], parameters: Mapping[str, Any]
    ) -> None:
        for sample in self.samples(builder, entries, parameters):
            points = sample.points
            written = points.voxel_zyx[points.state == WRITTEN]
            assert np.all((written >= 0) & (written < sample.density.shape_zyx))
            # a voxel and its atom are within one voxel of each other on every axis
            places = sample.density.position_of(written)
            assert np.all(np.abs(points.model.xyz[points.state == WRITTEN] - places) <= sample.density.voxel_size_xyz)

    def test_making_an_identified_entry_again_gives_the_same(
        self, builder: Builder, entries: list[Entry], parameters: Mapping[str, Any], tmp_path: Path
    ) -> None:
        """The map that was read while it was hashed may be overwritten by who takes it, and by nobody else."""
        recipe = next(iter(builder.recipes))
        job = Job(self.name, recipe, parameters, str(tmp_path))
        identified, _ = identify(builder.fetch(entries[0], parameters), job, builder, reading=True)

        first, second = (builder.make(identified, recipe, parameters) for _ in range(2))

        assert first.density.data.tobytes() == second.density.data.tobytes()
        assert first.facts == second.facts

    def test_twice_the_same_gives_the_same_bytes_and_leaves_the_inputs_alone(
        self, source: Path | None, tmp_path: Path
    ) -> None:
        def state(folder: Path | None) -> str:
            files = folder_files(folder) if folder is not None else []
            return hashlib.sha256(repr(files).encode()).hexdigest()

        before = state(source)
        reports = [
            build(Request(self.name, tmp_path / root, source, name="d", settings=self.settings, limit=2))
            for root in ("one", "two")
        ]

        assert state(source) == before
        assert reports[0].manifest == reports[1].manifest
        for folder in ("volumes", "tables", "versions", "receipts"):
            assert folder_files(reports[0].folder / folder) == folder_files(reports[1].folder / folder)

    def test_a_version_verifies_and_its_card_names_licence_and_columns(
        self, source: Path | None, tmp_path: Path
    ) -> None:
        report = build(Request(self.name, tmp_path, source, name="d", settings=self.settings, limit=2))

        opened = open_version(tmp_path, "d")
        card = opened.table("README.md").read_text(encoding="utf-8")
        assert verify_version(opened, deep=True).faults == ()
        assert card.startswith("---\nlicense: ")
        names = [array.name for array in report.manifest.schema.arrays]
        names += [fact.name for fact in report.manifest.schema.facts]
        assert [name for name in names if f"`{name}`" not in card] == []
