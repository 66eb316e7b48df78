"""A Dask cluster: a scheduler and workers, processes of their own each."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.build.crew.commands import children, environment


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


def worker_of(nanny: psutil.Process) -> psutil.Process | None:
    """The process that a nanny watches: the one of its children that has connections to the scheduler."""
    for child in children(nanny):
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None
