"""Who works makes no difference: one process, many, parts of a batch queue; none takes more than there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cryodata.build import run as running
from cryodata.build.admission import memory_for
from cryodata.build.run import Staffing
from cryodata.core.entry import Entry
from tests.build.crew.commands import MAPS, children, command, ended, environment, finish, objects, refused


@pytest.mark.parametrize("workers", [1, 3, 64])
def test_any_number_of_processes_gives_the_same_objects(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, workers: int
) -> None:
    report = finish(tmp_path, "--workers", str(workers))

    assert report["entries"] == MAPS
    assert objects(tmp_path) == objects(undisturbed[0])
    said = next(line for line in report["said"].splitlines() if "processes for" in line)
    started = min(workers, MAPS, 4 * len(os.sched_getaffinity(0)))
    assert said.startswith(f"{started} processes for {MAPS} entries: {workers} asked for")


@pytest.mark.parametrize("fault", ["memory", "crash"])
def test_a_map_that_harms_its_process_is_refused_and_no_neighbour_is(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, fault: str
) -> None:
    report = finish(tmp_path, "--workers", "2", "--memory", "2GB", faults=f"SIM-00003={fault}")

    ((refused),) = report["rejections"]
    assert (refused["entry_id"], refused["code"]) == (
        "SIM-00003", {"memory": "out_of_memory", "crash": "crashed"}[fault]
    )  # fmt: skip
    expected = {"memory": "its process took more than 1.0 GB", "crash": "its process died 2 times: it was ended by sig"}
    assert refused["message"].startswith(expected[fault])
    assert report["entries"] == MAPS - 1
    # and when it does no harm, it is made
    assert finish(tmp_path, "--workers", "1", "--version", "0.2.0")["entries"] == MAPS
    assert objects(tmp_path) == objects(undisturbed[0])


def test_parts_in_any_order_make_the_same_version_and_finish_names_what_is_missing(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    second = finish(tmp_path, "--parts", "2/3", "--workers", "1")
    early = ended(tmp_path, "--finish")
    at_once = [
        subprocess.Popen(
            command(tmp_path, "--parts", f"{number}/3", "--workers", "1"),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in (1, 2, 3)
    ]
    assert [process.wait(timeout=200) for process in at_once] == [0, 0, 0]
    report = finish(tmp_path, "--finish")

    assert (second["entries"], second["accepted"], second["rejected"]) == (4, 4, {})
    assert early.returncode == 1
    assert json.loads(early.stdout)["error"].startswith("8 of 12 entries are not finished (SIM-00001, SIM-00003,")
    assert (report["entries"], report["reused"]) == (MAPS, MAPS)
    assert objects(tmp_path) == objects(undisturbed[0])
    versions = [(root / "harmful/versions/0.1.0.json").read_bytes() for root in (undisturbed[0], tmp_path)]
    assert versions[0] == versions[1]


def test_what_failed_in_a_part_is_refused_by_finish(tmp_path: Path) -> None:
    for number in (1, 2):
        finish(tmp_path, "--parts", f"{number}/2", "--workers", "1", faults="SIM-00003=crash")
    report = finish(tmp_path, "--finish", faults="SIM-00003=crash")

    assert [(item["entry_id"], item["code"]) for item in report["rejections"]] == [("SIM-00003", "crashed")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "0/3"], "expected I/N with I from 1 to N"),
        (["--parts", "4/3"], "expected I/N with I from 1 to N"),
        (["--parts", "1/2", "--finish"], "--parts and --finish: expected one of them"),
        (["--scheduler", "tcp://127.0.0.1:1", "--workers", "2"], "--scheduler and --workers: expected one of them"),
        (["--memory", "much"], "expected a size such as 32GB"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: list[str], message: str) -> None:
    assert message in refused(tmp_path, *options)
    assert not (tmp_path / "harmful").exists()


def test_sigterm_ends_a_part_cleanly(undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    running = subprocess.Popen(
        command(tmp_path, "--parts", "1/1", "--workers", "2"), env=environment(seconds=0.5), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not list((tmp_path / "harmful").glob("receipts/*.json")):
        time.sleep(0.05)
        assert running.poll() is None
    family = children(psutil.Process(running.pid))
    os.killpg(running.pid, signal.SIGTERM)  # as a batch queue does
    _, errors = running.communicate(timeout=60)

    assert running.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert not list((tmp_path / "harmful").glob(".tmp")), "temporary files are left"
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    finish(tmp_path, "--workers", "1")
    assert objects(tmp_path) == objects(undisturbed[0])


GB = 10**9


@pytest.mark.parametrize(
    ("asked", "tasks", "largest", "available", "cores", "started"),
    [
        (8, 100, 2 * GB, 64 * GB, 16, 8),  # what was asked for
        (8, 3, 2 * GB, 64 * GB, 16, 3),  # no more than there is to do
        (64, 100, 5 * GB, 22 * GB, 16, 4),  # what memory allows
        (64, 100, 1 * GB, 64 * GB, 2, 8),  # 4 a core
        (64, 100, 0, 64 * GB, 4, 16),  # sizes that nobody knows yet
        (64, 100, 90 * GB, 64 * GB, 4, 1),  # one at least: it will be told how much it lacks
    ],
)
def test_as_many_processes_are_started_as_the_least_of_all_limits(
    asked: int, tasks: int, largest: int, available: int, cores: int, started: int
) -> None:
    assert Staffing.of(asked, tasks, largest, available, cores) == Staffing(started, available // started)


def test_more_processes_are_started_when_the_largest_map_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "available_cores", lambda: 16)
    asked_for: list[int] = []
    waiting = [(4 * GB, Entry("large")), *((GB, Entry(f"small-{number}")) for number in range(20))]
    hands = running._Hands(64, 8 * GB, waiting, asked_for.append)

    assert (hands.share, hands.places(21)) == (4 * GB, 2)
    hands.finished |= {f"small-{number}" for number in range(5)}
    assert hands.places(16) == 2  # the large one may still take its share
    hands.finished.add("large")
    assert hands.places(15) == 8
    assert asked_for == [2, 8]


def test_a_map_that_needs_more_than_its_share_is_worked_on_alone(tmp_path: Path) -> None:
    need = memory_for(100**3, 106**3)
    report = finish(tmp_path, "--workers", "2", "--memory", str(int(need * 1.5)))

    assert report["entries"] == MAPS
    assert "1 processes for" in report["said"]


def test_a_map_that_needs_more_than_there_is_is_refused_with_the_numbers(tmp_path: Path) -> None:
    report = finish(tmp_path, "--workers", "2", "--memory", "400MB")

    assert {item["code"] for item in report["rejections"]} == {"out_of_memory"}
    assert len(report["rejections"]) == MAPS
    assert "of memory; there is 0.4 GB for it" in report["rejections"][0]["message"]
