"""What `cryodata serve` serves opens in the tools of others, by address."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import urlopen

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import tensorstore
import zarr
from fsspec.implementations.http import HTTPFileSystem
from obstore.store import HTTPStore
from ome_zarr_models.v05.image import Image
from zarr.storage import ObjectStore, ZipStore

from cryodata.build.dataset import Report
from cryodata.build.export import export_version
from cryodata.formats.versions import open_version
from cryodata.serve.links import HOSTED, VIEW, neuroglancer_link
from cryodata.serve.server import RootServer, serve
from tests.serve.conftest import Client

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def row(simulated: Report) -> dict[str, Any]:
    """An entry."""
    found: dict[str, Any] = pq.read_table(simulated.folder / simulated.manifest.tables / "entries.parquet").to_pylist()[
        0
    ]
    return found


@pytest.fixture(scope="module")
def volume(row: dict[str, Any]) -> str:
    """Its volume, below the root."""
    return f"simulated/{row['volume']}"


@pytest.fixture(scope="module")
def density(simulated: Report, row: dict[str, Any]) -> npt.NDArray[np.uint16]:
    """What is stored in it."""
    stored: npt.NDArray[np.uint16] = zarr.open_group(simulated.folder / row["volume"], mode="r")["density"][...]
    assert stored.dtype == np.uint16
    assert max(stored.shape) > 64  # several chunks
    return stored


def over_http(address: str) -> Any:
    store = HTTPStore.from_url(address, client_options={"allow_http": True})
    return zarr.open_group(ObjectStore(store, read_only=True), mode="r")


def test_zarr_python_and_tensorstore_read_a_volume(
    server: RootServer, volume: str, density: npt.NDArray[np.uint16]
) -> None:
    store = {"driver": "zarr3", "kvstore": f"{server.url}/{volume}/density/"}

    assert np.array_equal(over_http(f"{server.url}/{volume}")["density"][...], density)
    assert np.array_equal(tensorstore.open(store).result().read().result(), density)


@pytest.mark.parametrize("place", ["", f"{VIEW}/"], ids=["stored", "float32"])
def test_a_volume_is_ome_zarr_0_5(server: RootServer, volume: str, place: str) -> None:
    group = over_http(f"{server.url}/{place}{volume}")

    assert Image.from_zarr(group).ome_attributes.version == "0.5"


def test_the_view_for_browsers_has_the_same_values_as_float32(
    server: RootServer, volume: str, density: npt.NDArray[np.uint16]
) -> None:
    group = over_http(f"{server.url}/{VIEW}/{volume}")
    view = tensorstore.open({"driver": "zarr3", "kvstore": f"{server.url}/{VIEW}/{volume}/density/"}).result()

    assert group["density"].dtype == np.float32
    assert np.array_equal(group["density"][...], density / np.float32(1024))
    assert np.array_equal(view.read().result(), density / np.float32(1024))
    assert not group["density"].attrs.asdict()
    stored = over_http(f"{server.url}/{volume}")["labels/atom/0"]
    assert np.array_equal(group["labels/atom/0"][...], stored[...])


def test_a_damaged_chunk_is_an_error_and_not_a_picture(root: Path, server: RootServer, client: Client) -> None:
    source = min(root.glob("simulated/volumes/*/*.zarr"))
    broken = source.with_name("broken.zarr")
    shutil.copytree(source, broken)
    shard = broken / "density/c/0/0/0"
    raw = bytearray(shard.read_bytes())
    raw[100] ^= 1
    shard.write_bytes(raw)

    response, body = client.ask(f"/{VIEW}/{broken.relative_to(root)}/density/c/0/0/0")

    shutil.rmtree(broken)
    assert response.status == 500
    assert b"crc32c" in body


def test_a_chunk_beyond_the_array_is_not_there(client: Client, volume: str) -> None:
    assert client.ask(f"/{VIEW}/{volume}/density/c/0/0/99")[0].status == 404
    assert client.ask(f"/{VIEW}/{volume}/other/c/0/0/0")[0].status == 404


def test_an_exported_volume_opens_as_the_archive_that_it_is(
    simulated: Report, row: dict[str, Any], density: npt.NDArray[np.uint16], tmp_path: Path
) -> None:
    export_version(open_version(simulated.folder.parent, "simulated"), tmp_path, "hub", lambda done, total: None)
    pack = f"simulated/{row['volume'].removesuffix('.zarr')}.ozx"
    with serve(tmp_path, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        found = tensorstore.open(f"{server.url}/{pack}|zip:density/|zarr3:").result().read().result()
        server.shutdown()
        thread.join()
    with ZipStore(tmp_path / pack, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        assert np.array_equal(group["density"][...], density)
        assert Image.from_zarr(group).ome_attributes.version == "0.5"

    assert np.array_equal(found, density)


class Dated(HTTPFileSystem):  # type: ignore[misc]
    """DuckDB asks when a file was changed; fsspec has no answer for http."""

    def modified(self, path: str) -> Any:
        with urlopen(path) as answer:
            return parsedate_to_datetime(answer.headers["Last-Modified"])


def test_tables_open_by_address_in_pandas_polars_and_duckdb(server: RootServer, simulated: Report) -> None:
    address = f"{server.url}/simulated/{simulated.manifest.tables}"
    counts = simulated.manifest.counts
    with duckdb.connect() as connection:
        connection.register_filesystem(Dated())
        rows = connection.sql(f"select count(*) from read_parquet('{address}/entries.parquet')").fetchall()

    assert len(pd.read_parquet(f"{address}/entries.parquet")) == counts["entries"]
    scanned = pl.scan_parquet(f"{address}/subgrids-train-00000-of-00001.parquet").select("n_ca_core").collect()
    assert len(scanned) == counts["subgrids"]["train"]
    assert rows == [(counts["entries"],)]


def test_napari_ome_zarr_shows_density_and_labels(server: RootServer, volume: str, simulated: Report) -> None:
    reader = pytest.importorskip("napari_ome_zarr._reader", reason="napari-ome-zarr is not installed")
    path = str(simulated.folder / volume.partition("/")[2])

    layers = [(kind, options.get("name")) for _, options, kind in reader.napari_get_reader(path)(path)]

    assert [kind for kind, _ in layers] == ["image", "labels", "labels", "labels"]


def test_the_link_into_neuroglancer_shows_the_map_and_its_labels_where_they_are(
    server: RootServer, simulated: Report, row: dict[str, Any], volume: str
) -> None:
    link = neuroglancer_link(server.url, "simulated", row, simulated.manifest.schema, labels=True)

    state = json.loads(unquote(link.removeprefix(f"{HOSTED}#!")))
    assert [layer["name"] for layer in state["layers"]] == ["density", "atom", "amino", "secondary"]
    assert state["layers"][0]["source"] == f"{server.url}/{VIEW}/{volume}/|zarr3:"
    assert state["layers"][1]["segmentColors"] == {"1": "#1f77b4", "2": "#2ca02c", "3": "#d62728"}
    # the middle of the map, in A
    middle = [o + (n - 1) / 2 for o, n in zip(row["origin_xyz"], row["shape_zyx"][::-1], strict=True)]
    assert state["position"] == middle


@pytest.fixture
def browser(tmp_path: Path) -> list[str]:
    """Command of a browser without a screen, that draws by software."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium is installed")
    flags = "--headless=new --no-sandbox --disable-dev-shm-usage --use-angle=swiftshader --enable-unsafe-swiftshader"
    return [program, *flags.split(), "--ignore-gpu-blocklist", f"--user-data-dir={tmp_path / 'browser'}"]


@pytest.mark.full
def test_neuroglancer_in_a_browser_draws_the_map(
    server: RootServer, simulated: Report, row: dict[str, Any], browser: list[str], pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--full"):
        pytest.skip("a minute; under --full")
    neuroglancer = pytest.importorskip("neuroglancer")
    link = neuroglancer_link(server.url, "simulated", row, simulated.manifest.schema, labels=True)
    state = json.loads(unquote(link.partition("#!")[2]))
    neuroglancer.set_server_bind_address("127.0.0.1")
    viewer = neuroglancer.Viewer()
    state["layout"] = "xy"
    viewer.set_state(state)
    command = [*browser, viewer.get_viewer_url()]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            pixels = viewer.screenshot(size=[400, 400]).screenshot.image_pixels
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it is a tree of processes

    grey = pixels[..., :3].astype(int)
    plain = np.all(grey == grey[..., :1], axis=-1)
    # density in many shades, atoms in the colours of the schema
    assert len(np.unique(grey[plain])) > 50
    colours = {tuple(pixel) for pixel in grey.reshape(-1, 3).tolist()}
    assert colours & {(31, 119, 180), (44, 160, 44), (214, 39, 40)}
