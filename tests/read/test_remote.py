"""Remote roots: the same examples as from the folder, each object fetched once, nothing believed without its hash."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import obstore
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from obstore.store import S3Store
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.cli import app
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats import places, store
from cryodata.formats.versions import open_version
from cryodata.read import cores
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream
from tests.servers import KEY, SECRET, FileServer, moto, rclone
from tests.tampering import manifest_of, write_manifest

PARTS = ("tables", "versions", "volumes", "latest.json")
"what of a dataset is published"

LATEST = ["simulated/latest.json", "simulated/versions/0.1.0.json"]
"what opening the latest version over http asks for"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache for each test, and short pauses."""
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PAUSE", 0.01)
    monkeypatch.setattr(store, "STALL", 0.5)
    volumes_of.cache_clear()
    yield tmp_path / "cache"
    volumes_of.cache_clear()


@pytest.fixture
def served(simulated: Report, tmp_path: Path) -> Iterator[FileServer]:
    """A copy of the published parts of the simulated dataset over http."""
    copy_published(simulated, tmp_path / "served/simulated")
    with FileServer(tmp_path / "served") as server:
        yield server


def copy_published(simulated: Report, target: Path) -> None:
    target.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (simulated.folder / part).is_dir() else shutil.copy
        copy(simulated.folder / part, target / part)


@pytest.fixture(scope="module")
def buckets(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of two S3 servers that hold the simulated dataset in the bucket `maps`, below `some/prefix`."""
    folder = tmp_path_factory.mktemp("buckets")
    copy_published(simulated, folder / "maps/some/prefix/simulated")
    with moto() as first, rclone(folder) as second:
        options: Any = {"endpoint": first, "access_key_id": KEY, "secret_access_key": SECRET}
        urlopen(Request(f"{first}/maps", method="PUT")).close()
        bucket = S3Store("maps", **options, region="us-east-1", client_options={"allow_http": True})
        for path in sorted((folder / "maps").rglob("*")):
            if path.is_file():
                obstore.put(bucket, path.relative_to(folder / "maps").as_posix(), path.read_bytes())
        yield {"moto": first, "rclone": second}


@pytest.fixture(params=["http", "moto", "rclone"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Roots of three kinds with the same dataset below them."""
    if request.param == "http":
        return str(request.getfixturevalue("served").url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("buckets")[request.param])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store.client_of.cache_clear()
    return "s3://maps/some/prefix"


def same(one: Any, other: Any) -> bool:
    """Are two examples or batches equal in every value?"""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def batches(**options: Any) -> list[dict[str, Any]]:
    stream = SubgridStream("simulated", split="train", batch_size=8, seed=3, **options)
    return list(DataLoader(stream, batch_size=None))


def published(simulated: Report) -> set[str]:
    """Every object that the version refers to."""
    rows = pq.read_table(simulated.folder / simulated.manifest.tables / "objects.parquet")["path"].to_pylist()
    return {f"simulated/{path}" for path in [*rows, f"{simulated.manifest.tables}/objects.parquet"]}


def test_tables_are_held_by_no_more_descriptors_than_a_process_can_spare(
    served: FileServer, simulated: Report, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "HELD", 2)
    opened = open_version(served.url, "simulated")

    def descriptors() -> int:
        return sum(path.resolve().is_relative_to(cache) for path in Path("/proc/self/fd").iterdir())

    for name in opened.manifest.files:
        assert opened.table(name).read_bytes() == (simulated.folder / simulated.manifest.tables / name).read_bytes()

    assert descriptors() == 2
    assert batches(root=served.url)


def test_examples_are_those_of_the_folder(root: str, simulated: Report) -> None:
    here, there = batches(root=simulated.folder.parent), batches(root=root)

    assert len(here) == len(there) > 1
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


@pytest.mark.parametrize("config", ["subgrids", "volumes", "entries", "atoms"])
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "table"])
def test_every_configuration_reads_from_afar(
    served: FileServer, simulated: Report, config: str, streaming: bool
) -> None:
    options: dict[str, Any] = {"split": "validation", "streaming": streaming}
    here = load_dataset("simulated", config, root=simulated.folder.parent, **options)
    there = load_dataset("simulated", config, root=served.url, **options)

    assert all(same(one, other) for one, other in zip(here, there, strict=True))


def test_a_filter_reads_its_tables_from_afar(served: FileServer, simulated: Report) -> None:
    options: dict[str, Any] = {"split": "train", "filter": [("n_ca_core", ">", 0)], "columns": ["start_zyx"]}

    found = load_dataset("simulated", root=served.url, **options)

    assert 0 < len(found) == len(load_dataset("simulated", root=simulated.folder.parent, **options))


def test_each_object_is_fetched_once_and_none_that_is_not_of_the_version(served: FileServer, simulated: Report) -> None:
    batches(root=served.url)
    first = list(served.requests)
    batches(root=served.url)

    assert first[:2] == LATEST
    assert set(Counter(first).values()) == {1}
    assert set(first[2:]) < published(simulated)
    assert sum("/labels/" in path for path in first) == 0
    assert served.requests[len(first) :] == LATEST  # a new look at what the latest version is, and nothing else


def test_the_maps_of_a_block_are_fetched_at_the_same_time(served: FileServer) -> None:
    """More at a time than threads decode: what is waited for is the slowest answer, not their sum."""
    most = served.slow("/density/c/")

    batches(root=served.url, streams=1, pool_volumes=3)

    assert most[0] == 3 > cores.DECODE_THREADS


def test_a_second_epoch_fetches_nothing(served: FileServer) -> None:
    stream = SubgridStream("simulated", split="train", batch_size=8, root=served.url)
    list(stream)
    before = len(served.requests)
    stream.set_epoch(1)

    assert len(list(stream)) == len(stream)
    assert len(served.requests) == before


def test_a_pinned_version_needs_its_manifest_alone(served: FileServer) -> None:
    load_dataset("simulated@0.1.0", "entries", split="train", root=served.url)

    assert served.requests[0] == "simulated/versions/0.1.0.json"
    assert "simulated/latest.json" not in served.requests


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_fetch_what_they_read_once(served: FileServer, simulated: Report, method: str) -> None:
    expected = batches(root=simulated.folder.parent)
    stream = SubgridStream("simulated", split="train", batch_size=8, seed=3, root=served.url)

    found = list(DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=method))

    assert all(same(one, other) for one, other in zip(expected, found, strict=True))
    assert served.requests[:2] == LATEST
    assert set(Counter(served.requests).values()) == {1}


READ = """
import sys
import threading
import time
from cryodata import load_dataset
print(sum(float(row["density"].sum()) for row in load_dataset("simulated", split="train", streaming=True,
                                                                root=sys.argv[1], revision="0.1.0")))
"""


def test_processes_that_start_at_once_share_a_cache(served: FileServer, cache: Path) -> None:
    command = [sys.executable, "-c", READ, served.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=120)[0] for process in processes}

    assert len(outputs) == 1
    assert float(outputs.pop()) > 0
    assert max(Counter(served.requests[:]).values()) <= 2
    fetched = [path for path in served.requests if path != "simulated/versions/0.1.0.json"]
    assert set(Counter(fetched).values()) == {1}
    assert not list(cache.glob("*/*.part"))


def test_the_limit_of_the_cache_is_kept(
    served: FileServer, simulated: Report, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = sum(file.bytes for file in simulated.manifest.files.values())
    shards = sorted(path.stat().st_size for path in simulated.folder.glob("volumes/*/*.zarr/density/c/0/0/0"))
    limit = tables + len(simulated.manifest.to_bytes()) + shards[-1] + shards[-2] + 40_000
    assert limit < tables + sum(shards)
    monkeypatch.setenv("CRYODATA_CACHE_BYTES", str(limit))
    expected = batches(root=simulated.folder.parent, streams=1)

    for _ in range(2):
        found = batches(root=served.url, streams=1)
        assert all(same(one, other) for one, other in zip(expected, found, strict=True))
        assert sum(path.stat().st_size for path in cache.glob("??/*")) <= limit


def test_transient_faults_of_any_object_pass(served: FileServer, simulated: Report) -> None:
    faults = ["500", "503", "429", "reset", "truncate", "stall", "redirect"]
    for number, path in enumerate([*LATEST, *sorted(published(simulated))]):
        served.fail(path, faults[number % len(faults)])

    found = batches(root=served.url)

    assert all(same(one, other) for one, other in zip(batches(root=simulated.folder.parent), found, strict=True))


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def lengthen(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


DAMAGES: dict[Callable[[Path], None], str] = {
    flip: r"{url}/{path}: {size} bytes with sha256 {found}; expected {size} with {sha256}",
    shorten: r"{url}/{path}: {less} bytes with sha256 {found}; expected {size} with {sha256}",
    lengthen: r"{path}: {more} bytes at {url}; expected {size} at most",
    Path.unlink: r"{path}: missing at {url}; expected {size} bytes with sha256 {sha256}",
}
KINDS = ("tables/*/entries.parquet", "tables/*/objects.parquet", "tables/*/atoms-*.parquet", "*/zarr.json", "c/0/0/0")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=["entries", "objects", "atoms", "metadata", "shard"])
def test_an_object_that_is_not_what_was_published_is_named(
    served: FileServer, simulated: Report, kind: str, damage: Callable[[Path], None]
) -> None:
    pattern = kind if kind.startswith("tables") else f"volumes/*/*.zarr{'/density' if kind[0] == 'c' else ''}/"
    pattern += "" if kind.startswith("tables") else kind.removeprefix("*/")
    file = sorted((served.folder / "simulated").glob(pattern))[0]
    size, sha256 = file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()
    damage(file)

    with pytest.raises(DatasetError) as caught:
        [list(part) for part in load_dataset("simulated", streaming=True, root=served.url).values()]

    message = DAMAGES[damage].format(
        url=re.escape(f"{served.url}/simulated"),
        path=re.escape(str(file.relative_to(served.folder / "simulated"))),
        found="[0-9a-f]{64}", sha256=sha256, size=f"{size:,}", less=f"{size - 5:,}", more=f"{size + 1:,}",
    )  # fmt: skip
    assert re.search(f"{message}$", str(caught.value)), str(caught.value)


def test_an_answer_that_is_shorter_than_the_object_is_no_object(served: FileServer) -> None:
    path = next(path for path in (served.folder / "simulated").glob("tables/*/entries.parquet"))
    served.fail(str(path.relative_to(served.folder)), "shorter")

    with pytest.raises(DatasetError, match=rf"entries\.parquet: {path.stat().st_size - 7:,} bytes with sha256 "):
        load_dataset("simulated", split="train", streaming=True, root=served.url)


def test_another_manifest_under_the_same_version_is_noticed(served: FileServer, cache: Path) -> None:
    dataset = load_dataset("simulated", split="train", root=served.url)
    write_manifest(served.folder / "simulated", {**manifest_of(served.folder / "simulated"), "license": "another"})
    shutil.rmtree(cache)
    volumes_of.cache_clear()

    with pytest.raises(DatasetError, match=r"^simulated@0\.1\.0 in http://.* has the manifest [0-9a-f]{64}; expected "):
        dataset[0]


def test_a_saved_dataset_reads_from_afar_in_another_process(served: FileServer, tmp_path: Path) -> None:
    dataset = load_dataset("simulated", split="validation", root=served.url)
    dataset.save_to_disk(tmp_path / "saved")
    code = (
        "import sys, cryodata.read.load, datasets\n"
        "print(float(datasets.load_from_disk(sys.argv[1])[3]['density'].sum()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "saved")], capture_output=True, text=True, check=True
    )

    assert float(done.stdout) == float(dataset[3]["density"].sum())


def test_a_dataset_is_named_by_its_address(served: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_dataset(f"{served.url}/simulated@0.1.0/", "entries", split="train")
    monkeypatch.setenv("CRYODATA_ROOT", f"{served.url}/")

    assert load_dataset("simulated", "entries", split="train").to_list() == whole.to_list()
    monkeypatch.setenv("CRYODATA_ROOT", f"file://{served.folder}")
    assert load_dataset("simulated", "entries", split="train").to_list() == whole.to_list()


def test_what_is_not_there_is_told_with_what_is(root: str) -> None:
    listed = "found: simulated; did you mean 'simulated'?" if root.startswith("s3") else "latest.json, or a version"

    with pytest.raises(UsageError, match=f"^no dataset 'simulatd' (in|at) {root}; .*{listed}"):
        load_dataset("simulatd", split="train", root=root)
    with pytest.raises(UsageError, match=rf"^dataset 'simulated' in {root} has no version '9\.0\.0'; found: 0\.1\.0$"):
        load_dataset("simulated@9.0.0", split="train", root=root)


def test_a_wrong_key_is_said_and_none_is_shown(buckets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"AWS_ENDPOINT_URL": buckets["rclone"], "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "wrong-secret"}
    for name, value in {**wrong, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    store.client_of.cache_clear()

    with pytest.raises(DatasetError) as caught:
        load_dataset("simulated@0.1.0", split="train", root="s3://maps/some/prefix")

    assert str(caught.value) == (
        "versions/0.1.0.json: can't be read from s3://maps/some/prefix/simulated: the server answered 403 Forbidden; "
        "are the credentials in the environment right?"
    )


def test_a_cache_that_can_not_be_used_is_said(
    served: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "served"))

    with pytest.raises(CryodataError, match="^CRYODATA_CACHE=.* holds other files, such as simulated; name a folder"):
        load_dataset("simulated", split="train", root=served.url)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


def test_list_info_and_verify_take_an_address(root: str, simulated: Report) -> None:
    info = run("info", "simulated", "--root", root)
    verified = run("verify", "simulated", "--deep", "--root", root)

    assert info["folder"] == f"{root}/simulated"
    assert info["counts"] == json.loads(simulated.manifest.to_bytes())["counts"]
    assert verified["ok"], verified["faults"]
    if root.startswith("s3"):
        assert run("list", "--root", root) == {"root": root, "datasets": {"simulated": ["0.1.0"]}}
    else:
        with pytest.raises(UsageError, match="what lies below an http address can't be listed; name a dataset"):
            run("list", "--root", root)


def test_verify_names_what_is_wrong_afar(served: FileServer) -> None:
    path = sorted((served.folder / "simulated").glob("volumes/*/*.zarr/labels/amino/0/c/0/0/0"))[0]
    name = str(path.relative_to(served.folder / "simulated"))
    flip(path)

    faults = run("verify", "simulated", "--deep", "--root", served.url)["faults"]

    assert any(name in fault and "expected" in fault for fault in faults)
    path.unlink()
    faults = run("verify", "simulated", "--root", served.url)["faults"]
    assert any(f"{name}: missing at {served.url}/simulated; expected" in fault for fault in faults)


def test_a_build_is_not_made_below_an_address() -> None:
    result = CliRunner().invoke(app, ["build", "simulated", "--root", "s3://bucket/x"])

    assert result.exit_code == 2
    assert "this is done in a folder of this machine; a URL is for reading" in " ".join(result.output.split())
