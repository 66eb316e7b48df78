"""The catalogue that a dry run writes, and a build from one that was edited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryodata.build.dataset import build
from cryodata.build.plan import plan
from cryodata.build.repair import repair
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.errors import SourceError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.archive.conftest import refused
from tests.build.archive_server import Archive


def test_a_dry_run_writes_the_catalogue_and_fetches_no_file_whole(archive: Archive, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--root", str(tmp_path), "--dry-run"]
    done = subprocess.run([*command, "--json"], env={**os.environ}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    maps = {
        path: len(content) for path, content in archive.held.files.items() if "EMD-9" in path and "EMD-99" not in path
    }
    table = read_table(Path(told["catalogue"]))
    assert told["entries"] == len(table) == len(archive.held.rows) - 2
    assert told["looked_at"] == told["entries"] - 1  # the map of EMD-90037 is not there
    assert told["fetch_bytes"] == round(sum(maps.values()) / told["looked_at"] * told["entries"])
    assert told["seconds"] is None
    assert {"method", "journal", "refused", "map"} <= set(table.schema.names)
    assert not list((tmp_path / "cryo2struct").rglob("*.gz"))
    assert "memory a worker" in subprocess.run(command, env={**os.environ}, capture_output=True, text=True).stdout


def test_an_edited_catalogue_decides_the_entries_and_what_is_said_of_them(archive: Archive, tmp_path: Path) -> None:
    table = read_table(plan(Request("cryo2struct", tmp_path)).catalogue).to_pylist()
    rows = [row for row in table if row["entry_id"] in ("EMD-90000", "EMD-90003", "EMD-90031")]
    rows[0] |= {"resolution": 2.5, "journal": "Another", "mine": 7}
    rows[1] |= {"resolution": 5.5}
    rows[2] |= {"pdb_id": "9b02"}  # one of its two models
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "edited.parquet")

    report = build(Request("cryo2struct", tmp_path, catalog=tmp_path / "edited.parquet"))

    made = read_table(open_version(tmp_path, "cryo2struct").table("entries.parquet")).to_pylist()
    assert [row["entry_id"] for row in made] == ["EMD-90000", "EMD-90031"]
    assert refused(report) == {"EMD-90003": "resolution_out_of_range"}
    assert (made[0]["resolution"], made[0]["journal"], made[0]["mine"], made[1]["mine"]) == (2.5, "Another", "7", "")
    assert (made[1]["pdb_id"], made[1]["models_used"]) == ("9b02", "model")
    (tmp_path / "edited.parquet").unlink()
    shutil.rmtree(tmp_path / "cryo2struct/receipts")
    assert repair(open_version(tmp_path, "cryo2struct"), Crew(0)).created is False


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"entry_id": "EMD-1"}], "1 ids that the source does not have: EMD-1$"),
        ([{"id": "EMD-90000"}], "1 rows with the columns id; expected entry_id$"),
        ([{"entry_id": "EMD-90000"}] * 2, "row 2, entry 'EMD-90000': it is there already$"),
        ([{"entry_id": None}], "row 1, entry '': the id is empty$"),
        ([{"entry_id": "EMD-90000", "resolution": -1.0}], "resolution is '-1.0'; expected a number or nothing$"),
        ([{"entry_id": "EMD-90000", "split": "all"}], "unknown split 'all'; expected one of "),
        ([{"entry_id": "EMD-90000", "fit": "good"}], "columns that the dataset makes itself, or twice: fit; rename"),
        ([{"entry_id": "EMD-90000", "pdb_id": "../x"}], "'../x' is no id of a model; expected ids such as 5ni1"),
    ],
)
def test_a_catalogue_that_cannot_be_trusted_is_refused(
    archive: Archive, tmp_path: Path, rows: list[dict[str, object]], found: str
) -> None:
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "edited.parquet")

    with pytest.raises(SourceError, match=found):
        build(Request("cryo2struct", tmp_path, catalog=tmp_path / "edited.parquet"))


def test_a_file_that_is_no_catalogue_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "edited.parquet").write_text("entry_id\nEMD-90000\n", encoding="utf-8")

    with pytest.raises(SourceError, match=r"^--catalog: .*edited.parquet: no readable Parquet table \("):
        build(Request("cryo2struct", tmp_path, catalog=tmp_path / "edited.parquet"))
