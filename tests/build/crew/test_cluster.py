"""A Dask cluster builds what one process builds, whoever is lost; one that cannot is told so at once."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

import cryodata
from tests.build.crew.cluster import cluster, worker_of
from tests.build.crew.commands import MAPS, command, environment, finish, objects, refused


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
        error = refused(root, "--scheduler", address)

    assert error.startswith("worker tcp://127.0.0.1:")
    assert error.endswith(f" does not see {root}/harmful: the root must be on storage that all share")


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
        error = refused(tmp_path / "root", "--scheduler", address)

    assert error.endswith(f" {lacking}; here it is {cryodata.__version__}")


def test_a_scheduler_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        error = refused(tmp_path, "--scheduler", address)

    assert error.startswith(f"--scheduler {address}: no Dask scheduler answers there")
