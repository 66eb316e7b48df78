"""Versions, receipts, rejections and splits of a build."""

from __future__ import annotations

import json
import subprocess
import sys
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
from cryodata.errors import SourceError, UsageError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files

TINY = ("maps=2", "residues=40")


def simulate(root: Path, *settings: str, version: str | None = None) -> Report:
    return build(Request("simulated", root, version=version, settings=(*TINY, *settings)))


def source_folder(simulated: Report, folder: Path, rows: list[str], header: str = "entry_id,map,model") -> Path:
    """A source folder over the simulated maps; rows may use {map1}, {model1}, {map2}, {model2}."""
    made = next(path for path in (simulated.folder / "source").iterdir())
    files = {
        f"{kind}{i}": str(made / f"SIM-{i:05d}{suffix}")
        for i in (1, 2)
        for kind, suffix in (("map", ".map.gz"), ("model", ".cif"))
    }
    folder.mkdir(exist_ok=True)
    text = "\n".join([header, *(row.format(**files) for row in rows)]) + "\n"
    (folder / "entries.csv").write_text(text, encoding="utf-8")
    return folder


def test_the_first_version_is_0_1_0_and_the_next_must_be_named(tmp_path: Path) -> None:
    assert simulate(tmp_path).manifest.version == "0.1.0"

    message = (
        r"^dataset 'simulated' has the versions 0\.1\.0, and 0\.1\.0 was made with other settings: maps was 2, is 3; "
        r"say which one to build, such as --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        simulate(tmp_path, "maps=3")


def test_the_same_command_twice_is_nothing_to_do(tmp_path: Path) -> None:
    simulate(tmp_path)

    assert (simulate(tmp_path).created, simulate(tmp_path).manifest.version) == (False, "0.1.0")


def test_a_version_made_with_other_settings_is_refused_before_the_work(tmp_path: Path) -> None:
    simulate(tmp_path)
    receipts = list((tmp_path / "simulated/receipts").iterdir())

    message = (
        r"^version 0\.1\.0 of 'simulated' was made with other settings and is never replaced: maps was 2, is 3; "
        r"build a new one with --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        simulate(tmp_path, "maps=3", version="0.1.0")

    assert list((tmp_path / "simulated/receipts").iterdir()) == receipts


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


def test_a_split_list_with_an_id_that_is_not_there_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "splits.csv"
    listed.write_text("id,split\nSIM-1,test\n", encoding="utf-8")

    message = r"^splits: 1 ids that the source does not have: SIM-1 \(--set unknown_ids=report goes on without them\)$"
    with pytest.raises(SourceError, match=message):
        simulate(tmp_path, f"splits={listed}")


def test_the_same_version_with_the_same_result_is_nothing_to_do(tmp_path: Path) -> None:
    first = simulate(tmp_path)
    before = folder_files(first.folder)

    again = simulate(tmp_path, version="0.1.0")

    assert (first.created, again.created, again.reused) == (True, False, 2)
    assert folder_files(first.folder) == before


def test_the_same_version_with_another_result_is_refused_and_nothing_is_replaced(
    tmp_path: Path, simulated: Report
) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])
    request = Request("cryo2struct", tmp_path, folder, version="0.1.0", settings=("max_resolution=none",))
    manifest = build(request).folder / "versions/0.1.0.json"
    before = manifest.read_bytes()
    source_folder(simulated, folder, ["A,{map1},{model1}", "B,{map2},{model2}"])

    message = (
        r"^version 0\.1\.0 of 'cryo2struct' exists with another result \(1 entries there, 2 here; "
        r"other tables: atoms, entries, subgrids\) and is never replaced; "
        r"build a new one with --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        build(request)

    assert manifest.read_bytes() == before
    assert len(list((manifest.parents[1] / "tables").iterdir())) == 1  # nothing of the refused one is left


def test_a_new_version_shares_the_volumes_of_the_old_one(tmp_path: Path) -> None:
    first = simulate(tmp_path)
    before = {path: sha for path, _, sha in folder_files(first.folder / "volumes")}

    second = simulate(tmp_path, "maps=3", version="0.2.0")

    after = {path: sha for path, _, sha in folder_files(second.folder / "volumes")}
    assert second.reused == 2
    assert before.items() <= after.items()
    assert second.manifest.parent == "0.1.0"
    assert json.loads((second.folder / "latest.json").read_bytes()) == {"version": "0.2.0"}


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


def test_a_parameter_that_changes_bytes_makes_new_volumes_and_one_that_selects_does_not(tmp_path: Path) -> None:
    simulate(tmp_path)

    assert simulate(tmp_path, "max_resolution=3.9", version="0.2.0").reused == 2
    assert simulate(tmp_path, "density=float32", version="0.3.0").reused == 0


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


def test_a_version_keeps_the_files_of_atoms_that_it_was_built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = simulate(tmp_path)
    monkeypatch.setattr("cryodata.build.spread.ATOMS_PER_FILE", 1)

    assert not simulate(tmp_path).created
    next_one = simulate(tmp_path, version="0.2.0")

    assert [sum(name.startswith("atoms-") for name in made.manifest.files) for made in (built, next_one)] == [1, 2]
    assert not simulate(tmp_path, version="0.2.0").created


def test_units_keep_the_split_that_their_parent_gave_them(tmp_path: Path, simulated: Report) -> None:
    folder = tmp_path / "source"
    source_folder(simulated, folder, ["A,{map1},{model1},test"], "entry_id,map,model,split")
    build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))
    source_folder(simulated, folder, ["A,{map1},{model1}", "B,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, version="0.2.0", settings=("max_resolution=none",)))
    anew = build(
        Request("cryo2struct", tmp_path, folder, version="0.3.0", settings=("max_resolution=none", "parent=none"))
    )

    def split_of_a(report: Report) -> str:
        table = read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
        return next(row["split_resolution"] for row in table if row["entry_id"] == "A")

    assert split_of_a(report) == "test"
    assert split_of_a(anew) != "test"


def test_the_same_map_and_model_under_two_ids_is_a_duplicate(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["B,{map1},{model1}", "A,{map1},{model1}", "C,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))

    assert [(item.entry_id, item.code, item.message) for item in report.rejected] == [
        ("B", "duplicate_entry", "map and model are those of A, byte for byte after decompression")
    ]


def test_a_map_that_comes_again_under_an_earlier_id_stays_in_the_split_that_it_had(
    tmp_path: Path, simulated: Report
) -> None:
    """New archive ids may sort before old ones: EMD-10000 before EMD-9000."""
    settings = ("max_resolution=none",)
    old = source_folder(
        simulated, tmp_path / "s", ["B,{map1},{model1},test", "C,{map2},{model2},"], "entry_id,map,model,split"
    )
    build(Request("cryo2struct", tmp_path, old, settings=settings))
    new = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}", "B,{map1},{model1}", "C,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, new, version="0.2.0", settings=settings))

    rows = read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
    assert [(row["entry_id"], row["split_resolution"]) for row in rows if row["entry_id"] != "C"] == [("B", "test")]
    assert [(item.entry_id, item.message) for item in report.rejected] == [
        ("A", "map and model are those of B, byte for byte after decompression")
    ]


def test_a_model_beside_its_map_is_rejected_and_the_reason_told(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model2}", "B,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))

    assert [(item.entry_id, item.code) for item in report.rejected] == [("A", "model_does_not_fit")]


def test_a_list_of_ids_and_a_limit_choose_entries(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}", "B,{map2},{model2}"])
    ids = tmp_path / "ids"
    ids.write_text("B\n", encoding="utf-8")
    settings = ("max_resolution=none",)

    by_id = build(Request("cryo2struct", tmp_path, folder, name="one", ids=ids, settings=settings))
    by_limit = build(Request("cryo2struct", tmp_path, folder, name="two", limit=1, settings=settings))
    ids.write_text("B\nX\n", encoding="utf-8")

    assert by_id.manifest.counts["entries"] == by_limit.manifest.counts["entries"] == 1
    with pytest.raises(SourceError, match="ids that the source does not have: X$"):
        build(Request("cryo2struct", tmp_path, folder, name="three", ids=ids, settings=settings))


def test_an_empty_dataset_is_a_dataset(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])

    report = build(Request("cryo2struct", tmp_path, folder))

    assert report.manifest.counts["rejected"] == {"resolution_out_of_range": 1}
    assert verify_version(open_version(tmp_path, "cryo2struct"), deep=True).faults == ()


def test_the_manifest_tells_no_time_host_or_path_and_is_small(simulated: Report) -> None:
    raw = (simulated.folder / "versions/0.1.0.json").read_bytes()

    assert len(raw) < 100_000
    assert str(simulated.folder.parent) not in raw.decode()
    assert not {"host", "time", "date", "began"} & set(json.loads(raw))


@pytest.mark.parametrize("setting", ["nope=1", "maps", "maps=-1", "density=float8", "label_volumes=perhaps"])
def test_a_wrong_setting_is_refused_before_any_work(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match=f"^--set {setting}: "):
        build(Request("simulated", tmp_path, settings=(setting,)))

    assert list(tmp_path.iterdir()) == []


def test_a_split_list_is_honoured_and_its_path_not_recorded(tmp_path: Path) -> None:
    listed = tmp_path / "my_splits.csv"
    listed.write_text("id,split\nSIM-00001,test\n", encoding="utf-8")

    report = simulate(tmp_path, f"splits={listed}")

    assert report.manifest.counts["entries_by_split"] == {"test": 1, "train": 1}
    assert "my_splits" not in (report.folder / "versions/0.1.0.json").read_text()


def test_strict_makes_rejections_an_error(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])
    base = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--source", str(folder), "--root", str(tmp_path)]

    lenient = subprocess.run([*base, "--as", "a", "--workers", "0"], capture_output=True, check=False)
    strict = subprocess.run([*base, "--as", "b", "--workers", "0", "--strict"], capture_output=True, check=False)

    assert (lenient.returncode, strict.returncode) == (0, 1)
