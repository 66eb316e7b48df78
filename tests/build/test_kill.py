"""SIGKILL of driver and workers at any moment, then the same command: the same bytes, nothing left, nothing twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cryodata.formats.volumes import folder_files

SETTINGS = ["--set", "maps=6", "--set", "residues=60"]

COMPARED = ("volumes", "tables", "versions", "receipts", "source")
"everything but provenance, which tells times; `latest.json` is compared beside them"


def command(root: Path, workers: int) -> list[str]:
    base = [sys.executable, "-m", "cryodata", "build", "simulated", "--version", "0.1.0", "--json"]
    return [*base, "--root", str(root), "--workers", str(workers), *SETTINGS]


def finish(root: Path, workers: int) -> dict[str, Any]:
    done = subprocess.run(command(root, workers), capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


def objects(root: Path) -> dict[str, Any]:
    folder = root / "simulated"
    found: dict[str, Any] = {name: folder_files(folder / name) for name in COMPARED}
    return {**found, "latest": (folder / "latest.json").read_bytes()}


def left_over(root: Path) -> list[str]:
    known = {*COMPARED, "provenance", "latest.json"}
    return sorted(path.name for path in (root / "simulated").iterdir() if path.name not in known)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """Objects of a build on two workers, and the seconds it took."""
    root = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    finish(root, 2)
    return objects(root), time.monotonic() - began


def test_a_build_killed_at_a_random_moment_goes_on_to_the_same_bytes(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path, series: Callable[[str, int], list[int]]
) -> None:
    expected, seconds = undisturbed
    interrupted = 0
    for case in series("kills at random moments", 25):
        root = tmp_path / str(case)
        moment = random.Random(case).uniform(0.1, 0.7) * seconds
        running = subprocess.Popen(
            command(root, 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moment)
        interrupted += running.poll() is None
        with suppress(ProcessLookupError):  # it was faster than undisturbed
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        finished = len(list((root / "simulated" / "receipts").glob("*.json")))

        report = finish(root, 2)

        assert report["reused"] >= finished, f"killed after {moment:.2f} s: a finished entry was made again"
        assert objects(root) == expected, f"killed after {moment:.2f} s"
        assert left_over(root) == [], f"killed after {moment:.2f} s"
        shutil.rmtree(root)
    assert interrupted > 0


def test_sigterm_ends_the_build_cleanly(undisturbed: tuple[dict[str, Any], float], tmp_path: Path) -> None:
    expected, seconds = undisturbed
    running = subprocess.Popen(command(tmp_path, 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds * 0.6)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)

    assert running.returncode in (0, 128 + signal.SIGTERM)
    assert "Traceback" not in errors
    finish(tmp_path, 0)
    assert objects(tmp_path) == expected
    assert left_over(tmp_path) == []


def test_ctrl_c_in_a_terminal_ends_driver_and_workers_with_one_line(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    running = subprocess.Popen(
        command(tmp_path, 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(undisturbed[1] * 0.6)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)

    assert running.returncode in (0, 130)
    assert "Traceback" not in errors
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_any_number_of_workers_gives_the_same_objects(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path, workers: int
) -> None:
    finish(tmp_path, workers)

    assert objects(tmp_path) == undisturbed[0]
    assert left_over(tmp_path) == []
