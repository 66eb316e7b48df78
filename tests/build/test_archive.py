"""A build from EMDB and PDB, as a server on this machine plays them: the right entries, whatever goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryodata.build.archive import model_addresses, read_address
from cryodata.build.dataset import Report, build
from cryodata.build.plan import plan
from cryodata.build.repair import repair
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.errors import CryodataError, SourceError, UsageError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.archive_server import Archive, Holdings, holdings
from tests.conftest import SHARED_DATA

REFUSED = {
    "EMD-90033": "no_model",  # both of its models are not there
    "EMD-90034": "model_does_not_fit",  # it names the model of another map
    "EMD-90036": "duplicate_entry",  # the map and the model of EMD-90000
    "EMD-90037": "not_fetched",  # its map is not there
}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Holdings:
    real = SHARED_DATA if (SHARED_DATA / "entries.csv").exists() else None
    return holdings(tmp_path_factory.mktemp("held"), real)


@pytest.fixture
def archive(held: Holdings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    with Archive(Holdings(dict(held.files), [dict(row) for row in held.rows])) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def undisturbed(held: Holdings, tmp_path_factory: pytest.TempPathFactory) -> Report:
    with Archive(held) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        return build(Request("cryo2struct", tmp_path_factory.mktemp("undisturbed")))


def refused(report: Report) -> dict[str, str]:
    return {item.entry_id: item.code for item in report.rejected}


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


def test_a_mirror_stands_in(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYODATA_EMDB_URL", f"http://127.0.0.1:9 {archive.url}/emdb")
    monkeypatch.setenv("CRYODATA_PDB_URL", f"{archive.url}/nowhere {archive.url}/pdb")

    assert refused(build(Request("cryo2struct", tmp_path, limit=2))) == {}


@pytest.mark.parametrize("models", ["../x", "9s00,a/b", "x"])
def test_an_id_that_could_lead_elsewhere_ends_the_build(archive: Archive, tmp_path: Path, models: str) -> None:
    archive.held.rows[0]["fitted_pdbs"] = models

    with pytest.raises(SourceError, match="^the search service gave ids that name no file: 'EMD-90000, "):
        build(Request("cryo2struct", tmp_path))


def test_ids_are_free_text() -> None:
    base = "https://files.wwpdb.org/pub/pdb/data"

    assert model_addresses("5ni1") == (
        (f"{base}/structures/divided/mmCIF/ni/5ni1.cif.gz",),
        (f"{base}/structures/divided/pdb/ni/pdb5ni1.ent.gz",),
    )
    assert model_addresses("pdb_00005ni1") == model_addresses("5ni1")
    assert model_addresses("pdb_1000abcd")[0] == (f"{base}/structures/divided/mmCIF/bc/pdb_1000abcd.cif.gz",)


def test_an_address_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYODATA_SEARCH_URL", "ftp://somewhere/search")

    with pytest.raises(UsageError, match="^CRYODATA_SEARCH_URL: 'ftp://somewhere/search' is no address; expected http"):
        build(Request("cryo2struct", tmp_path))


def test_a_source_folder_may_lie_behind_an_address(archive: Archive, tmp_path: Path) -> None:
    files = archive.held.files
    files["maps/a b.map.gz"] = files["emdb/structures/EMD-90000/map/emd_90000.map.gz"]
    files["maps/a.cif.gz"] = files["pdb/structures/divided/mmCIF/s0/9s00.cif.gz"]
    files["maps/entries.csv"] = b"entry_id,map,model,resolution\nA,a b.map.gz,a.cif.gz,3\nB,no.map.gz,a.cif.gz,3\n"

    report = build(Request("cryo2struct", tmp_path, f"{archive.url}/maps"))

    assert (report.manifest.counts["entries"], refused(report)) == (1, {"B": "not_fetched"})
    files["maps/entries.csv"] = b"entry_id,map\nA,../a.map.gz\n"
    with pytest.raises(SourceError, match="entry A: map leads out of the folder; expected a path below it$"):
        build(Request("cryo2struct", tmp_path, f"{archive.url}/maps"))


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


def test_a_list_afar_is_fetched_once_for_all_and_again_when_it_changed(archive: Archive, tmp_path: Path) -> None:
    path = "maps/entries.csv"
    archive.held.files[path] = b"entry_id,map\nA,a.map.gz\n"

    def ids() -> list[str]:
        return [entry.entry_id for entry in read_address(f"{archive.url}/maps", tmp_path, ())]

    with ThreadPoolExecutor(8) as parts:
        found = [part.result() for part in [parts.submit(ids) for _ in range(8)]]
    assert (found, archive.whole[path], archive.requests.count(path)) == ([["A"]] * 8, 1, 8)

    archive.held.files[path] += b"B,b.map.gz\n"
    archive.fail(path, "503", "truncate", "reset")
    assert (ids(), ids(), archive.whole[path]) == (["A", "B"], ["A", "B"], 2)

    (listed,) = tmp_path.rglob("entries.csv")
    listed.write_bytes(b"damaged")
    assert (ids(), archive.whole[path]) == (["A", "B"], 3)

    del archive.held.files[path]
    with pytest.raises(SourceError, match=r"/maps: no entries.csv there$"):
        ids()


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
