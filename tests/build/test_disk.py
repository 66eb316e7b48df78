"""A disk that is full half-way: one clear error, nothing half-made; with room again the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
