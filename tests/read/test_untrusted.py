"""A downloaded dataset is untrusted: it can't lead elsewhere, make a reader hang, or take memory as it likes."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.build.verify import verify_version
from cryodata.errors import DatasetError
from cryodata.formats.versions import open_version
from tests.tampering import replaced, rewrite, table_of

Tamper = Callable[[Path], None]


def shard(folder: Path) -> Path:
    return next(folder.glob("volumes/*/SIM-00001*/density/c/0/0/0"))


def link_outside(folder: Path) -> None:
    """A shard that is a link to the very same bytes elsewhere."""
    elsewhere = folder.parent.parent / "elsewhere"
    shutil.move(shard(folder), elsewhere)
    shard_path = next(folder.glob("volumes/*/SIM-00001*/density/c/0/0")) / "0"
    shard_path.symlink_to(elsewhere)


def device(folder: Path) -> None:
    path = shard(folder)
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(folder: Path) -> None:
    path = shard(folder)
    path.unlink()
    os.mkfifo(path)


def sparse(folder: Path) -> None:
    os.truncate(shard(folder), 1 << 40)


def metadata_device(folder: Path) -> None:
    path = next(folder.glob("volumes/*/SIM-00001*/zarr.json"))
    path.unlink()
    path.symlink_to("/dev/zero")


FILES = [link_outside, device, pipe, sparse, metadata_device]


TABLES = [
    pytest.param("entries.parquet", replaced("shape_zyx", [1, -1, 1]), id="negative shape"),
    pytest.param("entries.parquet", replaced("shape_zyx", [2**31 - 1] * 3), id="giant shape"),
    pytest.param("entries.parquet", replaced("shape_zyx", None), id="no shape"),
    pytest.param("entries.parquet", replaced("volume", "../../../etc"), id="volume that leads out"),
    pytest.param("entries.parquet", replaced("volume", None), id="no volume"),
    pytest.param("entries.parquet", replaced("entry_id", "../x"), id="id that is a path"),
    pytest.param("entries.parquet", replaced("voxel_size_xyz", [0.0, 1.0, 1.0]), id="voxels of no size"),
    pytest.param("entries.parquet", lambda table: table.drop_columns(["n_subgrids"]), id="column missing"),
    pytest.param("objects.parquet", replaced("bytes", -2), id="negative size"),
    pytest.param("objects.parquet", replaced("bytes", 2**62), id="giant size"),
    pytest.param("objects.parquet", replaced("path", None), id="object without path"),
    pytest.param("atoms-00000-of-00001.parquet", replaced("voxel_zyx", None), id="point without voxel"),
    pytest.param("atoms-00000-of-00001.parquet", replaced("voxel_zyx", [10**9] * 3), id="point far outside"),
    pytest.param("atoms-00000-of-00001.parquet", replaced("atom", None), id="point without atom"),
]


@pytest.fixture
def copied(simulated: Report, tmp_path: Path) -> Path:
    shutil.copytree(simulated.folder, tmp_path / "root" / "simulated", ignore=shutil.ignore_patterns("source"))
    return tmp_path / "root" / "simulated"


def probe(code: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run in a process with 3 GB of address space and 30 seconds."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    return subprocess.run(
        [sys.executable, "-c", code, str(root)],
        preexec_fn=limit,
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )


LOAD = """
import sys
from cryodata import load_dataset
from cryodata.errors import DatasetError
try:
    print(sum(1 for _ in load_dataset("simulated", split="validation", streaming=True, root=sys.argv[1])),
          sum(1 for _ in load_dataset("simulated", split="train", streaming=True, root=sys.argv[1])))
except DatasetError as error:
    print("refused", error)
"""


VERIFY = """
import sys
from cryodata.build.verify import verify_version
from cryodata.formats.versions import open_version
print(verify_version(open_version(sys.argv[1], "simulated"), deep=False).faults)
"""


@pytest.mark.parametrize("tamper", FILES, ids=lambda tamper: tamper.__name__)
def test_a_file_that_is_not_what_it_should_be_is_refused(copied: Path, tamper: Tamper) -> None:
    tamper(copied)

    loaded = probe(LOAD, copied.parent)
    verified = subprocess.run(
        [sys.executable, "-m", "cryodata", "verify", "simulated", "--root", str(copied.parent)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert loaded.stdout.startswith("refused "), loaded.stderr
    assert "SIM-00001" in loaded.stdout
    assert verified.returncode == 1
    assert "FAULT" in verified.stdout
    assert "Traceback" not in verified.stderr


@pytest.mark.parametrize(("name", "change"), TABLES)
def test_a_table_with_values_that_no_builder_writes_is_refused(
    copied: Path, name: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    rewrite(copied, name, change)

    faults = verify_version(open_version(copied.parent, "simulated"), deep=False).faults
    loaded = probe(LOAD, copied.parent)

    assert faults
    assert "Traceback" not in loaded.stderr
    assert loaded.stdout.startswith("refused ") or name == "objects.parquet"


def test_a_name_longer_than_any_is_refused_before_each_name_is_given_as_much_room(copied: Path) -> None:
    rewrite(copied, "atoms-00000-of-00001.parquet", replaced("atom", "x" * 1_000_000))

    assert probe(LOAD, copied.parent).stdout.startswith("refused a column of the atoms table holds a name of 1,000,000")


def test_sub_grids_that_were_swapped_between_volumes_are_found(copied: Path) -> None:
    name = "subgrids-train-00000-of-00001.parquet"
    rewrite(copied, name, replaced("n_ca_core", 99))

    faults = verify_version(open_version(copied.parent, "simulated"), deep=False).faults

    assert any("sub-grids: n_ca_core of its rows is not what its density and atoms give" in fault for fault in faults)


def test_metadata_of_gigabytes_are_not_read(copied: Path) -> None:
    """All sizes fit: the table of objects says as much."""
    path = next(copied.glob("volumes/*/SIM-00001*/zarr.json"))
    row = table_of(copied, "objects.parquet")["path"].to_pylist().index(path.relative_to(copied).as_posix())
    rewrite(copied, "objects.parquet", replaced("bytes", 1 << 36, row))
    os.truncate(path, 1 << 36)

    loaded = probe(LOAD, copied.parent)
    verified = probe(VERIFY, copied.parent)

    assert loaded.stdout.startswith("refused entry SIM-00001: "), loaded.stderr
    assert "SIM-00001" in verified.stdout, verified.stderr
    assert "no consolidated zarr 3 metadata (4,194,305 bytes)" in verified.stdout


def test_a_manifest_that_is_a_pipe_is_refused_at_once(copied: Path) -> None:
    path = copied / "versions/0.1.0.json"
    path.unlink()
    os.mkfifo(path)

    with pytest.raises(DatasetError, match="is no file$"):
        load_dataset("simulated", split="train", root=copied.parent)
