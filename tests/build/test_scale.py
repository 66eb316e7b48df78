"""Very many entries: what drives them neither slows down nor grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ENTRIES = 2000

PROJECT = Path(__file__).resolve().parents[2]


def test_two_thousand_entries_go_through_the_scheduler_in_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.build.scale", "--work", str(tmp_path), "--step", "in_one"]
    done = subprocess.run(
        [*command, "--number", str(ENTRIES)], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=900
    )
    found = json.loads(done.stdout.splitlines()[-1])

    assert len((tmp_path / "outcomes").read_text().splitlines()) == ENTRIES
    # the second thousand; after 10,000 it is under 100 bytes (benchmarks/results/build-scale.json): pools and logs of
    # fixed size fill in the beginning. A submission for each entry would leave 240 bytes more, new names 400 more
    assert found["growth bytes an entry"]["driver, scheduler and workers"] < 500
