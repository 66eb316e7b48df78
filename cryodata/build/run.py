"""Work on all entries: one after the other in this process, by processes of this machine, or on a Dask cluster.

One task a map. As little as possible happens here: what a task does is `build.work.work_on`, which knows no Dask, in a
process of its own (`build.apart`), so that no map can end a worker.
"""

from __future__ import annotations

import os
import pickle
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from cryodata.build.admission import memory_available, memory_needed
from cryodata.build.apart import work_apart
from cryodata.build.clusters import Places, Work, connected, local_cluster, memory_of_workers
from cryodata.build.identify import Job
from cryodata.build.work import Outcome, too_large, work_on
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

BATCH = 64
"entries that are handed to the scheduler at a time: it notes every submission for good, in about 240 bytes"

RESTING = 500
"names of tasks that rest before one serves again: by then the scheduler has forgotten what it named"

Say = Callable[[str], None]
"tells the user a line"


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works."""

    workers: int = 0
    "processes of this machine at most; 0 for this process"

    scheduler: str = ""
    "address of a Dask scheduler; empty for none"

    memory: str = ""
    "what processes of this machine may take together, such as 32GB; empty for most of what is available"

    def __post_init__(self) -> None:
        if self.memory:
            _ = self.usable  # a size that is none is refused now

    @property
    def usable(self) -> int:
        """Bytes for the processes of this machine. UsageError for a size that is none."""
        if not self.memory:
            return int(USED * memory_available())
        from dask.utils import parse_bytes

        try:
            found = int(parse_bytes(self.memory))
        except ValueError:
            found = 0
        if found < 1:
            raise UsageError(f"--memory: '{self.memory}': expected a size such as 32GB")
        return found


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
    waiting, available = _largest_first(entries, job), crew.usable
    with local_cluster(Path(job.folder)) as (cluster, client):
        while waiting:
            hands = _Hands(crew.workers, available, waiting, cluster.scale)
            say(hands.told)
            order, by_id, again = [entry for _, entry in waiting], {entry.entry_id: entry for _, entry in waiting}, []
            within = replace(job, memory=hands.share)
            for outcome in run_on(client, work_packed, within, order, hands.places):
                hands.finished.add(outcome.entry_id)
                if outcome.needs > available:
                    yield too_large(outcome.entry_id, outcome.needs, available)
                elif outcome.needs > hands.share:
                    again.append((outcome.needs, by_id[outcome.entry_id]))
                else:
                    yield outcome
            waiting = sorted(again, key=lambda pair: (-pair[0], pair[1].entry_id))


class _Hands:
    """Processes of this machine for entries that come largest first: more of them when the largest are done."""

    def __init__(
        self, asked: int, available: int, waiting: Sequence[tuple[int, Entry]], scale: Callable[[int], object]
    ) -> None:
        self._asked, self._available, self._scale, self._cores = asked, available, scale, available_cores()
        self._waiting, self._started = deque((need, entry.entry_id) for need, entry in waiting), 0
        staff, largest = self._staff(len(waiting)), waiting[0][0]
        self.share, self.finished = staff.share, set[str]()
        size = f"{largest / 1e9:.1f} GB for the largest map" if largest else "maps of unknown size"
        self.told = (
            f"{staff.started} processes for {len(waiting):,} entries: {asked} asked for, {PER_CORE} for each of "
            f"{self._cores} cores at most, {available / 1e9:.1f} GB of memory, {size}"
        )
        self._start(staff.started)

    def places(self, left: int) -> int:
        """Processes, after a look whether there may be more. left: entries that are not done."""
        while self._waiting and self._waiting[0][1] in self.finished:
            self.finished.remove(self._waiting.popleft()[1])
        self._start(self._staff(left).started)
        return self._started

    def _staff(self, left: int) -> Staffing:
        largest = min(self._waiting[0][0], self._available) if self._waiting else 0
        return Staffing.of(self._asked, left, largest, self._available, self._cores)

    def _start(self, number: int) -> None:
        if number > self._started:
            self._started = number
            self._scale(number)


def _on_cluster(job: Job, entries: Sequence[Entry], address: str, say: Say) -> Generator[Outcome, None, None]:
    """On an existing cluster; maps that were found too large for a worker come last, on those with most memory."""
    with connected(address, Path(job.folder)) as (client, work):
        places = Places(client)
        say(f"{places(0)} threads of the cluster at {address} for {len(entries):,} entries")
        again: list[tuple[int, Entry]] = []
        by_id = {entry.entry_id: entry for entry in entries}
        for outcome in run_on(client, work, job, [entry for _, entry in _largest_first(entries, job)], places):
            if outcome.needs:
                again.append((outcome.needs, by_id[outcome.entry_id]))
            else:
                yield outcome
        for need, entry in sorted(again, key=lambda pair: (-pair[0], pair[1].entry_id)):
            roomy = [name for name, memory in memory_of_workers(client).items() if not memory or memory >= need]
            yield from run_on(client, work, job, [entry], lambda left: 1, roomy or None)


def run_on(
    client: Client,
    work: Work,
    job: Job,
    entries: Sequence[Entry],
    places: Callable[[int], int],
    only: Sequence[str] | None = None,
) -> Generator[Outcome, None, None]:
    """Outcomes from a cluster. work: of a worker. places: entries that it can work on at a time, by how many are not
    done. only: these workers.

    A bounded number is in flight. Results are small and released at once: one that is held is worked out again when its
    worker dies. An entry whose worker is lost goes to another one.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting, lost = deque(entries), Counter[str]()
    running, flying = as_completed(loop=client.loop), dict[Any, tuple[Entry, Any]]()
    # one group for the scheduler, and names that serve again: it keeps something of each for good
    group, number, resting = f"cryodata-{token_hex(6)}", count(), deque[Any]()

    def submit(some: Sequence[Entry]) -> None:
        keys = [resting.popleft() if len(resting) > RESTING else (group, next(number)) for _ in some]
        packed = [pickle.dumps((entry, job)) for entry in some]
        futures = client.map(work, packed, key=keys, workers=list(only) if only else None)
        flying.update((future.key, (entry, future)) for entry, future in zip(some, futures, strict=True))
        running.update(futures)

    def fill() -> None:
        """As many as there are places, and one batch that waits for them at the scheduler."""
        room = places(len(waiting) + len(flying)) + BATCH - len(flying)
        if waiting and room >= BATCH:
            submit([waiting.popleft() for _ in range(min(room, len(waiting)))])

    fill()
    while flying:
        future = next(running)
        entry, _ = flying.pop(future.key)
        if future.status == "cancelled":
            raise CryodataError("the scheduler was lost; the same command goes on where it stopped")
        error = future.exception()
        if error is None:
            found = future.result()
            if isinstance(found, str):
                raise UsageError(found)
            yield found
        elif isinstance(error, KilledWorker) and lost[entry.entry_id] < LOST_ALLOWED:
            lost[entry.entry_id] += 1
            submit([entry])
        elif isinstance(error, KilledWorker):
            yield Outcome(entry.entry_id, "", "crashed", f"{LOST_ALLOWED} workers were lost while they worked on it")
        else:
            raise error
        future.release()
        resting.append(future.key)
        fill()


def work_packed(packed: bytes) -> Outcome:
    """On a worker: work on an entry for a job, within what memory it may take, shared among its threads."""
    from distributed import get_worker

    entry, job = pickle.loads(packed)  # of the driver, as the task itself: nothing of a dataset
    worker = get_worker()
    limit = int(worker.memory_manager.memory_limit or 0) // max(1, worker.state.nthreads)
    return work_apart(entry, replace(job, memory=limit) if limit else job)


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
