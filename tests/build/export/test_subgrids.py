"""Sub-grids in the layouts of other tools: what they are for opens them, and finds what the version holds."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import duckdb
import mrcfile
import numpy as np
import polars
import pytest
import webdataset

from cryodata.build.dataset import Report
from cryodata.build.export import export_version
from cryodata.build.subset import Subset
from cryodata.errors import UsageError
from cryodata.formats.versions import open_version
from tests.build.export.layouts import export


def test_maps_give_the_same_sub_grids_by_the_published_rule_as_the_export_of_them(
    made: Callable[[str], Path], simulated: Report
) -> None:
    entry, folder = "SIM-00004", made("mrc") / "maps/SIM-00004"
    stored = {}
    for key, name in (("protein_grid", ""), ("atom_grid", "atom_"), ("amino_grid", "amino_")):
        with mrcfile.open(folder / f"{name}emd_normalized_map.mrc") as file:
            stored[key] = published_windows(file.data)

    count = len(stored["protein_grid"])
    assert sorted(path.name for path in (made("npz") / "valid_sub_grids").iterdir()) == sorted(
        f"{entry}_{number}.npz" for number in range(count)
    )
    for number in range(count):
        with np.load(made("npz") / f"valid_sub_grids/{entry}_{number}.npz") as found:
            assert set(found) == set(stored)
            assert all(found[key].dtype == np.float64 for key in stored)
            assert all(np.array_equal(found[key], stored[key][number]) for key in stored)
        with open(made("npy") / f"density_map_splits/{entry}/{entry}_{number}.npy", "rb") as file:
            assert np.array_equal(np.load(file), stored["protein_grid"][number])
            assert np.array_equal(np.load(file), stored["atom_grid"][number])
            assert file.read() == b""


def published_windows(volume: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Windows of 32 with cores of 20, counted along the first axis first, of the volume with 32 zeros around it."""
    padded = np.pad(volume.astype(np.float64), 32)
    n0, n1, n2 = (range(26, 26 + 20 * -(-n // 20), 20) for n in volume.shape)
    return [padded[a : a + 32, b : b + 32, c : c + 32] for c in n2 for b in n1 for a in n0]


def test_the_lists_name_every_sub_grid_of_their_split(made: Callable[[str], Path], simulated: Report) -> None:
    counts = simulated.manifest.counts["subgrids"]

    for word, split in (("train", "train"), ("valid", "validation")):
        listed = (made("npz") / f"{word}_splits.txt").read_text().splitlines()
        there = {path.name for path in (made("npz") / f"{word}_sub_grids").iterdir()}
        assert (len(listed), set(listed)) == (counts[split], there)
        listed = (made("npy") / f"{word}_splits.txt").read_text().splitlines()
        assert len(listed) == counts[split]
        assert all((made("npy") / "density_map_splits" / line).is_file() for line in listed)


def test_datasets_polars_and_duckdb_read_the_dense_parquet(
    made: Callable[[str], Path], subgrids: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = made("parquet")
    options: dict[str, Any] = {"cache_dir": str(tmp_path), "split": "validation"}
    files = str(folder / "data/validation-*.parquet")

    by_card = datasets.load_dataset(str(folder), **options).with_format("numpy")
    by_files = datasets.load_dataset("parquet", data_files={"validation": files}, **options).with_format("numpy")
    frame = polars.read_parquet(files)
    rows = duckdb.sql(f"select entry_id, density[17][16][15] from '{files}' where start_zyx[1] = 14 limit 1").fetchall()

    for found in (by_card, by_files):
        assert len(found) == len(subgrids)
        for here, there in zip(found, subgrids, strict=True):
            assert all(np.array_equal(here[name], there[name]) for name in ("density", "atom", "amino", "secondary"))
            assert here["start_zyx"].tolist() == list(there["start_zyx"])
    assert by_card.features["density"] == datasets.Array3D((32, 32, 32), "float16")
    assert frame["atom"].ext.storage().explode().explode().explode().sum() == sum(
        int(item["atom"].sum()) for item in subgrids
    )
    first = next(item for item in subgrids if item["start_zyx"][0] == 14)
    assert rows == [(first["entry_id"], pytest.approx(float(first["density"][16, 15, 14])))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_the_shards(made: Callable[[str], Path], subgrids: list[dict[str, Any]]) -> None:
    told = json.loads((made("webdataset") / "shards.json").read_text())["validation"]
    url = str(made("webdataset") / f"validation-{{000000..{told['shards'] - 1:06d}}}.tar")

    found = list(webdataset.WebDataset(url, shardshuffle=False).decode())

    assert told["samples"] == len(found) == len(subgrids)
    for here, there in zip(found, subgrids, strict=True):
        assert all(np.array_equal(here[f"{name}.npy"], there[name]) for name in ("density", "atom", "amino"))
        assert (here["json"]["entry_id"], here["json"]["start_zyx"]) == (there["entry_id"], list(there["start_zyx"]))


def test_members_of_a_tar_have_no_time_and_no_owner(made: Callable[[str], Path]) -> None:
    with tarfile.open(made("webdataset") / "train-000000.tar") as archive:
        told = {(item.mtime, item.uid, item.gid, item.uname, item.gname, item.mode) for item in archive}

    assert told == {(0, 0, 0, "", "", 0o644)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_sub_grids_go_on_in_the_next_shard(
    simulated: Report, subgrids: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryodata.build.export.shards.PER_SHARD", 7)
    export(simulated, "webdataset", tmp_path / "made", subset=Subset(("validation",)))

    shards = sorted(str(path) for path in (tmp_path / "made").glob("*.tar"))
    found = list(webdataset.WebDataset(shards, shardshuffle=False).decode())

    assert len(shards) == -(-len(subgrids) // 7)
    assert [item["__key__"] for item in found] == [f"{number:09d}" for number in range(len(subgrids))]
    assert all(np.array_equal(here["atom.npy"], there["atom"]) for here, there in zip(found, subgrids, strict=True))


@pytest.mark.parametrize(("layout", "lacks"), [("npz", "amino"), ("npy", "atom")])
def test_sub_grids_of_labels_that_a_dataset_lacks_are_refused(
    layout: str, lacks: str, simulated: Report, tmp_path: Path
) -> None:
    opened = open_version(simulated.folder.parent, "simulated")
    schema = opened.manifest.schema
    schema = replace(schema, arrays=tuple(array for array in schema.arrays if array.name != lacks))
    other = replace(opened, manifest=replace(opened.manifest, schema=schema))

    with pytest.raises(UsageError, match=f"^--format {layout} needs the label {lacks}; found: "):
        export_version(other, tmp_path / "made", layout, lambda done, total: None)
