"""The cache: every object fetched once and verified, the limit kept, nothing touched that is not its own."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.cache import MARKER, TAG, Cache

KB = 1024


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def filler(content: bytes, calls: list[bytes] | None = None) -> Callable[[int], tuple[int, str]]:
    """Writes `content`, as a fetch would."""

    def fill(file: int) -> tuple[int, str]:
        if calls is not None:
            calls.append(content)
        os.pwrite(file, content, 0)
        os.ftruncate(file, len(content))
        return len(content), sha(content)

    return fill


def read(cache: Cache, content: bytes, calls: list[bytes] | None = None) -> bytes:
    with cache.open("x", len(content), sha(content), filler(content, calls)) as file:
        return file.read()


def objects(folder: Path) -> dict[str, int]:
    """Names and bytes of the objects in a cache."""
    return {path.name: path.stat().st_size for path in folder.glob("??/*")}


def test_an_object_is_fetched_once(tmp_path: Path) -> None:
    calls: list[bytes] = []

    assert [read(Cache(tmp_path / "c", KB), b"content", calls) for _ in range(3)] == [b"content"] * 3
    assert calls == [b"content"]
    assert objects(tmp_path / "c") == {sha(b"content"): 7}


@pytest.mark.parametrize(
    ("size", "content"),
    [pytest.param(7, b"c0ntent", id="other bytes"), pytest.param(8, b"content", id="fewer bytes")],
)
def test_an_object_with_other_bytes_is_named_and_not_kept(tmp_path: Path, size: int, content: bytes) -> None:
    with pytest.raises(DatasetError) as caught:
        Cache(tmp_path, KB).open("http://host/x", size, sha(b"content"), filler(content))

    assert str(caught.value) == (
        f"http://host/x: 7 bytes with sha256 {sha(content)}; expected {size} with {sha(b'content')}"
    )
    assert objects(tmp_path) == {}


@pytest.mark.parametrize("name", ["../../x", "", "A" * 64, "/etc/passwd", "a" * 63, "a" * 64 + "\n"])
def test_a_hash_that_is_none_leads_nowhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="is no sha256; do not trust the dataset$"):
        Cache(tmp_path / "c", KB).open("x", 1, name, filler(b"x"))

    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_kept_and_the_last_used_objects_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10 * KB)
    contents = [bytes([i]) * KB for i in range(30)]
    for number, content in enumerate(contents):
        read(cache, content)
        read(cache, contents[0])  # in use all the time
        for place, path in enumerate(sorted(tmp_path.glob("??/*"), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(path, ns=(place, place))  # as if some time went by
        assert sum(objects(tmp_path).values()) <= 10 * KB, number

    assert {sha(contents[0]), sha(contents[29]), sha(contents[28])} <= objects(tmp_path).keys()
    assert sha(contents[1]) not in objects(tmp_path)


def test_an_object_that_is_held_by_its_path_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 4 * KB)
    with cache.open("x", KB, sha(b"h" * KB), filler(b"h" * KB), hold=True) as held:
        for i in range(12):
            read(cache, bytes([i]) * KB)

        assert Path(held.name).read_bytes() == b"h" * KB
    for i in range(12):
        read(cache, bytes([i]) * KB)

    assert not Path(held.name).exists()


def test_an_object_that_is_being_read_may_go_and_is_read_to_its_end(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 2 * KB)
    with cache.open("x", KB, sha(b"r" * KB), filler(b"r" * KB)) as file:
        begin = file.read(10)
        for i in range(4):
            read(cache, bytes([i]) * KB)

        assert sha(b"r" * KB) not in objects(tmp_path)
        assert begin + file.read() == b"r" * KB


def test_files_of_others_are_neither_counted_nor_touched(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", 4 * KB)
    read(cache, b"first")
    (tmp_path / "elsewhere").mkdir()
    foreign = [
        tmp_path / "c/notes.txt",
        tmp_path / "c" / sha(b"a"),
        tmp_path / "c/zz" / sha(b"b"),
        tmp_path / "c/aa/aa.txt",
        tmp_path / "c/aa" / f"bb{sha(b'c')[2:]}",
        tmp_path / "c/aa" / f"aa{sha(b'c')[2:]}.old",
        tmp_path / "elsewhere" / f"ee{sha(b'd')[2:]}",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"f" * 10 * KB)
        os.utime(path, ns=(1, 1))
    (tmp_path / "c/ee").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "c/aa" / f"aa{sha(b'e')[2:]}").symlink_to(foreign[0])
    for i in range(20):
        if not (path := tmp_path / "c" / sha(bytes([i]) * KB)[:2]).is_symlink():
            read(cache, bytes([i]) * KB)
            assert path.is_dir()

    assert [path.stat().st_size for path in foreign] == [10 * KB] * len(foreign)
    assert (tmp_path / "c/aa" / f"aa{sha(b'e')[2:]}").is_symlink()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(UsageError) as caught:
        read(Cache(tmp_path, KB), b"content")

    assert str(caught.value) == (
        f"CRYODATA_CACHE={tmp_path} holds other files, such as thesis.tex; name a folder that is new or empty"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_cache_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_bytes(TAG.splitlines(keepends=True)[0])

    with pytest.raises(UsageError, match=f"holds other files, such as {MARKER};"):
        read(Cache(tmp_path, KB), b"content")


def test_a_folder_that_can_not_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CryodataError) as caught:
        read(Cache(tmp_path / "file/cache", KB), b"content")

    assert str(caught.value) == (
        f"{tmp_path}/file/cache: the cache can't be written (Not a directory); make room there, or let CRYODATA_CACHE "
        "name another folder"
    )


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: int) -> tuple[int, str]:
        os.pwrite(file, b"cont", 0)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CryodataError, match=r"the cache can't be written \(No space left on device\); make room"):
        Cache(tmp_path, KB).open("x", 7, sha(b"content"), fill)

    assert objects(tmp_path) == {}


def test_a_cache_that_is_too_small_says_how_large_it_must_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^x: 2,048 bytes; the cache takes 1,024: raise CRYODATA_CACHE_BYTES$"):
        read(Cache(tmp_path, KB), b"c" * 2 * KB)


def test_a_cache_full_of_what_is_held_says_so(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 3 * KB)
    held = [cache.open("x", KB, sha(c), filler(c), hold=True) for c in (b"a" * KB, b"b" * KB, b"c" * KB)]

    with pytest.raises(CryodataError, match="3,072 bytes of the 3,072 are in use and 1,024 more are needed for x"):
        read(cache, b"d" * KB)
    for file in held:
        file.close()


def test_an_object_that_somebody_shortened_is_fetched_again(tmp_path: Path) -> None:
    calls: list[bytes] = []
    cache = Cache(tmp_path, KB)
    read(cache, b"content", calls)
    next(tmp_path.glob("??/*")).write_bytes(b"cont")

    assert read(cache, b"content", calls) == b"content"
    assert len(calls) == 2


@pytest.mark.parametrize("value", ["-1", "10GB", "1e9", "9" * 30])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CRYODATA_CACHE_BYTES", value)

    with pytest.raises(UsageError, match="expected a whole number of bytes$"):
        Cache.of_environment()


def test_who_waited_for_a_fetch_is_let_in_though_the_object_is_held(tmp_path: Path) -> None:
    cache, begun, go = Cache(tmp_path, KB), threading.Event(), threading.Event()
    held: list[Any] = []

    def fill(file: int) -> tuple[int, str]:
        begun.set()
        go.wait(30)
        return filler(b"content")(file)

    def hold() -> None:
        held.append(cache.open("x", 7, sha(b"content"), fill, hold=True))

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(3)]
    threads[0].start()
    begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)

    assert [file.read() for file in held] == [b"content"] * 3
    for file in held:
        file.close()


def fill_many(folder: Path, limit: int, log: Path, seed: int, results: multiprocessing.Queue[int]) -> None:
    """Read 40 objects, each noted when it is fetched, from a place that depends on the process."""
    cache, wrong = Cache(folder, limit), 0
    for i in range(40):
        content = bytes([(seed + i) % 40]) * KB

        def fill(file: int, content: bytes = content) -> tuple[int, str]:
            with open(log, "ab") as notes:
                notes.write(content[:1])
            return filler(content)(file)

        with cache.open("x", KB, sha(content), fill, hold=i % 3 == 0) as file:
            wrong += file.read() != content
    results.put(wrong)


@pytest.mark.parametrize("limit", [pytest.param(64 * KB, id="room"), pytest.param(16 * KB, id="evicting")])
def test_processes_that_ask_at_once_get_whole_objects(tmp_path: Path, limit: int) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = context.Queue()
    arguments = [(tmp_path / "c", limit, tmp_path / "log", seed, results) for seed in (0, 0, 0, 13)]
    processes = [context.Process(target=fill_many, args=item, daemon=True) for item in arguments]
    for process in processes:
        process.start()

    assert [results.get(timeout=60) for _ in processes] == [0] * len(processes)
    for process in processes:
        process.join(60)
    fetched = (tmp_path / "log").read_bytes()
    assert sorted(set(fetched)) == list(range(40))
    if limit == 64 * KB:
        assert len(fetched) == 40
    assert sum(objects(tmp_path / "c").values()) <= limit
    assert not list((tmp_path / "c").glob("*/*.part"))


def test_what_a_killed_process_left_is_fetched_anew(tmp_path: Path) -> None:
    code = """
import os, sys, hashlib, time
from pathlib import Path
from typing import Any
from cryodata.formats.cache import Cache
def fill(file):
    os.pwrite(file, b"cont", 0)
    print("begun", flush=True)
    time.sleep(60)
Cache(Path(sys.argv[1]), 1024).open("x", 7, hashlib.sha256(b"content").hexdigest(), fill)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    assert list(objects(tmp_path)) == [f"{sha(b'content')}.part"]
    assert read(Cache(tmp_path, KB), b"content") == b"content"
    assert list(objects(tmp_path)) == [sha(b"content")]


def test_a_process_forked_during_a_fetch_keeps_no_lock(tmp_path: Path) -> None:
    cache = Cache(tmp_path, KB)
    parent, child = os.pipe(), 0

    def fill(file: int) -> tuple[int, str]:
        nonlocal child
        child = os.fork()
        if not child:
            os.read(parent[0], 1)  # lives on with the locked file open
            os._exit(0)
        return filler(b"content")(file)

    cache.open("x", 7, sha(b"content"), fill).close()
    opened = threading.Thread(
        target=lambda: cache.open("x", 7, sha(b"content"), filler(b"content"), hold=True).close(), daemon=True
    )
    opened.start()
    opened.join(30)

    assert not opened.is_alive()
    os.write(parent[1], b"x")
    os.waitpid(child, 0)
    for end in parent:
        os.close(end)
