"""Work on all entries: one after the other in this process, by processes of this machine, or on a Dask cluster.

One task a map. As little as possible happens here: what a task does is `build.work.work_on`, which knows no Dask, in a
process of its own (`build.apart`), so that no map can end a worker.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from cryodata.build.admission import memory_available, memory_needed
from cryodata.build.apart import close_all, work_apart
from cryodata.build.identify import Job
from cryodata.build.work import Outcome, too_large, work_on
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry
from cryodata.errors import CryodataError, UsageError

if TYPE_CHECKING:
    from distributed import Client

PER_CORE = 4
"local processes at most: fetching waits, and so some more than cores are of use"

USED = 0.9
"of the memory that is available"

LOST_ALLOWED = 20
"workers that a cluster may lose under one entry before it is refused: they die for reasons of their own"

PATIENCE = 60.0
"seconds that a scheduler may take to answer, and its first worker to come"

LOOKS = 5.0
"seconds between two looks at how many workers a cluster has"

Say = Callable[[str], None]
"tells the user a line"


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works."""

    workers: int = 0
    "processes of this machine at most; 0 for this process"

    scheduler: str = ""
    "address of a Dask scheduler; empty for none"

    memory: int = 0
    "bytes that processes of this machine may take together; 0 for most of what is available"

    @property
    def usable(self) -> int:
        """Bytes for the processes of this machine."""
        return self.memory or int(USED * memory_available())


@dataclass(frozen=True, slots=True)
class Staffing:
    """How many processes work at a time, and how much memory each may take."""

    started: int
    share: int

    @classmethod
    def of(cls, asked: int, tasks: int, largest: int, available: int, cores: int) -> Staffing:
        """The least of what was asked, tasks, 4 a core, and what memory allows at `largest` bytes each."""
        fitting = available // largest if largest else tasks
        started = max(1, min(asked, tasks, fitting, PER_CORE * cores))
        return cls(started, available // started)


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(job: Job, entries: Sequence[Entry], crew: Crew, say: Say = lambda line: None) -> Generator[Outcome, None, None]:
    """Outcomes as they come; the same for every crew. Raises UsageError for a scheduler that does not answer."""
    if crew.scheduler:
        yield from _on_cluster(job, entries, crew.scheduler, say)
    elif crew.workers < 1 or not entries:
        job = replace(job, memory=crew.usable)
        for _, entry in _largest_first(entries, job):
            yield work_on(entry, job)
    else:
        yield from _here(job, entries, crew, say)


def _here(job: Job, entries: Sequence[Entry], crew: Crew, say: Say) -> Generator[Outcome, None, None]:
    """By processes of this machine; maps that were found too large for their share come last, fewer at a time."""
    asked, available, cores = crew.workers, crew.usable, available_cores()
    waiting, again = deque(_largest_first(entries, job)), list[tuple[int, Entry]]()
    with _local_cluster(Path(job.folder)) as (cluster, client):
        while waiting:
            staff = Staffing.of(asked, len(waiting), min(waiting[0][0], available), available, cores)
            largest = f"{waiting[0][0] / 1e9:.1f} GB for the largest map" if waiting[0][0] else "maps of unknown size"
            say(
                f"{staff.started} processes for {len(waiting):,} entries: {asked} asked for, {PER_CORE} for each of "
                f"{cores} cores at most, {available / 1e9:.1f} GB of memory, {largest}"
            )
            order = [entry for _, entry in waiting]
            needs = deque(need for need, _ in waiting)
            by_id = {entry.entry_id: entry for entry in order}

            def places(left: int, staff: Staffing = staff, needs: deque[int] = needs) -> int:
                """More processes once the largest maps are done."""
                while len(needs) > left:
                    needs.popleft()
                now = Staffing.of(asked, staff.started + left, needs[0] if needs else 0, available, cores)
                cluster.scale(max(staff.started, now.started))
                return max(staff.started, now.started)

            cluster.scale(staff.started)
            for outcome in run_on(client, replace(job, memory=staff.share), order, places):
                if outcome.needs > available:
                    yield too_large(outcome.entry_id, outcome.needs, available)
                elif outcome.needs > staff.share:
                    again.append((outcome.needs, by_id[outcome.entry_id]))
                else:
                    yield outcome
            waiting, again = deque(sorted(again, key=lambda pair: (-pair[0], pair[1].entry_id))), []


def _on_cluster(job: Job, entries: Sequence[Entry], address: str, say: Say) -> Generator[Outcome, None, None]:
    """On an existing cluster; maps that were found too large for a worker come last, on those with most memory."""
    with _connected(address, Path(job.folder)) as client:
        places = _Places(client)
        say(f"{places(0)} threads of the cluster at {address} for {len(entries):,} entries")
        again: list[tuple[int, Entry]] = []
        by_id = {entry.entry_id: entry for entry in entries}
        for outcome in run_on(client, job, [entry for _, entry in _largest_first(entries, job)], places):
            if outcome.needs:
                again.append((outcome.needs, by_id[outcome.entry_id]))
            else:
                yield outcome
        for need, entry in sorted(again, key=lambda pair: (-pair[0], pair[1].entry_id)):
            roomy = [name for name, memory in _memory_of_workers(client).items() if not memory or memory >= need]
            yield from run_on(client, job, [entry], lambda left: 1, roomy or None)


def run_on(
    client: Client, job: Job, entries: Sequence[Entry], places: Callable[[int], int], only: Sequence[str] | None = None
) -> Generator[Outcome, None, None]:
    """Outcomes from a cluster. places: entries that may be worked on at a time, by how many still wait. only: these
    workers.

    A bounded number is in flight. Results are small and released at once: one that is held is worked out again when its
    worker dies. An entry whose worker is lost goes to another one.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting, mark = iter(entries), token_hex(6)
    left, number = len(entries), 0
    lost: Counter[str] = Counter()
    running, flying = as_completed(loop=client.loop), dict[Any, tuple[Entry, Any]]()

    def submit(entry: Entry) -> None:
        nonlocal number
        key = (f"cryodata-{mark}", number)  # one group for the scheduler, whatever the number of entries
        number += 1
        future = client.submit(_task, entry, job, key=key, workers=only)
        flying[key] = entry, future
        running.add(future)

    def fill() -> None:
        nonlocal left
        most = places(left)
        while left and len(flying) < most:
            left -= 1
            submit(next(waiting))

    fill()
    while flying:
        future = next(running)
        entry, _ = flying.pop(future.key)
        if future.status == "cancelled":
            raise CryodataError("the scheduler was lost; the same command goes on where it stopped")
        error = future.exception()
        if error is None:
            yield future.result()
        elif isinstance(error, KilledWorker) and lost[entry.entry_id] < LOST_ALLOWED:
            lost[entry.entry_id] += 1
            submit(entry)
        elif isinstance(error, KilledWorker):
            yield Outcome(entry.entry_id, "", "crashed", f"{LOST_ALLOWED} workers were lost while they worked on it")
        else:
            raise error
        future.release()
        fill()


def _task(entry: Entry, job: Job) -> Outcome:
    """On a worker: within what memory that may take, shared among its threads."""
    from distributed import get_worker

    worker = get_worker()
    limit = int(worker.memory_manager.memory_limit or 0) // max(1, worker.state.nthreads)
    return work_apart(entry, replace(job, memory=limit) if limit else job)


class _Places:
    """How many entries a cluster can work on, and one more a thread, so that none waits for the driver."""

    def __init__(self, client: Client) -> None:
        self._client, self._looked, self._threads = client, -LOOKS, 1

    def __call__(self, left: int) -> int:
        if time.monotonic() - self._looked > LOOKS:
            self._looked, self._threads = time.monotonic(), sum(self._client.nthreads().values())
        return max(1, 2 * self._threads)


@contextmanager
def _local_cluster(folder: Path) -> Iterator[tuple[Any, Client]]:
    """A cluster whose workers are threads of this process; each has the process beside it that does the work."""
    import dask
    from distributed import Client, LocalCluster

    settings = {"distributed.worker.memory.spill": False, "distributed.admin.large-graph-warning-threshold": "1GB"}
    with temporary_folder(folder) as scratch, dask.config.set(settings):
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
def _connected(address: str, folder: Path) -> Iterator[Client]:
    """A client of an existing cluster whose workers see the dataset's folder and have this cryodata."""
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
        for worker, (version, seen) in client.run(_about, str(shared / "seen")).items():
            if not seen:
                raise UsageError(f"worker {worker} does not see {folder}: the root must be on storage that all share")
            if version != cryodata.__version__:
                raise UsageError(f"worker {worker} has cryodata {version}; here it is {cryodata.__version__}")
        yield client


def _about(path: str) -> tuple[str, bool]:
    """On a worker: its version, and whether it sees a file."""
    import cryodata

    return cryodata.__version__, os.path.exists(path)


def _memory_of_workers(client: Client) -> dict[str, int]:
    """Bytes that each worker may take; 0 for no limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: int(about["memory_limit"] or 0) // max(1, about["nthreads"]) for address, about in workers.items()}


def _largest_first(entries: Sequence[Entry], job: Job) -> list[tuple[int, Entry]]:
    """Entries with the memory that each needs (0: unknown), the longest work first, so that no worker begins it when
    the others are done; ties by id."""

    def size(entry: Entry) -> int:
        try:
            return os.path.getsize(entry.sources["map"].path)
        except (OSError, KeyError):
            return 0

    known = [(memory_needed(entry, job.parameters), entry) for entry in entries]
    return sorted(known, key=lambda pair: (-pair[0], -size(pair[1]), pair[1].entry_id))
