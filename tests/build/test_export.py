"""A version in the layouts of other tools: what they are for opens them, and finds what the version holds."""

from __future__ import annotations

import json
import shutil
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
import pyarrow as pa
import pytest
import webdataset
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.build.export import Exported, Wish, export_version, pieces
from cryodata.build.export.sequences import sequence_texts
from cryodata.build.subset import Subset, chosen_entries
from cryodata.cli import app
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files

LAYOUTS = ("mrc", "npy", "npz", "parquet", "webdataset")

LABEL_MAPS = {"atom": "atom", "amino": "amino", "secondary": "sec_struc"}


def export(report: Report, layout: str, to: Path, **wish: Any) -> Exported:
    opened = open_version(report.folder.parent, "simulated")
    return export_version(opened, to, layout, lambda done, total: None, Wish(**wish))


@pytest.fixture(scope="module")
def made(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the simulated dataset in a layout, written once."""
    root = tmp_path_factory.mktemp("exports")

    def folder(layout: str) -> Path:
        if not (root / layout).exists():
            export(simulated, layout, root / layout)
        return root / layout

    return folder


@pytest.fixture(scope="module")
def volume(simulated: Report) -> dict[str, Any]:
    """The one volume of the split `validation`, as it is read."""
    return dict(load_dataset("simulated", "volumes", split="validation", root=simulated.folder.parent)[0])


@pytest.fixture(scope="module")
def subgrids(simulated: Report) -> list[dict[str, Any]]:
    """The sub-grids of the split `validation`, as they are read."""
    return list(load_dataset("simulated", split="validation", streaming=True, root=simulated.folder.parent))


def notes(folder: Path) -> list[tuple[str, int, str]]:
    return [file for file in folder_files(folder) if not file[0].startswith(".tmp")]


def test_maps_are_valid_mrc2014_and_hold_the_volume_at_its_place(
    made: Callable[[str], Path], volume: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made("mrc") / "maps" / volume["entry_id"]

    names = {"density": "", **{name: f"{word}_" for name, word in LABEL_MAPS.items()}}
    for name, prefix in names.items():
        path = folder / f"{prefix}emd_normalized_map.mrc"
        assert mrcfile.validate(path), capsys.readouterr().out
        with mrcfile.open(path) as file:
            assert np.array_equal(file.data, volume[name])
            assert file.header.origin.tolist() == tuple(np.float32(volume["origin_xyz"]).tolist())
            assert file.voxel_size.tolist() == (1.0, 1.0, 1.0)
            assert file.header.rms == pytest.approx(np.std(np.asarray(volume[name], dtype=np.float64)), rel=1e-6)


def test_an_entry_has_the_files_of_the_published_folders(made: Callable[[str], Path], simulated: Report) -> None:
    found = {path.name for path in (made("mrc") / "maps/SIM-00004").iterdir()}

    assert found == {
        "emd_normalized_map.mrc", "atom_emd_normalized_map.mrc", "atom_ca_emd_normalized_map.mrc",
        "amino_emd_normalized_map.mrc", "sec_struc_emd_normalized_map.mrc", "SIM-00004.cif", "SIM-00004.fasta",
        "SIM-00004_all_chain_combined.fasta", "atomic.fasta", "dealign_clustal_output.fasta",
    }  # fmt: skip
    # the published scripts enter whatever lies beside the folders of the entries
    assert sorted(path.name for path in (made("mrc") / "maps").iterdir()) == [f"SIM-0000{i}" for i in (1, 2, 3, 4)]


def test_modelled_residues_stand_under_those_of_the_full_sequence() -> None:
    chains = [
        {"chain": "B", "kind": "peptide", "full": "MKTAYIAK", "modelled": "KTAYXAK", "alignment": "1I4M1I1D2M"},
        {"chain": "A", "kind": "peptide", "full": "", "modelled": "GG", "alignment": ""},
        {"chain": "R", "kind": "nucleic", "full": "ACGU", "modelled": "AC", "alignment": "2M2I"},
    ]

    texts = sequence_texts({"sequences": chains}, "1abc")

    assert texts == {
        "1abc.fasta": ">1abc_1|Chain B|\nMKTAYIAK\n>1abc_2|Chain A|\nGG\n",
        "1abc_all_chain_combined.fasta": "MKTAYIAKGG\n",
        "atomic.fasta": "KTAYXAKGG\n",
        "dealign_clustal_output.fasta": ">original\nMKTAYI-AKGG\n>atom\n-KTAY-XAKGG\n",
    }


def test_no_alignment_is_written_where_none_is_known() -> None:
    chain = {"chain": "A", "kind": "peptide", "full": "MKTAYIAK", "modelled": "KTAY"}

    assert "dealign_clustal_output.fasta" not in sequence_texts({"sequences": [chain]}, "1abc")
    assert "dealign_clustal_output.fasta" not in sequence_texts({"sequences": [{**chain, "alignment": "9M"}]}, "1abc")


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


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "npz"])  # as npy, and slow
def test_killed_in_the_middle_it_goes_on_and_gives_the_same_bytes(
    layout: str, simulated: Report, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, place, left = notes(made(layout)), pieces._place, [1]

    def dying(source: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        place(source, target)

    monkeypatch.setattr(pieces, "_place", dying)
    with pytest.raises(KeyboardInterrupt):
        export(simulated, layout, tmp_path / "made", workers=1)
    assert len(notes(tmp_path / "made")) < len(expected)
    monkeypatch.setattr(pieces, "_place", place)

    second = export(simulated, layout, tmp_path / "made")
    third = export(simulated, layout, tmp_path / "made")

    assert notes(tmp_path / "made") == expected
    assert second.reused < third.reused
    assert third.reused == sum(not path.startswith(".export/") for path, _, _ in expected) - fronts(layout)


def fronts(layout: str) -> int:
    """Files besides those of the pieces: lists, entries.csv, README.md, shards.json."""
    return 2 if layout in ("npy", "npz") else 1


def test_a_file_that_was_cut_short_is_written_again(simulated: Report, tmp_path: Path) -> None:
    export(simulated, "mrc", tmp_path / "made")
    before = notes(tmp_path / "made")
    broken = tmp_path / "made/maps/SIM-00002/emd_normalized_map.mrc"
    broken.write_bytes(broken.read_bytes()[:-4])

    export(simulated, "mrc", tmp_path / "made")

    assert notes(tmp_path / "made") == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dry_run_writes_nothing_and_states_what_is_not_exceeded(
    layout: str, simulated: Report, made: Callable[[str], Path], tmp_path: Path
) -> None:
    planned = export(simulated, layout, tmp_path / "made", dry_run=True)

    real = [size for path, size, _ in notes(made(layout)) if not path.startswith(".export/")]
    assert not (tmp_path / "made").exists()
    assert planned.files == len(real)
    assert sum(real) <= planned.bytes


def test_only_the_split_or_the_ids_that_were_asked_for_are_written(simulated: Report, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("SIM-00003\n")

    export(simulated, "mrc", tmp_path / "split", subset=Subset(("validation",)))
    export(simulated, "mrc", tmp_path / "some", subset=Subset(ids=tmp_path / "ids"))

    assert [path.name for path in (tmp_path / "split/maps").iterdir()] == ["SIM-00004"]
    assert [path.name for path in (tmp_path / "some/maps").iterdir()] == ["SIM-00003"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_with_something_else_is_left_alone(layout: str, simulated: Report, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(UsageError, match="holds other things, such as mine; name a folder that is new or empty"):
        export(simulated, layout, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_export_in_the_folder_is_left_alone(simulated: Report, tmp_path: Path) -> None:
    export(simulated, "mrc", tmp_path / "made", subset=Subset(("validation",)))

    with pytest.raises(UsageError, match=r"is another export \(simulated@0.1.0 as mrc, 1 entries\); name another"):
        export(simulated, "mrc", tmp_path / "made")


def test_an_export_that_made_nothing_claims_no_folder(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, density: object) -> None:
        raise DatasetError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("cryodata.build.export.mrc.write_plain_map", broken)
        with pytest.raises(DatasetError, match="^broken$"):
            export(simulated, "mrc", tmp_path / "made", subset=Subset(("validation",)))

    assert export(simulated, "mrc", tmp_path / "made").files == 4 * 10 + 1


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


def test_the_hub_gets_a_version_as_a_whole(simulated: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--format hub takes a whole version"):
        export(simulated, "hub", tmp_path / "made", subset=Subset(("validation",)))

    planned = export(simulated, "hub", tmp_path / "made", dry_run=True)

    assert not (tmp_path / "made").exists()
    made = export(simulated, "hub", tmp_path / "made")
    assert (planned.files, planned.bytes) == (made.files, made.bytes)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))  # type: ignore[attr-defined]

    with pytest.raises(CryodataError, match=r"up to [\d,]+ bytes are to be written and 1,000,000 are free; make room"):
        export(simulated, "mrc", tmp_path / "made")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_of_a_dataset_lead_nowhere(
    layout: str, simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_version(simulated.folder.parent, "simulated")
    strange = replace(opened.manifest, schemes={**opened.manifest.schemes, "resolution": ["../../train", "validation"]})
    to = tmp_path / "a/b/c"

    with pytest.raises(DatasetError, match=r"has a split '../../train', which can't name a file"):
        export_version(replace(opened, manifest=strange), to, layout, lambda done, total: None)

    rows = chosen_entries(opened, Subset()).to_pylist()[:2]
    for row in rows:
        row["pdb_id"] = "../../../../x"
    monkeypatch.setattr(pieces, "chosen_entries", lambda opened, subset: pa.Table.from_pylist(rows))
    export(simulated, layout, to)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]

    rows[1]["entry_id"] = "sim-00001"
    with pytest.raises(DatasetError, match="the id sim-00001 is there more than once; an export would mix the two"):
        export(simulated, layout, tmp_path / "other")


def test_the_command_prints_one_object(simulated: Report, tmp_path: Path) -> None:
    arguments = ["export", "simulated", "--format", "mrc", "--to", str(tmp_path / "made"), "--split", "validation"]

    result = CliRunner().invoke(app, [*arguments, "--json", "--root", str(simulated.folder.parent)])

    told = json.loads(result.stdout)
    assert (told["files"], told["reused"], told["dry_run"]) == (11, 0, False)
    assert told["advice"].startswith("cryodata build published --source ")
