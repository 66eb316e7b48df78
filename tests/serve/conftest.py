"""A simulated dataset behind `cryodata serve`, in a root of its own with things that nobody should see."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from cryodata.build.dataset import Report
from cryodata.serve.server import RootServer, serve


@pytest.fixture(scope="module")
def root(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the dataset beside a secret, with links and a pipe in it."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "secret.txt").write_text("secret")
    root = folder / "root"
    shutil.copytree(simulated.folder, root / "simulated", ignore=shutil.ignore_patterns("source"))
    (root / ".objects").mkdir()
    (root / ".objects/secret.txt").write_text("secret")
    tables = root / "simulated/tables"
    (tables / "out").symlink_to(folder)
    (tables / "inner").symlink_to(root / "simulated" / simulated.manifest.tables)
    os.mkfifo(tables / "pipe")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RootServer]:
    """The server, on a free port."""
    with serve(root, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Client:
    """One kept connection."""

    def __init__(self, server: RootServer) -> None:
        self.connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, headers=names)
        response = self.connection.getresponse()
        return response, response.read()


@pytest.fixture
def client(server: RootServer) -> Iterator[Client]:
    """A client of the server."""
    client = Client(server)
    yield client
    client.connection.close()
