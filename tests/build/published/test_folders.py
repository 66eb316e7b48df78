"""Folders of the published dataset: found and taken as they are, or refused with a reason."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryodata.build.dataset import build
from cryodata.build.folders import read_published_folder
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.errors import SourceError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import DatasetVersion
from tests.build.published.folders import DENSITY, change, compared, imported


def rejections(opened: DatasetVersion) -> dict[str, tuple[str, str]]:
    rows = read_table(opened.table("rejected.parquet")).to_pylist()
    return {row["entry_id"]: (row["code"], row["message"]) for row in rows}


def test_folders_without_a_list_are_found_and_named_after_the_archive(bare: Path) -> None:
    found = read_published_folder(bare, ())

    assert [(entry.entry_id, entry.emdb_id, entry.split) for entry in found] == [
        ("EMD-0004", "EMD-0004", ""),
        ("EMD-31000", "EMD-31000", "test"),
    ]
    assert set(found[0].sources) == {"map", "atom", "atom_ca", "amino", "secondary", "model"}
    assert found[0].resolution is None


def test_both_names_of_the_calpha_map_and_the_whole_model_are_found(bare: Path) -> None:
    folder = bare / "test/31000"
    (folder / f"atom_ca_{DENSITY}").rename(folder / f"ca_atom_{DENSITY}")
    (folder / "SIM-00002.cif").rename(folder / "6giq.cif")
    for part in ("helix", "coil", "strand"):
        (folder / f"6giq_{part}.pdb").write_text("")
        (folder / f"{part}.pdb").write_text("")

    entry = read_published_folder(bare, ())[1]

    assert Path(entry.sources["atom_ca"].path).name == f"ca_atom_{DENSITY}"
    assert (Path(entry.sources["model"].path).name, entry.pdb_id) == ("6giq.cif", "6giq")


def test_maps_may_be_compressed(bare: Path, tmp_path: Path) -> None:
    before = imported(bare, tmp_path / "plain", "parent=none")
    for path in bare.rglob("*.mrc"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()

    assert compared(before, imported(bare, tmp_path / "compressed", "parent=none")).same


def test_who_takes_them_for_deposited_maps_is_told_the_way(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no entries.csv; `cryodata build published` takes them"):
        build(Request("cryo2struct", tmp_path / "root", bare, crew=Crew(0)))


def test_one_id_in_two_folders_stops_the_build_before_work(bare: Path) -> None:
    shutil.copytree(bare / "full_dataset/EMD_0/0004", bare / "test/0004")

    with pytest.raises(SourceError, match=r"test/0004 and .*EMD_0/0004 are both EMD-0004; an id is there once"):
        read_published_folder(bare, ())


def test_a_source_without_such_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(SourceError, match="no entries.csv, and no folder with emd_normalized_map.mrc down to 4 levels"):
        read_published_folder(tmp_path, ())


def test_damaged_folders_are_refused_with_the_reason_and_end_nothing(exported: Path, tmp_path: Path) -> None:
    folders = tmp_path / "folders"

    def damaged(name: str) -> Path:
        shutil.copytree(exported / "maps/SIM-00001", folders / name)
        return folders / name

    (damaged("a-no-density") / DENSITY).unlink()
    for path in damaged("b-no-labels").glob(f"*_{DENSITY}"):
        path.unlink()
    change(damaged("c-raw") / DENSITY, lambda file: file.set_data(file.data * np.float32(9.5)))
    change(damaged("d-nan") / DENSITY, lambda file: file.data.__setitem__((0, 0, 0), np.nan))
    change(damaged("e-shape") / f"atom_{DENSITY}", lambda file: file.set_data(file.data[1:].copy()))
    change(damaged("f-place") / f"amino_{DENSITY}", lambda file: setattr(file.header, "origin", (1.0, 2.0, 3.0)))
    change(damaged("g-classes") / f"amino_{DENSITY}", lambda file: file.data.__setitem__((3, 3, 3), 21.0))
    cut = damaged("h-cut") / f"sec_struc_{DENSITY}"
    cut.write_bytes(cut.read_bytes()[:-4])
    (damaged("i-model") / "SIM-00001.cif").write_text("nothing")
    change(damaged("j-empty") / DENSITY, lambda file: file.data.fill(0.0))
    damaged("k-good")

    opened = imported(folders, tmp_path)

    found = rejections(opened)
    assert {name: code for name, (code, _) in found.items()} == {
        "a-no-density": "unreadable_map",
        "b-no-labels": "no_labels",
        "c-raw": "not_normalised",
        "d-nan": "not_finite",
        "e-shape": "label_shape",
        "f-place": "label_elsewhere",
        "g-classes": "label_values",
        "h-cut": "truncated_map",
        "i-model": "unreadable_model",
        "j-empty": "no_positive_density",
    }
    assert opened.manifest.counts["entries"] == 1
    assert found["c-raw"][1] == f"{DENSITY}: density is 0 to 9.5; expected 0 to 1"
    assert found["g-classes"][1] == f"amino_{DENSITY}: 1 voxels such as 21; expected 0 to 20"
    assert found["b-no-labels"][1].startswith("beside its density is no map of labels; expected one of atom_emd_")


def test_labels_by_another_rule_than_was_asked_for_are_refused(exported: Path, tmp_path: Path) -> None:
    opened = imported(exported, tmp_path, "label_rule=nearest")

    assert set(rejections(opened).values()) == {
        ("label_rule", f"atom_{DENSITY}: labels by the rule floor; expected nearest (label_rule=floor)")
    }
