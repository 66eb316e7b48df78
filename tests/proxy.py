"""A proxy between a client and a server of the tests: it counts, and does wrong what it is told to do wrong."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

ANSWERS = {
    "500": (500, b"<Error><Code>InternalError</Code></Error>"),
    "503": (503, b"<Error><Code>SlowDown</Code></Error>"),
    "403": (403, b"<Error><Code>AccessDenied</Code><AWSAccessKeyId>cryodata-tests</AWSAccessKeyId></Error>"),
    "expired": (400, b"<Error><Code>ExpiredToken</Code><Token0>cryodata-tests</Token0></Error>"),
}
"faults that are an answer of the proxy itself; like a true one they repeat keys"

HOP = {"connection", "transfer-encoding", "keep-alive"}


class Request(NamedTuple):
    """One that went through."""

    method: str
    path: str
    status: int
    "of the server's answer; 0 if it was never asked"

    fault: str


class FaultProxy:
    """Forwards to an address. `fail` says what goes wrong next; `requests` is what happened."""

    def __init__(self, upstream: str) -> None:
        self.requests: list[Request] = []
        self.on_request: Callable[[int], str] = lambda number: ""
        "called with the number of each request before it goes on; gives a fault, or nothing"

        self._rules: list[tuple[str, re.Pattern[str], deque[str]]] = []
        self._lock = threading.Lock()
        self._begun, self._active = 0, 0
        self._upstream = urlsplit(upstream)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def any(self) -> None:
                proxy.pass_on(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = any  # noqa: N815 - names that the base class asks for

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hangs up is part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, method: str, path: str, *faults: str) -> None:
        """Let the next requests of a method whose path holds a pattern go wrong, each in its way."""
        self._rules.append((method, re.compile(path), deque(faults)))

    def forget(self) -> None:
        """No more faults, and nothing has happened."""
        self.requests.clear()
        self._rules.clear()
        self.on_request = lambda number: ""
        self._begun = 0

    def wait_until_idle(self) -> None:
        """Until the server has answered everything that was sent to it."""
        while self._active:
            time.sleep(0.01)

    def sent(self, pattern: str) -> list[str]:
        """Paths of the objects that the server took, one for each time."""
        return [item.path for item in self.requests if item.method == "PUT" and item.status == 200
                and re.search(pattern, item.path)]  # fmt: skip

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """One request, and its answer."""
        path = unquote(request.path)
        with self._lock:
            self._begun += 1
            self._active += 1
            fault = self.on_request(self._begun) or self._fault(request.command, path)
        status = 0
        try:
            body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
            if fault in ANSWERS:
                _answer(request, *ANSWERS[fault])
            elif fault == "reset":
                _reset(request)
            else:
                status = self._forward(request, body, fault)
        finally:
            with self._lock:
                self._active -= 1
                self.requests.append(Request(request.command, path, status, fault))

    def _fault(self, method: str, path: str) -> str:
        for of, pattern, faults in self._rules:
            if of == method and pattern.search(path) and faults:
                return faults.popleft()
        return ""

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes, fault: str) -> int:
        connection = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if fault == "drop":  # done, and nobody is told
            _reset(request)
            return answer.status
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP and (name.lower() != "content-length" or request.command == "HEAD"):
                request.send_header(name, value)
        if request.command != "HEAD":
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if fault == "half":
            request.wfile.write(content[: len(content) // 2])
            request.close_connection = True
        elif fault == "slow":
            for start in range(0, len(content), max(1, len(content) // 5)):
                request.wfile.write(content[start : start + max(1, len(content) // 5)])
                time.sleep(0.05)
        elif request.command != "HEAD":
            request.wfile.write(content)
        return answer.status


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def _reset(request: BaseHTTPRequestHandler) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()
    request.close_connection = True
