"""What builders give and settings ask for, and how it is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata import load_dataset
from cryodata.build.builder import find_builder
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.verify import verify_version
from cryodata.errors import UsageError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.small import simulate


def test_a_builder_with_a_setting_by_the_name_of_one_of_every_builder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from cryodata.core.parameters import Parameter, text\n"
        "from cryodata_builders.simulated import Simulated\n"
        "class Mine(Simulated):\n"
        "    name = 'mine'\n"
        "    parameters = (*Simulated.parameters, Parameter('codec', 'fast', text, True, 'of its own'))\n"
        "BUILDER = Mine()\n",
        encoding="utf-8",
    )

    with pytest.raises(UsageError, match="^builder mine: its own setting codec has the name of one that every builder"):
        build(Request(str(tmp_path / "mine.py"), tmp_path, settings=("maps=1",)))


@pytest.mark.parametrize("setting", ["nope=1", "maps", "maps=-1", "density=float8", "label_volumes=perhaps"])
def test_a_wrong_setting_is_refused_before_any_work(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match=f"^--set {setting}: "):
        build(Request("simulated", tmp_path, settings=(setting,)))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_whatever_type_a_builder_gives_its_density_is_stored_in_steps_and_the_builder_keeps_its_own(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from cryodata_builders.simulated import Simulated\n"
        "class Mine(Simulated):\n"
        "    name = 'mine'\n"
        "    def make(self, entry, recipe, parameters):\n"
        "        sample = super().make(entry, recipe, {**parameters, 'density': 'float32'})\n"
        f"        self.given = sample.density.data.astype('{kind}')\n"
        "        self.kept = self.given.copy()\n"
        "        return replace(sample, density=replace(sample.density, data=self.given))\n"
        "BUILDER = Mine()\n",
        encoding="utf-8",
    )
    name = str(tmp_path / "mine.py")
    build(Request(name, tmp_path, name="mine", settings=("maps=1", "residues=16", "voxel_size=2"), crew=Crew(0)))

    mine: Any = find_builder(name)
    stored = load_dataset("mine", "volumes", split="train", root=tmp_path)[0]["density"]
    assert np.array_equal(mine.given, mine.kept)
    assert np.array_equal(stored, np.rint(mine.kept.astype(np.float32) * 1024) / 1024)
    assert not np.array_equal(stored, mine.kept)


def test_another_codec_stores_the_same_values_in_other_volumes(tmp_path: Path) -> None:
    first = simulate(tmp_path)
    same = simulate(tmp_path, "codec=lz4")
    other = simulate(tmp_path, "codec=zstd", version="0.2.0")

    def attributes(report: Report) -> dict[str, Any]:
        (path, *_) = sorted((report.folder / "volumes").glob(f"*/{volume_of(report)}/zarr.json"))
        return dict(json.loads(path.read_bytes())["attributes"]["cryodata"]["parameters"])

    def volume_of(report: Report) -> str:
        table = read_table(report.folder / report.manifest.tables / "entries.parquet")
        return str(table["volume"][0].as_py().rpartition("/")[2])

    assert not same.created
    assert other.reused == 0
    assert attributes(first)["codec"] == "lz4"
    assert attributes(other) == {**attributes(first), "codec": "zstd"}
    assert not verify_version(open_version(tmp_path, "simulated", "0.2.0"), deep=True).faults
    both = [
        load_dataset("simulated", "volumes", split="train", root=tmp_path, revision=version)
        for version in ("0.1.0", "0.2.0")
    ]
    for one, another in zip(*both, strict=True):
        assert np.array_equal(one["density"], another["density"])


def plain(example: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in example.items()}


@pytest.mark.parametrize("kept", [1 << 18, 0], ids=["footer kept", "footer too large to keep"])
def test_atoms_of_many_maps_are_spread_over_files_and_found_again(
    tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = simulate(tmp_path / "whole")
    monkeypatch.setattr("cryodata.build.spread.ATOMS_PER_FILE", 1)
    monkeypatch.setattr("cryodata.formats.row_groups.KEPT_FOOTER", kept)

    spread = simulate(tmp_path / "spread")

    names = [name for name in spread.manifest.files if name.startswith("atoms-")]
    assert names == ["atoms-00000-of-00002.parquet", "atoms-00001-of-00002.parquet"]
    assert not verify_version(open_version(tmp_path / "spread", "simulated"), deep=True).faults
    for config in ("atoms", "subgrids"):
        one, another = (
            load_dataset("simulated", config, split="train", streaming=True, root=report.folder.parent)
            for report in (whole, spread)
        )
        assert list(map(plain, one)) == list(map(plain, another))
