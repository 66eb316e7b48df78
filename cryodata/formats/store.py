"""Objects below a URL, read only (obstore): http, https, s3, gs, az. Nothing is read beyond what the caller allows.

Credentials and endpoints come from the environment, by the names that the tools of each cloud use. They never stand in
a URL, and no error repeats what a server answered: S3 answers with access keys.

The runtime behind obstore does not survive a fork: a call in a forked process would wait for ever. A process that was
forked since this module was imported therefore has every request done by a short-lived Python of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryodata.errors import CryodataError, DatasetError, UsageError

SCHEMES = ("http", "https", "s3", "gs", "az")

ATTEMPTS, PAUSE = 4, 0.5
"tries of a whole object, and seconds before the second; each further pause is twice as long"

STALL = 30.0
"seconds without a byte after which a connection counts as broken"

WRITE_STALL = 300.0
"the same for an answer to what is being sent: 8 MiB on each of 16 connections that share 4 Mbit/s take as long"

MAX_NAMES = 10_000
"objects that a listing may name: a folder of versions has a few"

_PIECE = 128 << 10
"bytes; small enough that memory and caches serve again: pieces of 4 MiB take half as much processor time again"

_IMPORTED_IN = os.getpid()


class Store:
    """What lies below a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def copy(self, path: str, file: int, most: int) -> tuple[int, str]:
        """Copy an object of at most `most` bytes over a file, given by its descriptor; transient faults are tried
        again. Returns bytes and sha256.

        Raises FileNotFoundError if there is none, DatasetError if it is longer or can't be read.
        """
        size, sha256 = _do("copy", self.url, path, file, most)
        return int(size), str(sha256)

    def copy_part(self, path: str, file: int, first: int, count: int) -> tuple[int, str]:
        """Copy some bytes of an object over a file. Returns their number and sha256; raises as `copy` does."""
        count, sha256, _ = _do("copy_part", self.url, path, file, first, count)
        return int(count), str(sha256)

    def copy_tail(self, path: str, file: int, count: int) -> int:
        """Copy the last `count` bytes of an object over a file, or all if it is shorter. Returns its length."""
        *_, size = _do("copy_part", self.url, path, file, -count, count)
        return int(size)

    def size(self, path: str) -> int:
        """Bytes of an object. Raises as `copy` does."""
        return int(_do("size", self.url, path))

    def names(self, prefix: str) -> list[str] | None:
        """Names of the objects and folders directly in a folder, sorted; None where a store can't list (http)."""
        if self.url.startswith("http"):
            return None
        try:
            return [str(name) for name in _do("names", self.url, prefix)]
        except FileNotFoundError:
            raise DatasetError(f"{self.url}: no such bucket or container") from None


def _copy(url: str, path: str, file: int, most: int) -> tuple[int, str]:
    import obstore

    def once() -> tuple[int, str]:
        os.lseek(file, 0, os.SEEK_SET)
        result, digest, done = obstore.get(client_of(url), path), hashlib.sha256(), 0
        if result.meta["size"] > most:
            raise DatasetError(f"{path}: {result.meta['size']:,} bytes at {url}; expected {most:,} at most")
        for piece in result.stream(min_chunk_size=_PIECE):
            view = memoryview(piece)
            done += len(view)
            if done > most:
                raise DatasetError(f"{path}: more than the {most:,} bytes that {url} announced")
            digest.update(view)
            while view:
                view = view[os.write(file, view) :]
        os.ftruncate(file, done)
        return done, digest.hexdigest()

    size, sha256 = patiently(once, url, path)
    return size, sha256


def _copy_part(url: str, path: str, file: int, first: int, count: int) -> tuple[int, str, int]:
    """Number and sha256 of the bytes that were copied, and the length of the object; a negative `first` counts from
    its end."""
    import obstore

    def once() -> tuple[int, str, int]:
        os.lseek(file, 0, os.SEEK_SET)
        span = {"suffix": count} if first < 0 else (first, first + count)
        result, digest, done = obstore.get(client_of(url), path, options={"range": span}), hashlib.sha256(), 0
        for piece in result.stream(min_chunk_size=_PIECE):
            view = memoryview(piece)
            done += len(view)
            if done > count:
                raise DatasetError(f"{path}: more than the {count:,} bytes that {url} was asked for")
            digest.update(view)
            while view:
                view = view[os.write(file, view) :]
        os.ftruncate(file, done)
        return done, digest.hexdigest(), int(result.meta["size"])

    done, sha256, size = patiently(once, url, path)
    return done, sha256, size


def _size(url: str, path: str) -> int:
    import obstore

    return int(patiently(lambda: obstore.head(client_of(url), path)["size"], url, path))


def _names(url: str, prefix: str) -> list[str]:
    import obstore

    found = patiently(lambda: obstore.list_with_delimiter(client_of(url), prefix or None), url, prefix)
    paths = [item["path"] for item in found["objects"][:MAX_NAMES]] + list(found["common_prefixes"][:MAX_NAMES])
    return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)


_ACTIONS: dict[str, Callable[..., Any]] = {"copy": _copy, "copy_part": _copy_part, "size": _size, "names": _names}


def patiently(action: Callable[[], Any], url: str, path: str, doing: str = "read from") -> Any:
    """Do it, and again after a transient fault. doing: for the message, such as "written to".

    Raises FileNotFoundError if there is no such object, DatasetError for a fault that stays.
    """
    from obstore.exceptions import BaseError

    for attempt in range(ATTEMPTS):
        try:
            return action()
        except FileNotFoundError:
            raise FileNotFoundError(path) from None
        except (BaseError, ValueError) as error:
            reason, final = _reason(error)
            if "answered 404" in reason:  # of a listing: there is no such bucket
                raise FileNotFoundError(path) from None
            if final or attempt + 1 == ATTEMPTS:
                tries = "" if final else f" in {ATTEMPTS} tries"
                raise DatasetError(f"{path}: can't be {doing} {url}{tries}: {reason}") from None
        time.sleep(PAUSE * 2**attempt * (0.5 + random.random()))


def _reason(error: Exception) -> tuple[str, bool]:
    """Why a request failed, without what the server said beyond its status; and whether that is final."""
    text = str(error)
    status = re.search(r"status code: ((\d{3})[A-Za-z -]*)", text)
    if status:
        code = int(status[2])
        expired = re.search(r"<Code>(ExpiredToken|TokenRefreshRequired|RequestTimeTooSkewed)\b", text)
        hint = "; are the credentials in the environment right?" if code in (401, 403) else ""
        hint = f" ({expired[1]}); renew the credentials in the environment" if expired else hint
        return f"the server answered {status[1].strip()}{hint}", 400 <= code < 500 and code not in (408, 429)
    if "Content-Length" in text:
        return "the server does not say how long it is", True
    if isinstance(error, ValueError):
        return "no path or address that a store can have", True
    kind = re.search(r"kind: (Timeout|Interrupted|Connect)\b", text)
    known = {"Timeout": "no answer in time", "Interrupted": "the connection broke", "Connect": "no connection"}
    return known[kind[1]] if kind else "no usable answer; are address and credentials right?", False


@lru_cache(maxsize=16)
def client_of(url: str, writing: bool = False) -> Any:
    """The connection pool of a URL. UsageError if the environment does not say all that it needs.

    writing: an answer may take long, since what it answers must first arrive; and nothing is tried again behind the
    back of whoever must know how often it was tried.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    endpoints = [url, *(os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))]
    plain = any(address.startswith("http://") for address in (endpoints if url.startswith("s3:") else endpoints[:1]))
    stall = timedelta(seconds=WRITE_STALL if writing else STALL)
    options = {"connect_timeout": "10s", "read_timeout": stall, "timeout": "1h"}
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2}
    retry = {"max_retries": 0 if writing else 2, "backoff": backoff, "retry_timeout": timedelta(seconds=60)}
    # plain http is used if it was asked for, and https never turns into it
    options |= {"allow_http": True} if plain else {}
    try:
        return from_url(url, client_options=options, retry_config=retry)
    except (BaseError, ValueError) as error:  # its text may hold what stands in the environment
        kind = re.search(r"source: (\w+)", str(error))
        reason = kind[1] if kind else type(error).__name__
        raise UsageError(f"no store can be opened at {url}: {reason}; are address and environment right?") from None


def _do(action: str, url: str, path: str, file: int | None = None, *numbers: int) -> Any:
    """Do a request here, or where a fork forbids that, in a process of its own."""
    arguments = [url, path] if file is None else [url, path, file, *numbers]
    if os.getpid() == _IMPORTED_IN:
        return _ACTIONS[action](*arguments)
    # without the work of `site`, a third faster; what it would have found is in the path already
    modules = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(modules)}
    command = [sys.executable, "-S", "-m", "cryodata.formats.store", json.dumps([action, arguments])]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env=environment, pass_fds=[] if file is None else [file], check=False
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise CryodataError(f"{path}: the process that reads {url} ended with the code {done.returncode}") from None
    if "value" in answer:
        return answer["value"]
    if answer["error"] == "OSError":
        raise OSError(answer["errno"], answer["message"])
    errors: tuple[type[Exception], ...] = (FileNotFoundError, DatasetError, UsageError)
    raise next(kind for kind in errors if kind.__name__ == answer["error"])(answer["message"])


def main() -> None:
    """Do one request for a forked process; the answer is a line of JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    action, arguments = json.loads(sys.argv[1])
    try:
        answer = {"value": _ACTIONS[action](*arguments)}
    except (FileNotFoundError, DatasetError, UsageError) as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except OSError as error:
        answer = {"error": "OSError", "errno": error.errno, "message": error.strerror}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
