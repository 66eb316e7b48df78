"""A disk that is full half-way: one clear error, nothing half-made; with room again the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cryodata.build import disk
from cryodata.build.dataset import Report, build
from cryodata.build.disk import Need, needed
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.survey import Look, Survey
from cryodata.core.entry import Entry, Source
from cryodata.errors import CryodataError
from cryodata.formats.volumes import folder_files

BUILD = [sys.executable, "-m", "cryodata", "build", "simulated", "--version", "0.1.0", "--json"]
SETTINGS = ["--set", "maps=6", "--set", "residues=60"]

INSIDE = """
set -u
mount -t tmpfs -o size=4m tmpfs "$ROOT" || exit 77
"$@" --root "$ROOT" >"$OUT/first.json" 2>"$OUT/first.err"; echo $? >"$OUT/first.code"
ls -A "$ROOT/simulated" >"$OUT/left"
mount -o remount,size=200m "$ROOT"
"$@" --root "$ROOT" >"$OUT/second.json" 2>"$OUT/second.err"; echo $? >"$OUT/second.code"
cp -r "$ROOT/simulated" "$OUT/made"
"""


def in_a_small_room(tmp_path: Path, *arguments: str) -> Path:
    """Two builds on a file system of 4 MB, of 200 MB at the second; what they said and made."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare: file systems of a test's own need it")
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", INSIDE, "sh", *BUILD, *SETTINGS, *arguments],
        env={**os.environ, "ROOT": str(root), "OUT": str(out)}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"no user namespace with file systems of its own here: {done.stderr.strip()[:200]}")
    return out


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_full_disk_ends_the_build_and_room_lets_it_go_on(tmp_path: Path, workers: str) -> None:
    out = in_a_small_room(tmp_path, "--workers", workers)
    elsewhere = tmp_path / "elsewhere"
    subprocess.run([*BUILD, *SETTINGS, "--root", str(elsewhere), "--workers", "0"], check=True, capture_output=True)

    said = (out / "first.err").read_text()
    assert (out / "first.code").read_text().strip() == "1", said
    assert "No space left on device" in json.loads((out / "first.json").read_text())["error"]
    assert "Traceback" not in said
    assert ".tmp" not in (out / "left").read_text().split()
    assert (out / "second.code").read_text().strip() == "0", (out / "second.err").read_text()
    report = json.loads((out / "second.json").read_text())
    assert (report["entries"], report["rejections"]) == (6, [])
    for name in ("volumes", "tables", "versions", "receipts"):
        assert folder_files(out / "made" / name) == folder_files(elsewhere / "simulated" / name)


def afar(number: int, model: str) -> Entry:
    """An entry of the archive."""
    urls = (("https://host/file",),)
    return Entry(f"EMD-{number}", sources={"map": Source("map.gz", urls=urls), "model": Source(model, urls=urls)})


@pytest.mark.parametrize(
    ("keep_raw", "density", "expected"),
    [
        # 1.5 and 3.8 bytes for 3 maps of 1,000 voxels; two workers with 500 bytes each, or all maps; two models
        (False, "uint16", Need(4500, 2 * 500 + 2 * (1 << 20))),
        (True, "uint16", Need(4500, 3 * 450 + 2 * (1 << 20))),
        (False, "float32", Need(11400, 2 * 500 + 2 * (1 << 20))),
    ],
)
def test_the_need_is_what_is_made_and_what_is_there_at_a_time(keep_raw: bool, density: str, expected: Need) -> None:
    entries = [afar(1, "a.gz"), afar(2, "b.gz"), afar(3, "a.gz")]
    found = Survey(3, [Look(400, 800, 1000, True), Look(500, 900, 1000, True)])
    request = Request("cryo2struct", Path(), keep_raw=keep_raw, crew=Crew(2))

    assert needed(found, entries, {"density": density}, request) == expected


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """The disk says that it has so many bytes."""
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 50, 0, free))


@pytest.fixture
def source(simulated: Report, tmp_path: Path) -> Path:
    """A folder that lists the files of the simulated dataset, 4 maps."""
    maps = sorted((simulated.folder / "source").glob("*/*.map.gz"))
    rows = [f"{path.name[:9]},{path},{path.with_name(path.name[:9] + '.cif')},3.5" for path in maps]
    (tmp_path / "entries.csv").write_text("\n".join(["entry_id,map,model,resolution", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def test_a_build_that_needs_more_than_there_is_does_not_begin(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 100_000)

    with pytest.raises(CryodataError, match=r"cryo2struct: 4 entries need about [0-9.]+ MB of disk, .* and 0.1 MB are"):
        build(Request("cryo2struct", tmp_path / "root", source))

    assert not (tmp_path / "root/cryo2struct").exists()
    assert build(Request("cryo2struct", tmp_path / "root", source, disk_check=False)).manifest.counts["entries"] == 4


def test_what_is_done_needs_no_room(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(Request("cryo2struct", tmp_path / "root", source))
    with_free(monkeypatch, 100_000)

    assert build(Request("cryo2struct", tmp_path / "root", source)).reused == 4
    with pytest.raises(CryodataError, match="4 entries need about"):  # other volumes
        build(Request("cryo2struct", tmp_path / "root", source, version="0.2.0", settings=("density=float32",)))
