"""The lowest supported version of `datasets`, beside the one that everything else is tested with."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

LOWEST = Path(sys.prefix) / "lowest"
"where `make test` puts it"

CONTRACT = ["test_hf_contract.py", "test_keyed.py", "mapstyle", "test_damaged_objects.py"]


def test_what_rests_on_datasets_holds_with_its_lowest_version() -> None:
    if not (LOWEST / "datasets").exists():
        pytest.skip("made by `make test`: the lowest version of datasets in a folder of its own")
    (said,) = [name for name in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
               if name.startswith("datasets")]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(LOWEST)}
    version = [sys.executable, "-c", "import datasets; print(datasets.__version__)"]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests += [str(PROJECT / "tests/read" / name) for name in CONTRACT]

    found = subprocess.run(version, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(tests, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    assert said == f"datasets>={found.removesuffix('.0')},<6"
    assert done.returncode == 0, done.stdout[-3000:]
