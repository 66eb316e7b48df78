"""What is damaged is found, and made again by the command that made it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files


def damaged(simulated: Report, tmp_path: Path) -> Path:
    shutil.copytree(simulated.folder, tmp_path / "simulated")
    return tmp_path / "simulated"


@pytest.mark.parametrize(
    ("pattern", "deep", "fault"),
    [
        ("volumes/*/*/density/c/0/0/0", False, "damaged shard"),
        ("volumes/*/*/labels/atom/0/c/0/0/0", False, "damaged shard"),
        ("volumes/*/*/labels/amino/zarr.json", True, "sha256"),
        ("volumes/*/*/zarr.json", False, "other bytes than the table of objects says"),
        ("tables/*/atoms-*.parquet", False, "sha256"),
        ("tables/*/entries.parquet", False, "sha256"),
        ("tables/*/README.md", False, "sha256"),
    ],
)
def test_verify_finds_one_flipped_bit_anywhere(
    simulated: Report, tmp_path: Path, pattern: str, deep: bool, fault: str
) -> None:
    folder = damaged(simulated, tmp_path)
    path = next(folder.glob(pattern))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    faults = verify_version(open_version(tmp_path, "simulated"), deep).faults

    assert any(fault in item for item in faults), faults


@pytest.mark.parametrize("pattern", ["volumes/*/*/density/c/0/0/0", "tables/*/subgrids-train-*.parquet"])
def test_verify_names_a_missing_file(simulated: Report, tmp_path: Path, pattern: str) -> None:
    folder = damaged(simulated, tmp_path)
    path = next(folder.glob(pattern))
    path.unlink()

    faults = verify_version(open_version(tmp_path, "simulated"), deep=False).faults

    assert any("missing" in item and path.name in item for item in faults), faults


def test_a_volume_that_lost_a_file_is_made_again_by_the_same_command(simulated: Report, tmp_path: Path) -> None:
    folder = damaged(simulated, tmp_path)
    before = folder_files(folder / "volumes")
    next(folder.glob("volumes/*/*/density/c/0/0/0")).unlink()
    settings = ("maps=4", "residues=60", "resolution=3.5")

    report = build(Request("simulated", tmp_path, version="0.1.0", settings=settings))

    assert (report.reused, report.created) == (3, False)
    assert folder_files(folder / "volumes") == before


@pytest.mark.parametrize("pattern", ["volumes/*/*/density/c/0/0/0", "volumes/*/*/zarr.json"])
def test_a_volume_that_was_changed_is_made_again_by_the_same_command(
    simulated: Report, tmp_path: Path, pattern: str
) -> None:
    folder = damaged(simulated, tmp_path)
    before = folder_files(folder / "volumes")
    path = next(folder.glob(pattern))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    report = build(
        Request("simulated", tmp_path, version="0.1.0", settings=("maps=4", "residues=60", "resolution=3.5"))
    )

    assert (report.reused, report.created) == (3, False)
    assert folder_files(folder / "volumes") == before
