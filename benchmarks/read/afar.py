"""Does training from a bucket run at the speed of this machine, or of the bucket, whichever is slower?

An S3 server (`rclone serve s3`, a process of its own) holds the dataset; a proxy, another process, lets every request
wait. Sub-grids a second after the first block of an epoch with an empty cache, beside the same from a folder,
and beside what plain parallel GETs of the same objects reach against the same server: a GET each, 8 at a time, of which
nothing is kept. The reader, local or not, has all cores of the machine but one, which server and proxy have; `floor` is
what those cores could reach if they only moved bytes and decoded: the local rate, slowed by the processor time that it
takes to fetch, hash and keep the same objects. Shows nothing of real networks, whose bandwidth varies.

    python -m benchmarks.read.afar ROOT NAME --work DIR          result kept
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.record import record

BATCH, PARALLEL = 64, 8
OPTIONS: dict[str, int] = {"streams": 1, "pool_volumes": 2}
"small blocks: most of the epoch comes after the first one"
KEY, SECRET = "benchmark", "no-secret-at-all"
PIECE = 1 << 20


class Proxy:
    """A TCP proxy that lets every request wait, and counts requests and the bytes of answers."""

    def __init__(self, target: tuple[str, int], latency: float) -> None:
        self.requests, self.bytes, self._target, self._latency = 0, 0, target, latency
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client = self._server.accept()[0]
            server = socket.create_connection(self._target)
            for one, other, asks in ((client, server, True), (server, client, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(one, other, asks), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, asks: bool) -> None:
        buffer = memoryview(bytearray(PIECE))
        with contextlib.suppress(OSError):
            while size := one.recv_into(buffer):
                with self._lock:
                    self.requests += bytes(buffer[:5]) in (b"GET /", b"HEAD ") if asks else 0
                    self.bytes += 0 if asks else size
                if asks:
                    time.sleep(self._latency)
                other.sendall(buffer[:size])
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


def proxy(port: int, latency: float) -> None:
    """The process of the proxy: says where it listens, then answers each line with what it has counted."""
    serving = Proxy(("127.0.0.1", port), latency)
    print(serving.port, flush=True)
    for _ in sys.stdin:
        print(serving.requests, serving.bytes, flush=True)


class Counter:
    """The proxy as seen from here."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def read(self) -> tuple[int, int]:
        """Requests and bytes so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        requests, size = self._line().split()
        return int(requests), int(size)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def bucket(folder: Path, latency: float) -> Iterator[Counter]:
    """An S3 server over a folder, whose folders are buckets, behind the proxy; the environment points to it."""
    rclone = str(Path(sys.executable).with_name("rclone"))
    command = [rclone, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = next(match for line in server.stderr if (match := re.search(r"http://127\.0\.0\.1:(\d+)", line)))
        threading.Thread(target=server.stderr.read, daemon=True).start()
        between = [sys.executable, "-m", "benchmarks.read.afar", "--proxy", found[1], "--latency", str(latency)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(between, **pipes) as process:
            try:
                counter = Counter(process)
                keep_apart([server.pid, process.pid])
                os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{counter.port}"
                os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
                yield counter
            finally:
                process.terminate()
                server.terminate()


def keep_apart(servers: list[int]) -> None:
    """Give the servers one core, this process the others; nothing where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        for server in servers:
            for thread in os.listdir(f"/proc/{server}/task"):
                os.sched_setaffinity(int(thread), cores[-1:])
        os.sched_setaffinity(0, cores[:-1])


def put_bucket(source: Path, target: Path) -> None:
    """The published part of a dataset, by hard links where that is possible."""
    for part in ("versions", "tables", "volumes"):
        for path in sorted((source / part).rglob("*")):
            if path.is_file() and not (target / path.relative_to(source)).exists():
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path, copy)
                except OSError:
                    shutil.copy(path, copy)


def stream_rate(root: str, name: str) -> tuple[float, float]:
    """Sub-grids a second after the first block of an epoch, and seconds until the first batch."""
    from cryodata.read.decode import volumes_of
    from cryodata.torch import SubgridStream

    volumes_of.cache_clear()
    began = time.perf_counter()
    stream = SubgridStream(
        name, split="train", root=root, batch_size=BATCH, columns=["density", "atom", "amino"], **OPTIONS
    )
    batches = iter(stream)
    next(batches)
    first = time.perf_counter() - began
    order = stream._reader.order(0)
    block = order.block_span(0, 0)[1] // BATCH
    for _ in range(block):
        next(batches)
    since, count = time.perf_counter(), sum(len(batch["density"]) for batch in batches)
    return count / (time.perf_counter() - since), first


def fetch_seconds(root: str, name: str) -> float:
    """Processor seconds that fetching the densities of all volumes into an empty cache takes, hashes checked."""
    from cryodata.read.decode import volumes_of
    from cryodata.torch import SubgridStream

    volumes_of.cache_clear()
    store = volumes_of(SubgridStream(name, split="train", root=root, batch_size=BATCH)._reader.plan.source.key)
    began = time.process_time()
    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(store.fetch, range(len(store.entries))))
    return time.process_time() - began


def get_rate(prefix: str, paths: list[str], subgrids: int) -> float:
    """Sub-grids a second that plain GETs of the volumes' shards would feed."""
    import obstore
    from obstore.store import S3Store

    options: Any = {"client_options": {"allow_http": True}, "endpoint": os.environ["AWS_ENDPOINT_URL"]}
    store = S3Store("maps", prefix=prefix, **options)
    began = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL) as threads:
        sizes = list(threads.map(lambda path: sum(len(piece) for piece in obstore.get(store, path).stream()), paths))
    assert all(sizes)
    return subgrids / (time.perf_counter() - began)


def compare(root: Path, name: str, work: Path, latency: float, repeats: int) -> dict[str, Any]:
    """All figures; medians of the repeats, taken in turns."""
    from cryodata.torch import SubgridStream

    put_bucket(root / name, work / "buckets/maps" / name)
    shards = sorted(str(path.relative_to(root)) for path in (root / name).glob("volumes/*/*/density/c/*/*/*"))
    stream = SubgridStream(name, split="train", root=root, batch_size=BATCH)
    subgrids, volumes = stream._reader.order(0).length(0) * stream._reader.plan.streams, len(shards)
    found: dict[str, list[float]] = {"local": [], "gets": [], "afar": [], "first_batch_s": [], "fetch_cpu_s": []}
    with bucket(work / "buckets", latency) as counter:
        for _ in range(repeats):
            found["local"].append(stream_rate(str(root), name)[0])
            found["gets"].append(get_rate("", shards, subgrids))
            shutil.rmtree(work / "cache", ignore_errors=True)
            os.environ["CRYODATA_CACHE"] = str(work / "cache")
            before = counter.read()
            rate, first = stream_rate("s3://maps", name)
            requests, size = (now - then for now, then in zip(counter.read(), before, strict=True))
            found["afar"].append(rate)
            found["first_batch_s"].append(first)
            shutil.rmtree(work / "cache")
            found["fetch_cpu_s"].append(fetch_seconds("s3://maps", name))
    medians = {key: statistics.median(values) for key, values in found.items()}
    floor = subgrids / (subgrids / medians["local"] + medians["fetch_cpu_s"] / max(1, (os.cpu_count() or 1) - 1))
    return {
        **{key: round(value, 2) for key, value in medians.items()},
        "afar_over_slower": round(medians["afar"] / min(medians["local"], medians["gets"]), 3),
        "afar_over_floor": round(medians["afar"] / floor, 3),
        "latency_s": latency,
        "requests_per_volume": round(requests / volumes, 2),
        "bytes_per_stored_byte": round(size / sum((root / shard).stat().st_size for shard in shards), 3),
        "volumes": volumes,
        "subgrids": subgrids,
        "repeats": repeats,
    }


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--latency", type=float, default=0.02, metavar="SECONDS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.proxy:
        proxy(chosen.proxy, chosen.latency)
        return
    result = compare(chosen.root, chosen.name, chosen.work, chosen.latency, chosen.repeats)
    for key, value in result.items():
        print(f"{key:24} {value:,}")
    record("afar", ("obstore", "torch", "numpy"), result)


if __name__ == "__main__":
    main(sys.argv[1:])
