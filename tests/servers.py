"""Servers that the tests start on this machine: plain http with faults on demand, and two S3 implementations."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

KEY, SECRET = "cryodata-tests", "no-secret-at-all"

STATUS = {"500", "503", "429", "403", "404"}
"faults that are an answer"


class FileServer:
    """A folder over http. `faults` says what happens to the next requests of a path; `requests` is what was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.faults: dict[str, deque[str]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                server.answer(self, with_body=False)

            def do_GET(self) -> None:
                server.answer(self, with_body=True)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hangs up is part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, path: str, *faults: str) -> None:
        """Let the next requests of a path go wrong, each in its way."""
        self.faults[path] = deque(faults)

    def slow(self, part: str) -> list[int]:
        """Answer late what has this in its path. Returns the most of those that were under way at once, so far."""
        under_way, most, answer, lock = [0], [0], self.answer, threading.Lock()

        def late(request: BaseHTTPRequestHandler, with_body: bool) -> None:
            counts = part in request.path
            with lock:
                under_way[0] += counts
                most[0] = max(most[0], under_way[0])
            time.sleep(0.4 if counts else 0)
            answer(request, with_body)
            with lock:
                under_way[0] -= counts

        self.answer = late  # type: ignore[method-assign]
        return most

    def answer(self, request: BaseHTTPRequestHandler, with_body: bool) -> None:
        """One answer."""
        path = unquote(request.path).lstrip("/")
        self.requests.append(path)
        faults = self.faults.get(path)
        fault = faults.popleft() if faults else ""
        file = self.folder / path
        if fault == "redirect":
            (self.folder / "elsewhere").write_bytes(file.read_bytes())
            _send(request, 302, b"", {"Location": "/elsewhere"})
        elif fault in STATUS or not file.is_file():
            _send(request, int(fault or 404), b"the server's own words, with a key in them")
        elif fault == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            request.connection.close()
            request.close_connection = True
        else:
            body = file.read_bytes()
            sent = {"truncate": body[: len(body) // 2], "stall": body[: len(body) // 2], "shorter": body[:-7]}
            length = len(body) - 7 if fault == "shorter" else len(body)
            request.send_response(200)
            request.send_header("Content-Length", str(length))
            request.end_headers()
            if with_body:
                request.wfile.write(sent.get(fault, body))
            if fault == "stall":
                time.sleep(1)
            request.close_connection = bool(fault)


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def moto() -> Iterator[str]:
    """Address of a moto server: S3 that does not check signatures."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with _running(command, r"Running on (http://127\.0\.0\.1:\d+)") as address:
        yield address


@contextmanager
def rclone(folder: Path) -> Iterator[str]:
    """Address of an rclone server, whose buckets are the folders below `folder`: S3 that checks signatures."""
    program = Path(sys.executable).with_name("rclone")
    command = [str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}", str(folder)]
    with _running(command, r"(http://127\.0\.0\.1:\d+)") as address:
        yield address


@contextmanager
def _running(command: list[str], pattern: str) -> Iterator[str]:
    """A server as a process of its own, ended at the end; yields what the pattern finds in its first lines."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = next((match for line in process.stderr if (match := re.search(pattern, line))), None)
            assert found is not None, f"{command[:4]} ended with {process.wait()}"
            drain = threading.Thread(target=process.stderr.read, daemon=True)  # its log must not fill the pipe
            drain.start()
            yield found[1]
        finally:
            process.terminate()
            process.wait()
            if found is not None:
                drain.join()
