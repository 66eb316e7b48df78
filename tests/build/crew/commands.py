"""Builds of a few maps by the command line, and what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from cryodata.formats.volumes import folder_files

BUILDER = str(Path(__file__).with_name("builder.py"))

MAPS = 12
SETTINGS = ["--set", f"maps={MAPS}", "--set", "residues=60", "--set", "resolution=3.5"]


def command(root: Path, *more: str) -> list[str]:
    base = [sys.executable, "-m", "cryodata", "build", BUILDER, "--root", str(root), "--version", "0.1.0", "--json"]
    return [*base, *SETTINGS, *more]


def environment(faults: str = "", seconds: float = 0.0) -> dict[str, str]:
    return {**os.environ, "CREW_FAULTS": faults, "CREW_SECONDS": str(seconds)}


def ended(root: Path, *more: str, faults: str = "", seconds: float = 0.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(root, *more), env=environment(faults, seconds), capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip


def finish(root: Path, *more: str, faults: str = "", seconds: float = 0.0) -> dict[str, Any]:
    """What a build that succeeds says, in JSON and in words."""
    done = ended(root, *more, faults=faults, seconds=seconds)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr}


def refused(root: Path, *more: str) -> str:
    """The one error of a build that does not begin."""
    done = ended(root, *more)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not list(root.glob("harmful/receipts/*"))
    return str(json.loads(done.stdout)["error"])


def objects(root: Path) -> dict[str, Any]:
    """What the entries became, but for what is noted of those that may be tried again."""
    folder = root / "harmful"
    receipts = [item for item in folder_files(folder / "receipts") if not item[0].endswith(".failed")]
    return {"volumes": folder_files(folder / "volumes"), "receipts": receipts}


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
