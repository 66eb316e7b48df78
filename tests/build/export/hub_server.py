"""A server that answers as the Hugging Face Hub does: text itself, after one redirect; all else from another host,
by an address that is signed and must be asked for as it is."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PREFIX = "/datasets/owner/maps/resolve/main/"
TEXT = {".json", ".md", ".cff"}


class Hub:
    """The hub and the host of its large files, with what each was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str, str]] = []
        "host, path, range"
        self.hub = self._server(self._answer_hub)
        self.cdn = self._server(self._answer_cdn)
        self.root = f"http://127.0.0.1:{self.hub.server_port}{PREFIX.rstrip('/')}"

    def _server(self, answer: object) -> ThreadingHTTPServer:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                answer(self)  # type: ignore[operator]

            def do_HEAD(self) -> None:
                answer(self)  # type: ignore[operator]

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        return server

    def _answer_hub(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked.append(("hub", path, request.headers.get("Range", "")))
        cached = path.startswith("/api/resolve-cache/")
        name = path.removeprefix("/api/resolve-cache/").removeprefix(PREFIX)
        file = self.folder / name
        if not file.is_file():
            send(request, 404, b"Entry not found")
        elif cached:
            send_file(request, file)
        elif file.suffix in TEXT:
            send(request, 307, b"Temporary Redirect", Location=f"/api/resolve-cache/{name}")
        else:
            signed = f"http://127.0.0.1:{self.cdn.server_port}/{name}?sig={signature(name)}"
            send(request, 302, b"Found. Redirecting", Location=signed)

    def _answer_cdn(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        name = unquote(parts.path).lstrip("/")
        self.asked.append(("cdn", name, request.headers.get("Range", "")))
        if parts.query != f"sig={signature(name)}":
            send(request, 403, b"<Error>AccessDenied</Error>")
        else:
            send_file(request, self.folder / name)


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """Both servers, running."""
    both = Hub(folder)
    servers = (both.hub, both.cdn)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield both
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def signature(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def send_file(request: BaseHTTPRequestHandler, file: Path) -> None:
    raw = file.read_bytes()
    asked = request.headers.get("Range", "").removeprefix("bytes=")
    if not asked:
        send(request, 200, raw)
        return
    first, _, last = asked.partition("-")
    start = int(first) if first else max(len(raw) - int(last), 0)
    end = min(int(last) + 1, len(raw)) if first and last else len(raw)
    send(request, 206, raw[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(raw)}")


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body)
