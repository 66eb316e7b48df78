"""Labels and atoms of the published folders, with a model and without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.formats.tables import read_table
from tests.build.published.folders import DENSITY, imported


def test_without_a_model_points_lie_in_the_middle_of_what_the_floor_rule_takes(
    exported: Path, simulated: Report, tmp_path: Path
) -> None:
    folders = tmp_path / "folders"
    shutil.copytree(exported / "maps/SIM-00004", folders / "SIM-00004")
    for path in folders.glob("*/*.cif"):
        path.unlink()
    opened = imported(folders, tmp_path)

    truth: Any = load_dataset("simulated", "atoms", split="validation", root=simulated.folder.parent).to_pandas()
    points: Any = load_dataset("back", "atoms", split="train", root=tmp_path).to_pandas()
    by_voxel = {(row.atom, *row.voxel_zyx): np.asarray(row.xyz) for row in truth.itertuples() if row.state == 0}
    apart = [np.asarray(row.xyz) - by_voxel[(row.atom, *row.voxel_zyx)] for row in points.itertuples()]
    # within half a voxel of the atom on each axis, and no further to one side than to the other
    assert np.abs(apart).max() <= 0.5 + 2**-9
    assert np.abs(np.mean(apart, axis=0)).max() < 0.1
    assert set(points.chain) == {""}
    assert points.occupancy.isna().all()
    facts = read_table(opened.table("entries.parquet")).to_pylist()[0]
    assert (facts["positions"], facts["recognised"], facts["sequences"]) == ("voxels", None, [])


@pytest.mark.parametrize("rule", ["stored", "floor", "nearest"])
def test_rules_that_give_an_atom_one_voxel_give_that_of_the_folder(rule: str, exported: Path, tmp_path: Path) -> None:
    folders = tmp_path / "folders"
    shutil.copytree(exported / "maps/SIM-00004", folders / "SIM-00004")
    for path in folders.glob("*/*.cif"):
        path.unlink()
    imported(folders, tmp_path)

    volume = load_dataset("back", "volumes", split="train", labels=rule, root=tmp_path)[0]

    for name, word in (("atom", "atom"), ("amino", "amino"), ("secondary", "sec_struc")):
        with mrcfile.open(folders / f"SIM-00004/{word}_{DENSITY}") as file:
            assert np.array_equal(volume[name], file.data)


def test_with_a_model_points_are_its_atoms(exported: Path, simulated: Report, tmp_path: Path) -> None:
    opened = imported(exported, tmp_path)

    columns = ["entry_id", "chain", "label_seq_id", "residue", "atom", "secondary"]
    truth: Any = load_dataset("simulated", "atoms", split="validation", root=simulated.folder.parent).to_pandas()
    points: Any = load_dataset("back", "atoms", split="validation", root=tmp_path).to_pandas()
    assert len(points) == len(truth)
    written = truth[truth.state == 0]
    merged = points[points.state == 0].merge(written, on=columns[:5], how="left")
    assert merged.state_y.notna().mean() > 0.99  # an atom at the face of a voxel may lie beyond it, rounded to 0.001 A
    assert np.abs(np.stack(merged.xyz_x) - np.stack(merged.xyz_y)).max() < 0.001
    facts = read_table(opened.table("entries.parquet")).to_pylist()[3]
    assert (facts["positions"], len(facts["sequences"])) == ("model", 2)
    assert facts["recognised"] > 0.99


def test_labels_of_a_map_that_is_missing_come_from_the_model_or_are_unknown(exported: Path, tmp_path: Path) -> None:
    for name, keep in (("SIM-00001", True), ("SIM-00004", False)):
        folder = tmp_path / "folders" / name
        shutil.copytree(exported / "maps" / name, folder)
        for word in ("atom_ca", "amino", "sec_struc"):
            (folder / f"{word}_{DENSITY}").unlink()
        if not keep:
            (folder / f"{name}.cif").unlink()
    imported(tmp_path / "folders", tmp_path, "parent=none")

    volumes = {row["entry_id"]: row for row in load_dataset("back", "volumes", split="train", root=tmp_path)}
    with mrcfile.open(exported / f"maps/SIM-00001/amino_{DENSITY}") as file:
        assert np.array_equal(volumes["SIM-00001"]["amino"], file.data)
    assert not volumes["SIM-00004"]["amino"].any()
    assert volumes["SIM-00004"]["atom"].any()


def test_a_label_wins_over_the_model(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folders/SIM-00001"
    shutil.copytree(exported / "maps/SIM-00001", folder)
    with mrcfile.open(folder / f"amino_{DENSITY}", "r+") as file:
        first, second = np.argwhere(file.data)[:2]
        file.data[tuple(first)] = 0.0
        file.data[tuple(second)] = 1 + file.data[tuple(second)] % 20
        expected = file.data.copy()
    imported(tmp_path / "folders", tmp_path)

    assert np.array_equal(load_dataset("back", "volumes", split="train", root=tmp_path)[0]["amino"], expected)
