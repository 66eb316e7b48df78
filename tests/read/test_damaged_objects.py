"""Objects of a dataset that are damaged, missing or changed under an open one."""

from __future__ import annotations

import hashlib
import pickle
import re
import shutil
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import DatasetError, UsageError
from cryodata.read.decode import volumes_of
from tests.read.examples import Open, Place
from tests.tampering import manifest_of, write_manifest


@pytest.fixture
def copied(simulated: Report, tmp_path: Path) -> Path:
    """Folder of a copy of the simulated dataset that may be damaged."""
    for part in ("volumes", "tables", "versions"):
        shutil.copytree(simulated.folder / part, tmp_path / "simulated" / part)
    volumes_of.cache_clear()
    return tmp_path / "simulated"


def first_shard(folder: Path) -> Path:
    return next(folder.glob("volumes/*/SIM-00001-*.zarr/density/c/0/0/0"))


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("config", ["subgrids", "volumes"])
@pytest.mark.parametrize("streaming", [False, True], ids=["random access", "streaming"])
def test_a_damaged_shard_is_an_error_that_names_entry_file_and_sums(copied: Path, streaming: bool, config: str) -> None:
    opened = load_dataset(str(copied), config, split="train", streaming=streaming)
    shard = first_shard(copied)
    flip(shard, 100)

    name, size = shard.relative_to(copied), f"{shard.stat().st_size:,}"
    message = re.escape(f"entry SIM-00001: {name}: damaged shard of {size} bytes: crc32c of chunk (0, 0, 0) is ")
    with pytest.raises(DatasetError, match=f"^{message}[0-9a-f]{{8}}; expected [0-9a-f]{{8}}$"):
        next(iter(opened))


def test_a_damaged_shard_stops_a_shuffled_stream(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train", streaming=True).shuffle(1, buffer_size=8)
    flip(first_shard(copied), 100)

    with pytest.raises(DatasetError, match=r"^entry SIM-00001: "):  # raised in a thread that fetches ahead
        list(opened)


def test_a_damaged_shard_spoils_no_other_volume(copied: Path, places: list[Place]) -> None:
    opened = load_dataset(str(copied), split="train")
    flip(first_shard(copied), 100)
    last = next(number for number, one in enumerate(places) if one[0] != places[0][0])

    with pytest.raises(DatasetError):
        opened[0]

    assert opened[last]["density"].shape == (32, 32, 32)


def test_a_missing_shard_is_an_error_that_names_the_file(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    shard = first_shard(copied)
    size = shard.stat().st_size
    shard.unlink()

    with pytest.raises(DatasetError) as caught:
        opened[0]

    assert (
        f"entry SIM-00001: {shard.relative_to(copied)}: No such file or directory; expected {size:,} bytes in {copied}"
        == str(caught.value)
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw[:1000], id="shorter"),
        pytest.param(lambda raw: raw + b"1234", id="longer"),
    ],
)
def test_a_shard_of_another_size_is_an_error_that_names_the_file(copied: Path, change: Open) -> None:
    opened = load_dataset(str(copied), split="train")
    shard = first_shard(copied)
    raw = shard.read_bytes()
    shard.write_bytes(change(raw))

    with pytest.raises(DatasetError) as caught:
        opened[0]

    found, expected = len(change(raw)), len(raw)
    assert f"entry SIM-00001: {shard.relative_to(copied)}: {found:,} bytes; expected a file of {expected:,}" == str(
        caught.value
    )


def test_damage_reaches_the_user_from_a_worker(copied: Path) -> None:
    batches = iter(DataLoader(load_dataset(str(copied), split="train"), num_workers=1))
    flip(first_shard(copied), 100)

    with pytest.raises(
        DatasetError, match=r"(?s)^Caught DatasetError in DataLoader worker process 0\..*entry SIM-00001"
    ):
        next(batches)

    batches._shutdown_workers()  # left to the garbage, it takes 5 s


def test_changed_metadata_of_a_volume_are_noticed(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    metadata = first_shard(copied).parents[4] / "zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"angstrom", b"angstram"))

    with pytest.raises(DatasetError) as caught:
        opened[0]

    name = metadata.relative_to(copied)
    assert f"entry SIM-00001: {name}: other bytes than the table of objects says" == str(caught.value)


def test_a_manifest_swapped_under_an_open_dataset_is_noticed(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    sent = pickle.dumps(opened)
    manifest = copied / "versions/0.1.0.json"
    before = manifest.read_bytes()
    write_manifest(copied, {**manifest_of(copied), "license": "CC0-1.1"})
    after = manifest.read_bytes()
    volumes_of.cache_clear()  # as in another process

    with pytest.raises(DatasetError) as caught:
        pickle.loads(sent)[0]

    found, expected = (hashlib.sha256(raw).hexdigest() for raw in (after, before))
    assert found != expected
    assert f"simulated@0.1.0 in {copied.parent} has the manifest {found}; expected {expected}" == str(caught.value)


def test_a_table_of_another_content_is_noticed_when_it_is_opened(copied: Path) -> None:
    entries = next(copied.glob("tables/*/entries.parquet"))
    said = hashlib.sha256(entries.read_bytes()).hexdigest()
    flip(entries, 1000)

    with pytest.raises(DatasetError) as caught:
        load_dataset(str(copied), split="train")

    assert f"tables/{entries.parent.name}/entries.parquet: missing or changed; expected sha256 {said}" == str(
        caught.value
    )


def test_a_dataset_that_was_moved_away_is_an_error_that_names_it(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    copied.rename(copied.with_name("elsewhere"))
    volumes_of.cache_clear()

    with pytest.raises(UsageError) as caught:
        opened[0]

    expected = f"no dataset 'simulated' in {copied.parent}; found: elsewhere; to make one: cryodata build --help"
    assert expected == str(caught.value)
