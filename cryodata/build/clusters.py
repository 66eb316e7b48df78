"""Dask clusters: one of this process, made for a build, and those that exist."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryodata.build.apart import close_all
from cryodata.build.workspace import temporary_folder
from cryodata.errors import UsageError

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 60.0
"seconds that a scheduler may take to answer, and its first worker to come"

LOOKS = 5.0
"seconds between two looks at how many workers a cluster has"


SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.log-length": 200,
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.log-length": 100,
}
"of a cluster of this process: what Dask notes of itself stays small, however many entries there are"


Work = Callable[[bytes], Any]
"on a worker: the outcome of a packed entry, or a text that says why it can't work on any"


class Places:
    """How many entries a cluster can work on."""

    def __init__(self, client: Client) -> None:
        self._client, self._looked, self._threads = client, -LOOKS, 1

    def __call__(self, left: int) -> int:
        if time.monotonic() - self._looked > LOOKS:
            self._looked, self._threads = time.monotonic(), sum(self._client.nthreads().values())
        return max(1, self._threads)


@contextmanager
def local_cluster(folder: Path) -> Iterator[tuple[Any, Client]]:
    """A cluster whose workers are threads of this process; each has the process beside it that does the work."""
    import dask
    from distributed import Client, LocalCluster

    with temporary_folder(folder) as scratch, dask.config.set(SETTINGS):
        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",  # None listens all the same, on a port that others use
            local_directory=str(scratch),
            silence_logs=logging.CRITICAL,
        )
        try:
            with cluster, Client(cluster) as client:
                try:
                    yield cluster, client
                finally:
                    close_all()  # whoever waits for one of them goes on, and so can be waited for
        finally:
            close_all()


@contextmanager
def connected(address: str, folder: Path) -> Iterator[tuple[Client, Work]]:
    """A client of an existing cluster, and what its workers do. They come and go: each is asked for the root and its
    version where it works, not all of them here, of whom one may die or freeze before it answers."""
    from distributed import Client

    import cryodata

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client, temporary_folder(folder) as shared:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(f"--scheduler {address}: no worker came within {PATIENCE:.0f} s") from None
        (shared / "seen").touch()
        yield client, _on_terms(cryodata.__version__, str(folder), str(shared / "seen"))


def _on_terms(version: str, folder: str, seen: str) -> Work:
    """What a worker does that may lack the root, or have another cryodata, or none.

    Sent as code, not by name, and of what it works on as bytes: nothing of cryodata is looked for there until it is
    known to be the same. A task that can't be read ends the worker, and nobody is told.
    """

    def work(packed: bytes) -> Any:
        import os

        from distributed import get_worker

        worker = f"worker {get_worker().address}"
        try:
            import cryodata

            found = cryodata.__version__
        except ImportError:
            found = ""
        try:
            os.stat(seen)
        except FileNotFoundError:
            return f"{worker} does not see {folder}: the root must be on storage that all share"
        except OSError:  # storage that fails now may not fail the work, which says so itself
            pass
        if found != version:
            return f"{worker} has {f'cryodata {found}' if found else 'no cryodata'}; here it is {version}"
        from cryodata.build.run import work_packed

        return work_packed(packed)

    return work


def memory_of_workers(client: Client) -> dict[str, int]:
    """Bytes that each worker may take; 0 for no limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: int(about["memory_limit"] or 0) // max(1, about["nthreads"]) for address, about in workers.items()}
