"""The builders that come with cryodata keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryodata.build.builder import builder_names, find_builder
from cryodata.errors import UsageError
from tests.builder_contract import BuilderContract


class TestSimulated(BuilderContract):
    name = "simulated"
    settings = ("maps=2", "residues=40")


class TestCryo2Struct(BuilderContract):
    name = "cryo2struct"
    settings = ("max_resolution=8",)

    @pytest.fixture
    def source(self, shared_data: Path, tmp_path: Path) -> Path:
        """Two of the smallest real pairs."""
        folder = tmp_path / "source"
        folder.mkdir()
        rows = (shared_data / "entries.csv").read_text(encoding="utf-8").splitlines()
        kept = [rows[0], *(row for row in rows if row.startswith(("EMD-5830-box", "EMD-6770-box")))]
        (folder / "entries.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
        (folder / "entries").symlink_to(shared_data / "entries")
        return folder


def test_every_builder_file_is_under_contract() -> None:
    tested = {item.name for item in BuilderContract.__subclasses__()}

    assert set(builder_names()) == tested


def test_an_unknown_builder_is_named_with_those_there_are() -> None:
    message = "^no builder 'nope'; found: cryo2struct, simulated, or a dotted path of your own module$"

    with pytest.raises(UsageError, match=message):
        find_builder("nope")


def test_a_module_without_a_builder_is_refused() -> None:
    with pytest.raises(UsageError, match="^module json.decoder has no BUILDER with the interface of "):
        find_builder("json.decoder")
