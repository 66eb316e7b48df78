"""What is fetched from afar: each object once, several at a time, into a cache that is shared and has a limit."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import CryodataError
from cryodata.formats import places
from cryodata.formats.versions import open_version
from cryodata.read import cores
from cryodata.torch import SubgridStream
from tests.read.examples import same
from tests.read.remote.served import LATEST, batches, published
from tests.servers import FileServer


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


def test_an_epoch_does_not_end_with_fetching_for_the_next(served: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 2)
    stream = SubgridStream("simulated", split="train", batch_size=8, root=served.url, streams=1)
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        list(stream)

    assert stream.decodes == 2 * 3


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


def test_a_cache_that_can_not_be_used_is_said(
    served: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "served"))

    with pytest.raises(CryodataError, match="^CRYODATA_CACHE=.* holds other files, such as simulated; name a folder"):
        load_dataset("simulated", split="train", root=served.url)
