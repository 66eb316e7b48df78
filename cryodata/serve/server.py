"""The server: HTTP/1.1 with ranges and CORS, one thread a connection, files sent by the kernel.

Whatever a web page may ask, it only gets what is published; nothing can be written. Standard library alone.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import FileIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryodata.errors import CryodataError
from cryodata.serve import pages, view
from cryodata.serve.files import TYPES, open_regular, published_file
from cryodata.serve.links import VIEW
from cryodata.serve.ranges import UnsatisfiableError, wanted_range

IDLE = 60.0
"seconds after which a connection that asks for nothing is closed"

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9a-fA-F:]{2,39}\](:\d{1,5})?")

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
    # pages that isolate themselves load nothing that does not say so
    "Cross-Origin-Resource-Policy": "cross-origin",
}

NO_GUESSING = {"X-Content-Type-Options": "nosniff"}
"a browser takes what it is told: bytes that look like a page are none"

PAGE = "text/html; charset=utf-8"

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, Cache-Control, Content-Type",
    # Chrome asks for this before a page of the internet may read from this machine
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "86400",
}


class RootServer(ThreadingHTTPServer):
    """Serves the datasets below a folder."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, host: str, port: int) -> None:
        self.root = root
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Address, without a slash at its end."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    server: RootServer
    protocol_version = "HTTP/1.1"
    server_version = "cryodata"
    sys_version = ""
    timeout = IDLE
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed: a viewer asks hundreds of times."""

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self._answer()

    def do_GET(self) -> None:
        """A file, a part of it, a page, or 404."""
        self._answer()

    def do_OPTIONS(self) -> None:
        """What a browser asks before it sends a request with a range to another origin."""
        self._begin()
        self._send(204, b"", PREFLIGHT)

    def _answer(self) -> None:
        self._begin()
        parts = unquote(urlsplit(self.path).path, errors="replace").removeprefix("/").split("/")
        try:
            if parts[0] == VIEW:
                self._send_view(parts[1:])
                return
            page = pages.page(self.server.root, self._base(), parts)
            if page is not None:
                self._send(200, page, {"Content-Type": PAGE, "Cache-Control": "no-cache"})
                return
            file = published_file(self.server.root, parts)
            if file is None or not self._send_file(file):
                self._refuse(404)
        except FileNotFoundError:
            self._refuse(404)
        except CryodataError as error:
            self._refuse(500, str(error))

    def _base(self) -> str:
        """The address under which the client knows this server: it may have come through a tunnel."""
        host = self.headers.get("Host", "")
        return f"http://{host}" if _HOST.fullmatch(host) else self.server.url

    def _begin(self) -> None:
        # nobody reads what a request brings along, so the next one could not be found behind it
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True

    def _send_view(self, parts: list[str]) -> None:
        """A part of a volume as viewers can show it: made here, or the file itself."""
        file = published_file(self.server.root, parts)
        if file is None or len(parts) < 5 or parts[1] != "volumes":
            self._refuse(404)
            return
        made = view.made(self.server.root.joinpath(*parts[:4]), "/".join(parts[4:]))
        if made is not None:
            kind = TYPES.get(file.suffix, "application/octet-stream")
            self._send(200, made, {"Content-Type": kind, "Cache-Control": "no-cache"})
        elif not self._send_file(file):
            self._refuse(404)

    def _send_file(self, path: Path) -> bool:
        """Send a file, or the range that is asked for. False if there is none."""
        opened = open_regular(path)
        if opened is None:
            return False
        file, found = opened
        with file:
            size, tag = found.st_size, f'"{found.st_size:x}-{found.st_mtime_ns:x}"'
            headers = {
                "Content-Type": TYPES.get(path.suffix, "application/octet-stream"),
                "Accept-Ranges": "bytes",
                "ETag": tag,
                "Last-Modified": formatdate(found.st_mtime, usegmt=True),
                "Cache-Control": "no-cache",  # kept, but asked for anew: 304 costs little here
            }
            if tag in self.headers.get("If-None-Match", ""):
                self._head(304, headers, None)
                return True
            try:
                asked = self.headers.get("Range") if self.headers.get("If-Range", tag) == tag else None
                part = wanted_range(asked, size)
            except UnsatisfiableError:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return True
            first, count = part or (0, size)
            if part:
                headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{size}"
            self._head(206 if part else 200, headers, count)
            if self.command == "GET" and count:
                self._send_body(file, first, count)
        return True

    def _send_body(self, file: FileIO, first: int, count: int) -> None:
        try:
            sent = self.connection.sendfile(file, first, count)
        except OSError:  # the client is gone
            sent = 0
        if sent != count:
            self.close_connection = True

    def _refuse(self, status: int, text: str = "") -> None:
        body = f"{text or self.responses[status][0]}\n".encode()
        self._send(status, body, {"Content-Type": "text/plain; charset=utf-8"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, headers, len(body))
        if self.command != "HEAD" and body:
            with suppress(OSError):
                self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        self.send_response(status)
        for name, value in {**CORS, **NO_GUESSING, **headers}.items():
            self.send_header(name, value)
        if length is not None and status != 204:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def serve(root: Path, host: str, port: int) -> RootServer:
    """A server that listens; `serve_forever` answers. Raises CryodataError if the address can't be had."""
    try:
        return RootServer(root, host, port)
    except (OSError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise CryodataError(
            f"{host}:{port}: can't listen there ({reason}); give another --port, or 0 for any that is free"
        ) from None
