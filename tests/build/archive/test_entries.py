"""A build from EMDB and PDB, as a server on this machine plays them: the right entries, whatever goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.errors import CryodataError, SourceError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.archive.conftest import refused
from tests.build.archive_server import Archive, Holdings

REFUSED = {
    "EMD-90033": "no_model",  # both of its models are not there
    "EMD-90034": "model_does_not_fit",  # it names the model of another map
    "EMD-90036": "duplicate_entry",  # the map and the model of EMD-90000
    "EMD-90037": "not_fetched",  # its map is not there
}


@pytest.fixture(scope="module")
def undisturbed(held: Holdings, tmp_path_factory: pytest.TempPathFactory) -> Report:
    with Archive(held) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        return build(Request("cryo2struct", tmp_path_factory.mktemp("undisturbed")))


def raw_files(report: Report) -> list[str]:
    return sorted(path.name for path in (report.folder / "source").rglob("*.gz"))


def test_entries_are_accepted_and_refused_as_they_deserve(undisturbed: Report, held: Holdings) -> None:
    table = read_table(open_version(undisturbed.folder.parent, "cryo2struct").table("entries.parquet"))
    rows = {row["entry_id"]: row for row in table.to_pylist()}

    listed = {row["emdb_id"] for row in held.rows} - {"EMD-99000", "EMD-99001"}  # 6 A; without a model
    assert refused(undisturbed) == REFUSED
    assert set(rows) == listed - set(REFUSED)
    assert rows["EMD-90030"]["models_used"] == "model model2"  # two chains, each a model of its own
    assert rows["EMD-90030"]["n_residues"] == 32
    assert rows["EMD-90031"]["models_used"] == "model2"  # the same molecule twice: the better fit
    assert rows["EMD-90032"]["models_used"] == "model2"  # the first is not there
    assert rows["EMD-90030"]["pdb_id"] == "9m01 9m02"
    assert rows["EMD-90030"]["article"] == 'On "90030", again'
    assert (rows["EMD-90030"]["method"], rows["EMD-90030"]["released"]) == ("singleParticle", "2015-06-01")


def test_whatever_the_servers_do_the_result_is_the_same(
    undisturbed: Report, held: Holdings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    series: Callable[[str, int], list[int]],
) -> None:  # fmt: skip
    for case in series("misbehaving archives", 50):
        with Archive(held) as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            server.plan_faults(case)
            report = build(Request("cryo2struct", tmp_path / str(case)))

        twice = {path for path, times in server.whole.items() if times > 1 and not path.startswith("search/")}
        assert (case, refused(report)) == (case, REFUSED)
        assert (case, report.manifest) == (case, undisturbed.manifest)
        assert (case, twice) == (case, set())
        assert not [faults for path, faults in server.faults.items() if faults and path in server.whole]
        shutil.rmtree(tmp_path / str(case))


def test_a_build_that_is_done_asks_for_nothing_again(archive: Archive, tmp_path: Path) -> None:
    first = build(Request("cryo2struct", tmp_path, limit=3))
    asked = len(archive.requests)

    second = build(Request("cryo2struct", tmp_path, limit=3))

    assert asked
    assert len(archive.requests) == asked
    assert (second.created, second.reused, raw_files(first)) == (False, 3, [])


def test_raw_files_stay_if_they_are_to(archive: Archive, tmp_path: Path) -> None:
    kept = build(Request("cryo2struct", tmp_path, limit=2, keep_raw=True))

    assert raw_files(kept) == ["9s00.model.gz", "9s01.model.gz", "emd_90000.map.gz", "emd_90001.map.gz"]


def test_a_map_that_changed_at_its_source_is_refused_until_its_pin_is_removed(archive: Archive, tmp_path: Path) -> None:
    build(Request("cryo2struct", tmp_path, limit=1))
    path = "emdb/structures/EMD-{0}/map/emd_{0}.map.gz"
    archive.held.files[path.format(90000)] = archive.held.files[path.format(90001)]

    # another recipe: the map is needed again
    changed = build(
        Request("cryo2struct", tmp_path, limit=1, version="0.2.0", settings=("density=float32", "parent=none"))
    )

    assert refused(changed) == {"EMD-90000": "not_fetched"}
    assert "it is not what it was" in changed.rejected[0].message


def test_a_search_that_ignores_its_filter_ends_the_build(archive: Archive, tmp_path: Path) -> None:
    archive.ignores_filter = True

    with pytest.raises(SourceError, match="it does not know the filter"):
        build(Request("cryo2struct", tmp_path))


def test_a_search_that_ignores_pages_ends_the_build(archive: Archive, tmp_path: Path) -> None:
    archive.ignores_page = True

    with pytest.raises(SourceError, match="^the search service gave the same 7 entries for the first two pages: "):
        build(Request("cryo2struct", tmp_path))


def test_the_catalogue_is_replayed_offline(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(Request("cryo2struct", tmp_path, limit=2))
    for name in ("EMDB", "PDB", "SEARCH"):
        monkeypatch.setenv(f"CRYODATA_{name}_URL", "http://127.0.0.1:9")  # nobody there

    assert build(Request("cryo2struct", tmp_path, limit=2)).manifest == first.manifest


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("released_to=2006-12-31", {"EMD-90000", "EMD-90001", "EMD-90020", "EMD-90021"}, id="until"),
        pytest.param("method=helical", {"EMD-90003"}, id="method"),
        pytest.param("released_from=2100-01-01", set(), id="from"),
    ],
)
def test_filters_choose_entries(archive: Archive, tmp_path: Path, setting: str, expected: set[str]) -> None:
    archive.held.rows = [row for row in archive.held.rows if row["emdb_id"] < "EMD-90030" or row["resolution"] == "6.0"]
    archive.held.rows[3]["structure_determination_method"] = "helical"
    report = build(Request("cryo2struct", tmp_path, settings=(setting,)))

    table = read_table(open_version(tmp_path, "cryo2struct").table("entries.parquet"))
    assert (set(table["entry_id"].to_pylist()), refused(report)) == (expected, {})


def test_a_full_disk_is_found_out_by_the_headers_of_the_maps(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil._ntuple_diskusage(1 << 50, 0, 10 << 20)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: found)
        with pytest.raises(CryodataError, match="3 entries need about .* for what is fetched, and 10.5 MB are free; "):
            build(Request("cryo2struct", tmp_path, limit=3))

    assert not list((tmp_path / "cryo2struct").rglob("*.gz"))
    assert refused(build(Request("cryo2struct", tmp_path, limit=3))) == {}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_command_needs_no_source(archive: Archive, tmp_path: Path, workers: str) -> None:
    (tmp_path / "ids").write_text("EMD-90004\nEMD-90001\n", encoding="utf-8")
    command = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--root", str(tmp_path), "--json"]
    done = subprocess.run(
        [*command, "--ids", str(tmp_path / "ids"), "--workers", workers, "--keep-raw"],
        env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["entries"] == 2
    assert len(list((tmp_path / "cryo2struct/source/emdb").glob("*.map.gz"))) == 2
