"""`cryodata inspect`: one picture of one entry, and what it says of an entry that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cryodata.build.dataset import Report
from cryodata.cli import app
from cryodata.errors import UsageError
from cryodata.formats.versions import open_version
from cryodata.review.along import Residues, open_entry

PNG = b"\x89PNG\r\n\x1a\n"


def inspect(report: Report, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments, "--root", str(report.folder.parent)])


def test_the_picture_of_an_entry_is_drawn_and_its_figures_are_told(simulated: Report, tmp_path: Path) -> None:
    png = tmp_path / "new" / "one.png"

    done = inspect(simulated, "SIM-00001", "--out", str(png), "--json")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["entry_id"] == "SIM-00001"
    assert told["png"] == str(png)
    assert sum(chain["residues"] for chain in told["chains"]) == told["facts"]["n_residues"] == 60
    assert png.read_bytes().startswith(PNG)
    assert png.stat().st_size > 50_000


def test_the_density_along_a_chain_is_that_at_its_alpha_carbons(simulated: Report) -> None:
    found = open_entry(open_version(simulated.folder.parent, "simulated"), "SIM-00001")

    assert found.residues.density.shape == (60,)
    assert found.residues.density.mean() > 5 * found.density.data.mean()
    assert found.residues.starts() == [0, 30]


def test_chains_begin_where_the_name_changes() -> None:
    nothing = np.zeros(0)
    of = np.array(["A", "A", "B", "A"])

    assert Residues(of, np.arange(4), np.zeros(4), np.zeros(4)).starts() == [0, 2, 3]
    assert Residues(of[:0], nothing.astype(np.int32), nothing, nothing).starts() == []


def test_an_unknown_entry_is_refused_with_near_ones(simulated: Report) -> None:
    opened = open_version(simulated.folder.parent, "simulated")

    with pytest.raises(UsageError, match=r"simulated@0\.1\.0 has no entry 'SIM-0001' \(of 4\); near it: SIM-00001"):
        open_entry(opened, "SIM-0001")
    with pytest.raises(UsageError, match=r"has no entry 'sim_00002' \(of 4\); near it: SIM-00002,"):
        open_entry(opened, "sim_00002")
    assert "no dataset in" in str(inspect(simulated, "SIM-0001").exception)
    assert inspect(simulated, "SIM-0001", "--of", "simulated").exit_code != 0


def test_an_entry_that_was_refused_is_told_with_the_reason(tmp_path: Path) -> None:
    arguments = ["simulated", "--set", "maps=1", "--set", "residues=30", "--set", "max_resolution=2"]
    CliRunner().invoke(app, ["build", *arguments, "--root", str(tmp_path)], catch_exceptions=False)

    named = CliRunner().invoke(app, ["inspect", "SIM-00001", "--of", "simulated", "--root", str(tmp_path)])
    searched = CliRunner().invoke(app, ["inspect", "SIM-00001", "--root", str(tmp_path)])

    reason = "resolution_out_of_range: resolution is 3 A; expected 1 to 2 A (max_resolution=none takes any)"
    assert str(named.exception) == f"simulated@0.1.0 refused 'SIM-00001' as {reason}"
    assert str(searched.exception).endswith(f"looked in: simulated; simulated refused it as {reason}")


@pytest.mark.parametrize("name", ["one.xyz", "one"])
@pytest.mark.parametrize("command", ["inspect SIM-00001 --out", "splits simulated --out", "demo --png"])
def test_a_picture_of_an_unknown_kind_is_refused_before_any_work(tmp_path: Path, command: str, name: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), str(tmp_path / name), "--root", str(tmp_path)])

    assert done.exit_code == 2
    assert f"{name}': expected a name that ends in .png, .pdf, .svg, .jpg, .tif" in done.output.replace("\n", "")
    assert not list(tmp_path.iterdir())


def test_below_an_address_that_has_no_list_the_dataset_is_to_be_named() -> None:
    done = CliRunner().invoke(app, ["inspect", "SIM-00001", "--root", "http://127.0.0.1:9"])

    assert str(done.exception) == (
        "http://127.0.0.1:9: what lies below an http address can't be listed; name the dataset: --of NAME"
    )


def test_the_deposited_map_is_known_by_its_hash(simulated: Report, tmp_path: Path) -> None:
    made = next(path for path in (simulated.folder / "source").iterdir())
    (tmp_path / "entries.csv").write_text(
        f"entry_id,map\nSIM-00001,{made}/SIM-00001.map.gz\nSIM-00002,{made}/SIM-00001.map.gz\n", encoding="utf-8"
    )
    right = inspect(simulated, "SIM-00001", "--source", str(tmp_path), "--out", str(tmp_path / "one.png"))
    wrong = inspect(simulated, "SIM-00002", "--source", str(tmp_path), "--out", str(tmp_path / "two.png"))
    none = inspect(simulated, "SIM-00003", "--source", str(tmp_path), "--out", str(tmp_path / "three.png"))

    assert right.exit_code == 0, right.output
    assert "is another map than 'SIM-00002' was made from" in str(wrong.exception)
    assert "its entries.csv has no entry 'SIM-00003'" in str(none.exception)
    assert not (tmp_path / "two.png").exists()
