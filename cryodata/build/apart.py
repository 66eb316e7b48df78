"""Work on an entry in a process of its own: whatever a map does to it ends that process, and nothing else.

A map that crashes a decoder or takes all memory is found out at once, by the only one that worked on it. Each thread
that asks has its own process, which waits for the next entry when it is done.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

import psutil

from cryodata.build.identify import Job
from cryodata.build.work import Outcome, work_on
from cryodata.core.entry import Entry

LOOK = 0.05
"seconds between two looks at the memory of the process"

DEATHS = 2
"a map whose process dies is tried once more; the second death refuses it"

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""One map a process is all the parallelism there is. Arrays of a plane's size lie in memory that serves again, which
halves the time of what runs plane by plane; the system has it back when the map is done (`_give_back`). A pool of
Arrow's own would take 20 MB for the small tables of one entry."""

_own = threading.local()
_all: set[Apart] = set()


class Apart:
    """A process that works on entries, one after the other."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        # it ends when nobody holds the other end any longer: however this process ends, no work goes on behind it
        reading, self._lifeline = os.pipe()
        ends = (theirs.fileno(), reading)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cryodata.build.apart", *map(str, ends)],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_file(sys.stderr) else subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
        theirs.close()
        os.close(reading)
        self._seen = psutil.Process(self._process.pid)
        _all.add(self)

    def work(self, entry: Entry, job: Job) -> Outcome:
        """What `work_on` gives, or raises. MemoryError if it takes more than `job.memory`; EOFError if it dies."""
        try:
            self._connection.send((entry, job))
            while not self._connection.poll(LOOK):
                if job.memory and self._memory() > job.memory:
                    raise MemoryError(f"more than {job.memory / 1e9:.1f} GB")
            found = self._connection.recv()
        except (OSError, EOFError):
            raise EOFError(self._died()) from None
        if isinstance(found, BaseException):
            raise found
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process, whatever it does."""
        _all.discard(self)
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._connection.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _memory(self) -> int:
        try:
            return int(self._seen.memory_info().rss)
        except psutil.Error:  # it has died: its connection says so, too
            return 0

    def _died(self) -> str:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "it no longer answers"
        if code >= 0:
            return f"it ended with status {code}"
        why = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"it was ended by signal {-code} ({signal.strsignal(-code)}{why})"


def work_apart(entry: Entry, job: Job) -> Outcome:
    """`work_on` in a process of this thread's own. Raises nothing for what lies in the entry, whatever that does."""
    how = ""
    for _ in range(DEATHS):
        apart = _of_this_thread()
        try:
            return apart.work(entry, job)
        except MemoryError as error:
            _end(apart)
            message = f"its process took {error}, which is what it may have here; more memory, or fewer workers"
            return Outcome(entry.entry_id, "", "out_of_memory", message)
        except EOFError as error:
            how = str(error)
            if apart not in _all:  # ended by `close_all`: nobody waits for the outcome
                break
            _end(apart)
        except BaseException:
            _end(apart)  # an error of the driver's own in between would leave an answer behind
            raise
    return Outcome(entry.entry_id, "", "crashed", f"its process died {DEATHS} times: {how}")


def close_all() -> None:
    """End the processes of all threads."""
    for apart in list(_all):
        apart.close()


def _of_this_thread() -> Apart:
    apart = getattr(_own, "apart", None)
    if apart is None or apart not in _all:
        apart = _own.apart = Apart()
    return apart


def _end(apart: Apart) -> None:
    apart.close()
    _own.apart = None


def _has_file(stream: Any) -> bool:
    try:
        return int(stream.fileno()) >= 0
    except (AttributeError, OSError, ValueError):
        return False


def _serve(connection: Connection) -> None:
    """In the process: work until nobody asks any longer."""
    while True:
        try:
            entry, job = connection.recv()
        except EOFError:
            return
        try:
            found: Any = work_on(entry, job)
        except BaseException as error:
            found = _sendable(error)
        connection.send(found)
        _give_back()


def _sendable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _give_back() -> None:
    """Memory that the allocator keeps goes back to the system: the next map may be small."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _end_with(lifeline: int) -> None:
    with suppress(OSError):
        os.read(lifeline, 1)
    os._exit(1)


def main() -> None:
    """The process: two inherited files, where work comes from and what tells that the other side lives."""
    work, lifeline = int(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, signal.SIG_IGN
        )  # terminals and batch queues send them to all; who asked ends this process
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    _serve(Connection(work))


if __name__ == "__main__":
    main()
