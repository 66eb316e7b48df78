"""Folders of the published dataset: taken as they are, or refused with a reason; an export comes back the same."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.export import export_version
from cryodata.build.folders import read_published_folder
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.verify import verify_version
from cryodata.build.voxel_differences import VoxelDifference, compare_voxels
from cryodata.cli import app
from cryodata.core.volume import Volume
from cryodata.errors import SourceError
from cryodata.formats.mrc import write_plain_map
from cryodata.formats.mrc_header import read_header
from cryodata.formats.tables import read_table
from cryodata.formats.versions import DatasetVersion, open_version

DENSITY = "emd_normalized_map.mrc"


@pytest.fixture(scope="module")
def exported(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the simulated dataset."""
    folder = tmp_path_factory.mktemp("published") / "folders"
    opened = open_version(simulated.folder.parent, "simulated")
    export_version(opened, folder, "mrc", lambda done, total: None)
    return folder


@pytest.fixture
def bare(exported: Path, tmp_path: Path) -> Path:
    """Two of the folders as their owners have them: no list, numbers for names, one of them a test map."""
    for name, place in (("SIM-00001", "full_dataset/EMD_0/0004"), ("SIM-00002", "test/31000")):
        shutil.copytree(exported / "maps" / name, tmp_path / "bare" / place)
    return tmp_path / "bare"


def imported(source: Path, root: Path, *settings: str) -> DatasetVersion:
    build(Request("published", root, source, name="back", settings=settings, crew=Crew(0)))
    return open_version(root, "back")


def compared(first: DatasetVersion, second: DatasetVersion) -> VoxelDifference:
    return compare_voxels(first, second, lambda done, total: None)


def rejections(opened: DatasetVersion) -> dict[str, tuple[str, str]]:
    rows = read_table(opened.table("rejected.parquet")).to_pylist()
    return {row["entry_id"]: (row["code"], row["message"]) for row in rows}


def change(path: Path, how: Callable[[Any], None]) -> None:
    with mrcfile.open(path, "r+") as file:
        how(file)


def test_an_export_comes_back_without_a_difference(simulated: Report, exported: Path, tmp_path: Path) -> None:
    # the maps are float32 and hold what was stored, which was float16: so nothing is rounded on either way
    before, after = open_version(simulated.folder.parent, "simulated"), imported(exported, tmp_path)

    found = compared(before, after)

    assert found.same
    assert [entry.entry_id for entry in found.entries] == [f"SIM-0000{i}" for i in (1, 2, 3, 4)]
    assert all(entry.density and entry.density.largest == 0.0 and entry.tolerance == 0.0 for entry in found.entries)
    tables = [read_table(opened.table("entries.parquet")) for opened in (before, after)]
    names = ("entry_id", "emdb_id", "pdb_id", "resolution", "split_resolution", "shape_zyx", "origin_xyz", "sequences")
    names += ("label_counts",)
    for name in names:
        assert tables[0][name].to_pylist() == tables[1][name].to_pylist()
    assert verify_version(after, deep=True).faults == ()


def test_exported_again_it_gives_the_same_maps(exported: Path, tmp_path: Path) -> None:
    export_version(imported(exported, tmp_path), tmp_path / "again", "mrc", lambda done, total: None)

    maps = sorted(path.relative_to(exported) for path in exported.glob("maps/*/*.mrc"))
    assert len(maps) == 4 * 5
    assert all((exported / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in maps)


def test_a_place_that_float32_rounds_is_exact_in_a_map_of_ours(tmp_path: Path) -> None:
    place, size = np.array([-12.3456789, 0.0, 1e-3 / 3]), np.array([1.06, 1.0, 1.0 / 3])
    write_plain_map(tmp_path / "a.mrc", Volume(np.zeros((4, 5, 6), dtype=np.float32), size, place))

    header = read_header(tmp_path / "a.mrc")

    assert np.float32(place[0]) != place[0]
    assert np.array_equal(header.frames[header.frame], place)
    assert np.array_equal(header.voxel_size_xyz, size)


def test_a_label_that_says_another_place_than_the_header_is_not_believed(tmp_path: Path) -> None:
    volume = Volume(np.zeros((4, 5, 6), dtype=np.float32), np.ones(3), np.array([-12.3456789, 0.0, 7.0]))
    write_plain_map(tmp_path / "a.mrc", volume)
    change(tmp_path / "a.mrc", lambda file: setattr(file.header, "origin", (4.0, 0.0, 7.0)))

    header = read_header(tmp_path / "a.mrc")

    assert header.frames["origin"].tolist() == [4.0, 0.0, 7.0]


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


def test_diff_tells_how_far_densities_and_labels_are_apart(simulated: Report, exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folders/SIM-00001"
    shutil.copytree(exported / "maps/SIM-00001", folder)
    with mrcfile.open(folder / DENSITY, "r+") as file:
        place = np.unravel_index(np.argmin(np.abs(file.data - 0.5)), file.data.shape)
        file.data[place] += np.float32(0.25)
        voxels = file.data.size
    for word in ("atom", "atom_ca", "amino", "sec_struc"):
        change(folder / f"{word}_{DENSITY}", lambda file: file.set_data(np.roll(file.data, (1, 0, -1), (0, 1, 2))))
    (folder / "SIM-00001.cif").unlink()
    before = open_version(simulated.folder.parent, "simulated")

    found = compared(before, imported(tmp_path / "folders", tmp_path))

    (entry,) = found.entries
    assert found.only_first == ("SIM-00002", "SIM-00003", "SIM-00004")
    assert entry.density is not None
    assert entry.density.largest == pytest.approx(0.25, abs=1e-3)
    assert entry.density.rms == pytest.approx(0.25 / voxels**0.5, rel=1e-2)
    assert entry.density.correlation == pytest.approx(1.0, abs=1e-3)
    for label in entry.labels:
        assert label.shift_xyz == pytest.approx((-1.0, 0.0, 1.0), abs=0.1)
        assert all(first == second for first, second, _ in label.classes.values())
        assert (label.same, label.lost, label.share < 0.1) == (False, 0, True)


def test_a_density_that_was_stored_in_another_type_differs_by_its_rounding_alone(
    exported: Path, simulated: Report, tmp_path: Path
) -> None:
    root = tmp_path / "exact"
    build(Request("simulated", root, settings=("maps=1", "residues=60", "resolution=3.5", "density=float32")))

    found = compared(open_version(root, "simulated"), open_version(simulated.folder.parent, "simulated"))

    (entry,) = found.entries
    assert entry.density is not None
    assert 0 < entry.density.largest <= entry.tolerance == 2**-11
    assert entry.same


def test_diff_by_voxels_from_the_shell(simulated: Report, exported: Path, tmp_path: Path) -> None:
    imported(exported, tmp_path)
    arguments = ["diff", "simulated", "back", "--voxels", "--root", str(simulated.folder.parent)]
    arguments += ["--other-root", str(tmp_path)]

    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    shown = CliRunner().invoke(app, arguments).stdout

    assert (told["same"], len(told["entries"]), told["only_first"], told["labels_apart"]) == (True, 4, [], [])
    assert "voxels of simulated@0.1.0 and back@0.1.0: the same" in shown
    assert "4 entries, 4 of them the same" in shown
