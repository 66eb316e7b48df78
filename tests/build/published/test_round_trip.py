"""An export of the simulated dataset comes back the same, and what differs is told voxel by voxel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from click.testing import CliRunner

from cryodata.build.dataset import Report, build
from cryodata.build.export import export_version
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.core.volume import Volume
from cryodata.formats.mrc import write_plain_map
from cryodata.formats.mrc_header import read_header
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.published.folders import DENSITY, change, compared, imported


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
