"""Where files are: mirrors, ids that name them, and source folders behind an address."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryodata.build.archive import model_addresses, read_address
from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.errors import SourceError, UsageError
from tests.build.archive.conftest import refused
from tests.build.archive_server import Archive


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
