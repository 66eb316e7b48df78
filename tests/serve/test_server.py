"""The server gives what is published, whole or in part, to any page; nothing else, and it takes nothing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import CryodataError
from cryodata.serve.server import RootServer, serve
from tests.serve.conftest import Client


def entries(simulated: Report) -> tuple[str, bytes]:
    """Path and bytes of a file that is served."""
    path = simulated.folder / simulated.manifest.tables / "entries.parquet"
    return f"/simulated/{simulated.manifest.tables}/entries.parquet", path.read_bytes()


def test_a_file_comes_whole_and_in_parts_over_one_connection(client: Client, simulated: Report) -> None:
    path, raw = entries(simulated)

    whole, body = client.ask(path)
    head, nothing = client.ask(path, "HEAD")
    middle, part = client.ask(path, Range="bytes=10-19")
    end, tail = client.ask(path, Range="bytes=-8")
    beyond, _ = client.ask(path, Range=f"bytes={len(raw)}-")

    assert (whole.status, body, whole.version) == (200, raw, 11)
    assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(raw)))
    assert (middle.status, part) == (206, raw[10:20])
    assert middle.headers["Content-Range"] == f"bytes 10-19/{len(raw)}"
    assert (end.status, tail) == (206, raw[-8:])
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(raw)}")


def test_what_a_client_has_is_not_sent_again_and_a_part_of_another_file_never(
    client: Client, simulated: Report
) -> None:
    path, raw = entries(simulated)
    tag = client.ask(path, "HEAD")[0].headers["ETag"]

    assert client.ask(path, If_None_Match=tag)[0].status == 304
    assert client.ask(path, Range="bytes=0-3", If_Range=tag)[1] == raw[:4]
    assert client.ask(path, Range="bytes=0-3", If_Range='"other"')[1] == raw


@pytest.mark.parametrize("name", ["page.html", "page.svg", "page"])
def test_a_page_that_a_dataset_brings_along_is_shown_by_no_browser(client: Client, root: Path, name: str) -> None:
    (root / "simulated/volumes" / name).write_text("<html><script>alert(1)</script></html>", encoding="utf-8")

    found, _ = client.ask(f"/simulated/volumes/{name}")
    own, _ = client.ask("/simulated/")

    assert (found.status, found.headers["Content-Type"]) == (200, "application/octet-stream")
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert own.headers["Content-Type"] == "text/html; charset=utf-8"


def test_pages_of_any_origin_may_read(client: Client, simulated: Report) -> None:
    path, _ = entries(simulated)
    asked = {"Origin": "https://viewer.example", "Access_Control_Request_Method": "GET"}

    preflight, _ = client.ask(path, "OPTIONS", **asked, Access_Control_Request_Headers="range")
    answers = [client.ask(path, **asked)[0], client.ask("/nothing", **asked)[0]]

    assert preflight.status == 204
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    assert preflight.headers["Access-Control-Allow-Private-Network"] == "true"
    assert [answer.headers["Access-Control-Allow-Origin"] for answer in (preflight, *answers)] == ["*"] * 3
    assert "Content-Range" in answers[0].headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "path",
    [
        "/simulated/tables/out/secret.txt",
        "/simulated/tables/../../../secret.txt",
        "/simulated/tables/%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "/simulated/tables/..%2f..%2f..%2fsecret.txt",
        "/simulated/tables//etc/passwd",
        "//etc/passwd",
        "/../secret.txt",
        "/.objects/secret.txt",
        "/simulated/receipts/any",
        "/simulated/provenance/0.1.0.json",
        "/simulated/tables/pipe",
        "/simulated/tables",
        "/simulated/volumes/",
        "/simulated/tables/%00",
        "/simulated/tables/" + "a" * 5000,
        "/simulated/versions/9.9.9.json",
        "/_float32/simulated/tables/out/secret.txt",
        "/_float32/simulated/volumes/../../../secret.txt/zarr.json",
        "/_float32/simulated/volumes/aa/none.zarr/zarr.json",
        "/_float32",
        "/other/",
    ],
    ids=lambda path: path[:40],
)
def test_nothing_that_is_not_published_is_sent(client: Client, path: str) -> None:
    response, body = client.ask(path)

    assert response.status == 404
    assert b"secret" not in body


def test_a_link_that_stays_inside_the_dataset_is_followed(client: Client, simulated: Report) -> None:
    assert client.ask("/simulated/tables/inner/entries.parquet")[1] == entries(simulated)[1]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: Client, root: Path, method: str) -> None:
    assert client.ask("/simulated/latest.json", method)[0].status == 501
    assert (root / "simulated/latest.json").exists()


def test_a_body_that_nobody_asked_for_is_not_taken_for_the_next_request(server: RootServer) -> None:
    with socket.create_connection(("127.0.0.1", int(server.server_address[1])), timeout=30) as connection:
        inner = b"GET /simulated/latest.json HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(inner), inner))
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece

    assert answer.count(b"HTTP/1.1") == 1
    assert b" 404 " in answer.splitlines()[0]


def test_the_pages_lead_to_every_map(client: Client, simulated: Report) -> None:
    home, dataset = client.ask("/")[1].decode(), client.ask("/simulated/")[1].decode()

    assert '<a href="/simulated/">' in home
    assert dataset.count("neuroglancer-demo.appspot.com") == simulated.manifest.counts["entries"]
    assert "SIM-00001" in dataset


def test_links_lead_to_the_address_that_the_browser_knows(client: Client, server: RootServer) -> None:
    tunnel = client.ask("/simulated/", Host="node7:9000")[1].decode()
    lie = client.ask("/simulated/", Host='"><script>')[1].decode()

    assert "http%3A//node7%3A9000/_float32/" in tunnel
    assert "<script>" not in lie
    assert f"source={server.url}/simulated" in lie


def test_it_listens_at_an_address_of_version_6(root: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no ::1")
    with serve(root, "::1", 0) as server:
        assert server.url.startswith("http://[::1]:")


def test_a_host_that_does_not_exist_is_said_to(root: Path) -> None:
    with pytest.raises(
        CryodataError, match=r"no\.such\.host\.invalid:0: can't listen there \(.+\); give another --port"
    ):
        serve(root, "no.such.host.invalid", 0)


def test_load_dataset_reads_from_it(
    server: RootServer, simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    options = {"split": "validation", "streaming": True, "columns": ["density", "amino"]}

    here = list(load_dataset("simulated", root=simulated.folder.parent, **options))
    there = list(load_dataset("simulated", root=server.url, **options))

    assert len(here) == len(there) > 0
    assert all((one[name] == other[name]).all() for one, other in zip(here, there, strict=True) for name in one)


def test_many_connections_get_the_right_bytes(server: RootServer, simulated: Report) -> None:
    path, raw = entries(simulated)
    wrong: list[int] = []

    def read(number: int) -> None:
        client = Client(server)
        starts = range(number, len(raw) - 100, 997)
        wrong.extend(i for i in starts if client.ask(path, Range=f"bytes={i}-{i + 99}")[1] != raw[i : i + 100])
        client.connection.close()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_an_address_that_is_taken_is_said_to_be(server: RootServer, root: Path) -> None:
    port = int(server.server_address[1])

    with pytest.raises(
        CryodataError, match=rf"127\.0\.0\.1:{port}: can't listen there \(Address already in use\); give another --port"
    ):
        serve(root, "127.0.0.1", port)


def test_the_command_says_where_it_listens_and_ends_cleanly_on_ctrl_c(root: Path) -> None:
    command = [sys.executable, "-m", "cryodata", "serve", str(root), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        examples = subprocess.run(
            [sys.executable, "-c", f"import urllib.request as u; u.urlopen('{told['url']}/simulated/latest.json')"],
            check=False,
        )
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    assert told["datasets"] == {"simulated": ["0.1.0"]}
    assert examples.returncode == 0
    assert (process.returncode, rest, errors) == (0, "", "stopped\n")
