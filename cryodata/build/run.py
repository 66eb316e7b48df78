"""Work on all entries: one after the other in this process, or on a Dask cluster, one task a map.

As little as possible happens here: what a task does is `build.work.work_on`, which knows no Dask.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cryodata.build.identify import Job
from cryodata.build.work import Outcome, work_on
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry

if TYPE_CHECKING:
    from distributed import Client, Future

KILLS_ALLOWED = 1
"a map whose worker dies is tried once more; the second death refuses it"


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(job: Job, entries: Sequence[Entry], workers: int) -> Iterator[Outcome]:
    """Outcomes as they come. workers: processes; 0 works in this one. The result is the same either way."""
    ordered = _largest_first(entries)
    if workers < 1 or not ordered:
        for entry in ordered:
            yield work_on(entry, job)
        return
    with _local_cluster(job, min(workers, len(ordered))) as client:
        yield from run_on(client, job, ordered, min(workers, len(ordered)))


def run_on(client: Client, job: Job, entries: Iterable[Entry], window: int) -> Iterator[Outcome]:
    """Outcomes from a cluster. window: tasks in flight; with one a worker, a death blames no neighbour.

    Results are small and released at once: a future that is held is worked on again when its worker dies.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = iter(entries)
    names: dict[str, str] = {}

    def submit(entry: Entry) -> Future:
        future = client.submit(work_on, entry, job, pure=False)
        names[future.key] = entry.entry_id
        return future

    running = as_completed([submit(entry) for entry in islice(waiting, window)])
    for future in running:
        entry_id = names.pop(future.key)
        error = future.exception()
        if error is None:
            yield future.result()
        elif isinstance(error, KilledWorker):
            message = f"its worker died {KILLS_ALLOWED + 1} times, as it does when memory runs out"
            yield Outcome(entry_id, "", "crashed", message)
        else:
            raise error
        future.release()
        entry = next(waiting, None)
        if entry is not None:
            running.add(submit(entry))


@contextmanager
def _local_cluster(job: Job, workers: int) -> Iterator[Client]:
    """Worker processes on this machine, one thread each; their scratch goes where a later run clears it."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": KILLS_ALLOWED,
        "distributed.worker.memory.target": False,  # results are tiny: there is nothing to spill
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
    }
    with temporary_folder(Path(job.folder)) as scratch, dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # None listens all the same, on a port that others use
            local_directory=str(scratch),
            silence_logs=logging.CRITICAL,
        )
        with cluster, Client(cluster) as client:
            client.run(_leave_interrupts_to_the_driver)
            yield client


def _leave_interrupts_to_the_driver() -> None:
    """A terminal sends Ctrl-C to workers too; the driver ends them, without a traceback each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _largest_first(entries: Sequence[Entry]) -> list[Entry]:
    """The longest work first, so that no worker begins it when the others are done; ties by id."""

    def size(entry: Entry) -> int:
        try:
            return os.path.getsize(entry.sources["map"].path)
        except OSError:
            return 0

    return sorted(entries, key=lambda entry: (-size(entry), entry.entry_id))
