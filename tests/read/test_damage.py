"""What is damaged is noticed, whatever it is; what was made to deceive is refused, whatever it says."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.errors import CryodataError, DatasetError
from cryodata.formats.versions import open_version
from cryodata.read.decode import volumes_of
from tests.read.fuzz import MAY_BE_HARMLESS

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two maps of two short chains."""
    settings = ("maps=2", "residues=24", "resolution=3.5")
    return build(Request("simulated", tmp_path_factory.mktemp("small"), version="0.1.0", settings=settings))


@pytest.fixture
def copied(small: Report, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root" / "simulated"
    shutil.copytree(small.folder, folder, ignore=shutil.ignore_patterns("source", "receipts"))
    yield folder
    volumes_of.cache_clear()


# the kinds of objects that a version has, and what a reader that touches each asks for
OBJECTS = [
    pytest.param("versions/0.1.0.json", "entries", "simulated/versions/0.1.0.json", id="manifest"),
    pytest.param("tables/*/entries.parquet", "entries", "entries.parquet", id="entries"),
    pytest.param("tables/*/objects.parquet", "volumes", "objects.parquet", id="objects"),
    pytest.param("tables/*/atoms-*.parquet", "atoms", "atoms-00000-of-00001.parquet", id="atoms"),
    pytest.param("tables/*/subgrids-train-*.parquet", "filter", "subgrids-train-00000-of-00001.parquet", id="subgrids"),
    pytest.param("tables/*/rejected.parquet", "", "rejected.parquet", id="rejected"),
    pytest.param("tables/*/README.md", "", "README.md", id="card"),
    pytest.param("volumes/*/SIM-00001-*/zarr.json", "volumes", "entry SIM-00001: volumes/", id="metadata"),
    pytest.param("volumes/*/SIM-00001-*/density/c/0/0/0", "volumes", "entry SIM-00001: volumes/", id="density"),
    pytest.param("volumes/*/SIM-00001-*/density/zarr.json", "", "SIM-00001-", id="array metadata"),
    pytest.param("volumes/*/SIM-00001-*/labels/atom/0/c/0/0/0", "", "SIM-00001-", id="label"),
]


def read(root: Path, config: str) -> list[Any]:
    volumes_of.cache_clear()
    condition = {"filter": [("occupied", ">", 0.02)]} if config == "filter" else {}
    name = "subgrids" if config == "filter" else config
    return [
        str(example)
        for example in load_dataset("simulated", name, split="train", streaming=True, root=root, **condition)
    ]


@pytest.mark.parametrize(("pattern", "config", "named"), OBJECTS)
def test_a_bit_that_turned_is_found_and_named(
    copied: Path, pattern: str, config: str, named: str, series: Callable[[str, int], list[int]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (path,) = copied.glob(pattern)
    raw = path.read_bytes()
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    whole = read(copied.parent, config) if config else []
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # which sub-grids a filter keeps is remembered there
    assert not verify_version(open_version(copied.parent, "simulated"), deep=True).faults
    for case in series(f"turned {pattern}", 30):
        rng = random.Random(f"{pattern} {case}")
        turned = bytearray(raw)
        turned[rng.randrange(len(raw) - 1)] ^= 1 << rng.randrange(8)
        path.write_bytes(turned)

        try:
            faults = verify_version(open_version(copied.parent, "simulated"), deep=True).faults
        except DatasetError as error:
            faults = (str(error),)
        assert any(named.removeprefix("entry ").partition(":")[0] in fault for fault in faults), case
        if config:
            try:
                same = read(copied.parent, config) == whole  # a bit that nobody reads: padding, statistics
            except CryodataError as error:
                same = named in str(error)
            assert same, case


def test_what_is_made_to_deceive_is_refused(small: Report, series: Callable[[str, int], list[int]]) -> None:
    """Paths that lead out, huge and wrong counts, unknown codecs, what is there twice: `fuzz.MUTATIONS`."""
    numbers = [-1, *series("fuzz", 1100)]
    command = [sys.executable, "-m", "tests.read.fuzz", str(small.folder), *map(str, numbers)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert [case["number"] for case in found] == numbers, done.stderr[-3000:]  # the process outlived all of them
    assert (found[0]["verified"], found[0]["read"]) == ("read", "read")
    foreign = [case for case in found if {case["verified"], case["read"]} - {"read", "refused"}]
    assert foreign == []
    believed = [case for case in found[1:] if case["verified"] == "read" and case["mutation"] not in MAY_BE_HARMLESS]
    assert believed == []
