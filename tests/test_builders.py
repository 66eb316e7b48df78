"""The builders that come with cryodata keep the contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cryodata.build.builder import builder_names, find_builder
from cryodata.build.dataset import Report
from cryodata.build.export import export_version
from cryodata.errors import UsageError
from cryodata.formats.versions import open_version
from tests.builder_contract import BuilderContract


class TestSimulated(BuilderContract):
    name = "simulated"
    settings = ("maps=2", "residues=40", "voxel_size=0.9")  # of a finer grid: what is resampled takes its memory


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


class TestPublished(BuilderContract):
    name = "published"
    settings = ("parent=none",)

    @pytest.fixture
    def source(self, simulated: Report, tmp_path: Path) -> Path:
        """The folders of a simulated dataset; one of them without a model."""
        opened = open_version(simulated.folder.parent, "simulated")
        export_version(opened, tmp_path / "source", "mrc", lambda done, total: None)
        (tmp_path / "source/entries.csv").unlink()
        (tmp_path / "source/maps/SIM-00002/SIM-00002.cif").unlink()
        return tmp_path / "source"


def test_every_builder_file_is_under_contract() -> None:
    tested = {item.name for item in BuilderContract.__subclasses__()}

    assert set(builder_names()) == tested


def test_an_unknown_builder_is_named_with_those_there_are() -> None:
    message = (
        "^no builder 'nope'; found: cryo2struct, published, simulated, or a file my_builder.py or a module of your own$"
    )

    with pytest.raises(UsageError, match=message):
        find_builder("nope")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_builder_of_ones_own_is_a_file_or_a_module(tmp_path: Path, workers: int) -> None:
    text = """
from cryodata_builders.simulated import Simulated

class Mine(Simulated):
    name = "mine"

BUILDER = Mine()
"""
    (tmp_path / "my_builder.py").write_text(text, encoding="utf-8")
    base = [sys.executable, "-m", "cryodata", "build"]
    rest = ["--root", "root", "--set", "maps=1", "--set", "residues=40", "--workers", str(workers), "--json"]
    for name in ("my_builder.py", "my_builder"):
        done = subprocess.run(
            [*base, name, "--as", name.removesuffix(".py") + str(len(name)), *rest],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["entries"] == 1


def test_a_builder_that_lacks_a_module_says_which(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import not_there_at_all\n", encoding="utf-8")

    with pytest.raises(UsageError, match="needs a module that is not installed: not_there_at_all$"):
        find_builder(str(path))


def test_a_module_without_a_builder_is_refused() -> None:
    with pytest.raises(UsageError, match="^json.decoder has no BUILDER with the interface of "):
        find_builder("json.decoder")
