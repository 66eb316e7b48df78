"""Who works makes no difference: one process, many, a Dask cluster that loses workers, parts of a batch queue."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

import cryodata
from cryodata.build import run as running
from cryodata.build.admission import memory_for
from cryodata.build.run import Staffing
from cryodata.core.entry import Entry
from cryodata.formats.volumes import folder_files

BUILDER = str(Path(__file__).with_name("crew_builder.py"))

MAPS = 12
SETTINGS = ["--set", f"maps={MAPS}", "--set", "residues=60", "--set", "resolution=3.5"]


def command(root: Path, *more: str) -> list[str]:
    base = [sys.executable, "-m", "cryodata", "build", BUILDER, "--root", str(root), "--version", "0.1.0", "--json"]
    return [*base, *SETTINGS, *more]


def environment(faults: str = "", seconds: float = 0.0) -> dict[str, str]:
    return {**os.environ, "CREW_FAULTS": faults, "CREW_SECONDS": str(seconds)}


def finish(root: Path, *more: str, faults: str = "", seconds: float = 0.0, limit: float = 300) -> dict[str, Any]:
    done = subprocess.run(
        command(root, *more), env=environment(faults, seconds), capture_output=True, text=True, check=False,
        timeout=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr}


def objects(root: Path) -> dict[str, Any]:
    """What the entries became, but for what is noted of those that may be tried again."""
    folder = root / "harmful"
    receipts = [item for item in folder_files(folder / "receipts") if not item[0].endswith(".failed")]
    return {"volumes": folder_files(folder / "volumes"), "receipts": receipts}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A build in one process, and what it reports."""
    root = tmp_path_factory.mktemp("undisturbed")
    return root, finish(root, "--workers", "0")


@contextmanager
def cluster(
    folder: Path,
    workers: int,
    faults: str = "",
    seconds: float = 0.0,
    changed: Callable[[list[str]], list[str]] = lambda command: command,
) -> Iterator[tuple[str, list[Any]]]:
    """A scheduler and workers, processes of their own each: address, and the nannies of the workers.

    changed: how the command of a worker differs.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **environment(faults, seconds),
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s",
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    }
    address, python = f"tcp://127.0.0.1:{port}", [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env, "cwd": folder}
    started = [
        subprocess.Popen([*python, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet)
    ]
    try:
        for number in range(workers):
            place = folder / f"worker-{number}"
            place.mkdir()
            arguments = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "1500MB", "--no-dashboard"]
            worker = [*python, "worker", address, *arguments, "--local-directory", str(place)]
            started.append(subprocess.Popen(changed(worker), **quiet))
        yield address, [psutil.Process(process.pid) for process in started[1:]]
    finally:
        for process in started:
            family = [psutil.Process(process.pid), *children(psutil.Process(process.pid))]
            for one in family:
                with suppress(psutil.Error):
                    one.kill()
            process.wait()


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def worker_of(nanny: psutil.Process) -> psutil.Process | None:
    """The process that a nanny watches: the one of its children that has connections to the scheduler."""
    for child in children(nanny):
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None


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
    early = subprocess.run(
        command(tmp_path, "--finish"), env=environment(), capture_output=True, text=True, check=False
    )
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
    done = subprocess.run(command(tmp_path, *options), capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert message in json.loads(done.stdout)["error"]
    assert not (tmp_path / "harmful").exists()


def test_a_cluster_that_loses_workers_builds_the_same_beside_parts(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    faults, root, draws = "SIM-00007=memory", tmp_path / "root", random.Random(0)
    with cluster(tmp_path, 4, faults, seconds=1.0) as (address, nannies):
        driver = subprocess.Popen(
            command(root, "--scheduler", address), env=environment(faults, 1.0), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        parts = [
            subprocess.Popen(
                command(root, "--parts", f"{number}/2", "--workers", "1", "--memory", "2GB"),
                env=environment(faults, 1.0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for number in (1, 2)
        ]  # fmt: skip
        frozen, killed, give_up = None, 0, time.monotonic() + 240
        while driver.poll() is None and time.monotonic() < give_up:
            time.sleep(draws.uniform(1.0, 2.5))
            worker = worker_of(draws.choice(nannies))
            with suppress(psutil.Error):
                if worker is not None and frozen is None and killed:
                    worker.suspend()
                    frozen = worker
                elif worker is not None and worker != frozen and killed < 6:
                    worker.kill()
                    killed += 1
        output, errors = driver.communicate(timeout=60)
        assert driver.returncode == 0, errors
        assert [part.wait(timeout=120) for part in parts] == [0, 0]

    report = json.loads(output)
    assert killed and frozen is not None
    assert [(item["entry_id"], item["code"]) for item in report["rejections"]] == [("SIM-00007", "out_of_memory")]
    assert report["entries"] == MAPS - 1
    finish(root, "--workers", "0", "--version", "0.2.0")
    assert objects(root) == objects(undisturbed[0])


def test_a_worker_that_is_frozen_before_the_build_begins_is_done_without(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with cluster(tmp_path, 2) as (address, nannies):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        worker = worker_of(nannies[0])
        assert worker is not None
        worker.suspend()
        finish(tmp_path / "root", "--scheduler", address)

    assert objects(tmp_path / "root") == objects(undisturbed[0])


def test_a_worker_that_sees_another_root_ends_the_build(tmp_path: Path) -> None:
    root, unshare = tmp_path / "root", shutil.which("unshare")
    root.mkdir()
    hidden = [str(unshare), "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"']
    if unshare is None or subprocess.run([*hidden, str(root), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace with file systems of its own here")

    with cluster(tmp_path, 1, changed=lambda worker: [*hidden, str(root), *worker]) as (address, _):
        done = subprocess.run(
            command(root, "--scheduler", address), env=environment(), capture_output=True, text=True, check=False,
            timeout=200,
        )  # fmt: skip

    assert done.returncode == 2
    message = f" does not see {root}/harmful: the root must be on storage that all share"
    assert json.loads(done.stdout)["error"].startswith("worker tcp://127.0.0.1:")
    assert json.loads(done.stdout)["error"].endswith(message)
    assert not list(root.glob("harmful/receipts/*"))


OTHERS = {
    "has cryodata 0.0.7": "import sys, cryodata\ncryodata.__version__, sys.modules['cryodata.build'] = '0.0.7', None",
    "has no cryodata": "import sys\nsys.modules['cryodata'] = None",
}
"what a worker lacks, and how it comes to that: another release may have none of the names of this one"


@pytest.mark.parametrize("lacking", OTHERS)
def test_a_worker_without_this_cryodata_ends_the_build(tmp_path: Path, lacking: str) -> None:
    other = tmp_path / "other.py"
    other.write_text(OTHERS[lacking], encoding="utf-8")

    with cluster(tmp_path, 1, changed=lambda worker: [*worker, "--preload", str(other)]) as (address, _):
        done = subprocess.run(
            command(tmp_path / "root", "--scheduler", address), env=environment(), capture_output=True, text=True,
            check=False, timeout=200,
        )  # fmt: skip

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].endswith(f" {lacking}; here it is {cryodata.__version__}")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("root/harmful/receipts/*"))


def test_a_scheduler_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        done = subprocess.run(
            command(tmp_path, "--scheduler", address), env=environment(),
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].startswith(f"--scheduler {address}: no Dask scheduler answers there")
    assert "Traceback" not in done.stderr


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
