"""Tables of a version afar that are spread over many files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.errors import DatasetError
from cryodata.read.decode import volumes_of
from tests.servers import FileServer

MAPS = 5


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """A server of a dataset that has a file of atoms for each map, and an empty cache."""
    monkeypatch.setattr("cryodata.build.spread.ATOMS_PER_FILE", 1)
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    volumes_of.cache_clear()
    settings = (f"maps={MAPS}", "residues=10", "voxel_size=2", "label_volumes=no")
    build(Request("simulated", tmp_path / "served", settings=settings))
    return FileServer(tmp_path / "served")


def test_files_of_one_table_are_fetched_at_the_same_time_and_once(served: FileServer) -> None:
    most = served.slow("/atoms-")

    with served:
        atoms = load_dataset("simulated", "atoms", split="train", root=served.url)

    assert most[0] == MAPS
    assert Counter(path.rpartition("/")[2].partition("-")[0] for path in served.requests)["atoms"] == MAPS
    assert len(atoms) > 0


def test_one_of_them_that_is_damaged_is_named(served: FileServer) -> None:
    (damaged,) = served.folder.glob("simulated/tables/*/atoms-00002-*")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")

    with served, pytest.raises(DatasetError, match=damaged.name):
        load_dataset("simulated", "atoms", split="train", root=served.url)
