"""A version as a repository of the Hub: few files, the same examples over redirects, tables for all."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.build.export import export_version
from cryodata.build.export import hub as layout
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.errors import DatasetError, UsageError
from cryodata.formats import store
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream
from tests.build.export.hub_server import Hub, hub


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache for each test."""
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PAUSE", 0.01)
    volumes_of.cache_clear()
    yield
    volumes_of.cache_clear()


@pytest.fixture(scope="module")
def repository(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated dataset, exported."""
    folder = tmp_path_factory.mktemp("hub") / "repository"
    export(simulated.folder.parent, folder)
    return folder


@pytest.fixture
def served(repository: Path) -> Iterator[Hub]:
    """The repository behind the Hub."""
    with hub(repository) as running:
        yield running


def export(root: Path, to: Path) -> Any:
    return export_version(open_version(root, "simulated"), to, "hub", lambda done, total: None)


def test_a_volume_is_one_file_and_the_command_says_what_comes_next(simulated: Report, tmp_path: Path) -> None:
    arguments = ["export", "simulated@0.1.0", "--format", "hub", "--to", str(tmp_path / "made"), "--json"]

    result = CliRunner().invoke(app, [*arguments, "--root", str(simulated.folder.parent)])

    told = json.loads(result.stdout)
    names = Counter(path.suffix for path in (tmp_path / "made/simulated/volumes").rglob("*") if path.is_file())
    assert names == {".ozx": simulated.manifest.counts["entries"]}
    assert told["files"] == sum(path.is_file() for path in (tmp_path / "made").rglob("*"))
    assert told["advice"].startswith("hf upload-large-folder OWNER/REPOSITORY ")


def test_the_manifest_is_the_same_and_so_are_the_examples_over_redirects(simulated: Report, served: Hub) -> None:
    options: dict[str, Any] = {"split": "validation", "streaming": True}

    here = list(load_dataset("simulated", root=simulated.folder.parent, **options))
    there = list(load_dataset("simulated", root=served.root, **options))

    assert len(here) == len(there) > 0
    assert all(np.array_equal(one[name], other[name]) for one, other in zip(here, there, strict=True) for name in one)
    ours, theirs = (open_version(root, "simulated").sha256 for root in (simulated.folder.parent, served.root))
    assert ours == theirs


def test_of_a_volume_just_the_ranges_that_are_needed_are_asked_for(served: Hub) -> None:
    options: dict[str, Any] = {"streaming": True, "root": served.root, "columns": ["density"]}
    list(load_dataset("simulated", split="validation", **options))
    first = list(served.asked)
    list(load_dataset("simulated", split="train", **options))

    ranges = [(path, span) for host, path, span in served.asked if host == "cdn" and path.endswith(".ozx")]
    # its directory, its metadata, its density
    assert set(Counter(path for path, _ in ranges).values()) == {3}
    assert all(span for _, span in ranges)
    # that volumes are archives is found out once; nothing else is looked for from then on
    assert sum(".zarr/" in path for _, path, _ in first) == 1
    assert sum(".zarr/" in path for _, path, _ in served.asked) == 1


def test_forked_workers_read_it_too(simulated: Report, served: Hub) -> None:
    def batches(root: str | Path) -> list[Any]:
        stream = SubgridStream("simulated", split="validation", batch_size=8, seed=1, root=root)
        return list(DataLoader(stream, batch_size=None, num_workers=1, multiprocessing_context="fork"))

    here, there = batches(simulated.folder.parent), batches(served.root)

    assert len(here) == len(there) > 1
    assert all(np.array_equal(one["density"], other["density"]) for one, other in zip(here, there, strict=True))


def test_verify_reads_every_byte_through_the_hub(served: Hub) -> None:
    result = verify_version(open_version(served.root, "simulated"), deep=True)

    assert result.faults == ()


def test_pulled_from_the_hub_it_is_what_it_was(simulated: Report, served: Hub, tmp_path: Path) -> None:
    arguments = ["pull", "simulated", "--root", served.root, "--to", str(tmp_path / "pulled")]

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    volumes = [folder_files(root / "volumes") for root in (simulated.folder, tmp_path / "pulled/simulated")]
    assert volumes[0] == volumes[1]
    assert open_version(tmp_path / "pulled", "simulated").sha256 == open_version(served.root, "simulated").sha256


def test_a_flipped_byte_in_an_archive_is_named(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "broken")
    pack = min((tmp_path / "broken").rglob("SIM-00004*.ozx"))
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 2] ^= 1
    pack.write_bytes(raw)

    with hub(tmp_path / "broken") as running, pytest.raises(DatasetError, match=r"SIM-00004.*sha256 \w{64}; expected"):
        list(load_dataset("simulated", split="validation", streaming=True, root=running.root))


def test_datasets_reads_the_tables_by_the_card(simulated: Report, repository: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    card = (repository / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])

    subgrids = datasets.load_dataset(str(repository), cache_dir=str(tmp_path / "hf"))
    entries = datasets.load_dataset(str(repository), "entries", split="train", cache_dir=str(tmp_path / "hf"))

    assert [item["config_name"] for item in header["configs"]] == ["subgrids", "entries", "atoms"]
    assert len(subgrids["train"]) == simulated.manifest.counts["subgrids"]["train"]
    assert len(entries) == simulated.manifest.counts["entries"]
    assert "huggingface.co/datasets/OWNER/REPOSITORY/resolve/main" in card


def test_a_second_export_writes_no_volume_again_and_gives_the_same_bytes(simulated: Report, tmp_path: Path) -> None:
    first = export(simulated.folder.parent, tmp_path / "made")
    before = folder_files(tmp_path / "made")
    min((tmp_path / "made").rglob("*.ozx")).unlink()

    second = export(simulated.folder.parent, tmp_path / "made")

    assert (first.reused, second.reused) == (0, simulated.manifest.counts["entries"] - 1)
    assert folder_files(tmp_path / "made") == before


def test_damage_does_not_spread(simulated: Report, tmp_path: Path) -> None:
    shutil.copytree(simulated.folder, tmp_path / "root/simulated", ignore=shutil.ignore_patterns("source"))
    shard = min((tmp_path / "root").glob("simulated/volumes/*/SIM-00002*/density/c/0/0/0"))
    raw = bytearray(shard.read_bytes())
    raw[99] ^= 1
    shard.write_bytes(raw)

    with pytest.raises(DatasetError, match=r"density/c/0/0/0: .* bytes with sha256 \w{64}; expected"):
        export(tmp_path / "root", tmp_path / "made")

    assert not (tmp_path / "made/simulated/versions").exists()


def test_a_folder_with_other_things_is_left_alone(simulated: Report, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(UsageError, match=r"holds other things, such as README\.md; name a folder that is new or empty"):
        export(simulated.folder.parent, tmp_path)

    assert (tmp_path / "README.md").read_text() == "mine"


def test_another_version_of_the_same_name_is_not_replaced(simulated: Report, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "made")
    manifest = tmp_path / "made/simulated/versions/0.1.0.json"
    manifest.write_text("{}")

    with pytest.raises(UsageError, match=r"0\.1\.0\.json is another simulated@0\.1\.0; name another folder"):
        export(simulated.folder.parent, tmp_path / "made")

    assert manifest.read_text() == "{}"


def test_what_the_hub_does_not_take_is_refused_before_anything_is_written(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_FILES", 10)

    with pytest.raises(UsageError, match=r"would have \d+ files, 1 of them in one folder; the Hub takes 10 in a repos"):
        export(simulated.folder.parent, tmp_path / "made")

    assert not (tmp_path / "made").exists()
