"""The card, the Croissant file and the citation file say what the version is, to people and to programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import cryodata
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.core.schema import FactSpec, Schema
from cryodata.formats.citation import bibtex, origin_of
from cryodata.formats.column_texts import ATOM_TEXTS, OBJECT_TEXTS, REJECTED_TEXTS, SUBGRID_TEXTS, entry_texts
from cryodata.formats.summary import Changes, compare, summarize
from cryodata.formats.tables import ATOMS, OBJECTS, REJECTED, SUBGRIDS, entries_schema, file_digest, read_table

PROJECT = Path(__file__).resolve().parents[2]


def tables(report: Report) -> Path:
    return report.folder / report.manifest.tables


def card(report: Report) -> str:
    return (tables(report) / "README.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading of a card."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_header_is_what_the_hub_reads(simulated: Report) -> None:
    header = yaml.safe_load(card(simulated).split("---\n")[1])

    assert header["license"] == "cc0-1.0"
    assert header["size_categories"] == ["n<1K"]
    assert "cryo-em" in header["tags"]
    configs = {item["config_name"]: item["data_files"] for item in header["configs"]}
    assert configs == {
        "subgrids": [
            {"split": "train", "path": "subgrids-train-*.parquet"},
            {"split": "validation", "path": "subgrids-validation-*.parquet"},
        ],
        "entries": "entries.parquet",
        "atoms": "atoms-*.parquet",
    }


def test_datasets_reads_the_tables_by_the_header(simulated: Report, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder, counts = str(tables(simulated)), simulated.manifest.counts

    subgrids = datasets.load_dataset(folder, cache_dir=str(tmp_path))
    entries = datasets.load_dataset(folder, "entries", split="train", cache_dir=str(tmp_path))

    assert {name: len(split) for name, split in subgrids.items()} == {
        name: count for name, count in counts["subgrids"].items() if count
    }
    assert len(entries) == counts["entries"]


def test_every_column_of_every_table_has_a_meaning(simulated: Report) -> None:
    schema = simulated.manifest.schema
    for columns, texts in (
        (entries_schema(schema, ()), entry_texts(schema)),
        (ATOMS, ATOM_TEXTS),
        (SUBGRIDS, SUBGRID_TEXTS),
        (REJECTED, REJECTED_TEXTS),
        (OBJECTS, OBJECT_TEXTS),
    ):
        assert columns.names == list(texts)
        assert all(f"| `{name}` | {text} |" in card(simulated) for name, text in texts.items())


def test_the_figures_are_those_of_the_tables(simulated: Report) -> None:
    validation = section(card(simulated), "Validation")
    rows = read_table(tables(simulated) / "entries.parquet").to_pylist()
    written = sum(
        item["written"]
        for row in rows
        for item in row["label_counts"]
        if (item["label"], item["name"]) == ("atom", "CA")
    )
    fits = sorted(row["fit"] for row in rows)

    assert f"| atom | CA | 240 | {written} | 0 | 0 |" in validation
    assert f"| {fits[0]:.4g} / {(fits[1] + fits[2]) / 2:.4g} / {fits[3]:.4g} |" in validation
    assert "| train | 3 | 3 |" in section(card(simulated), "Splits")


def test_numbers_are_shown_as_a_spread_and_texts_only_if_they_repeat() -> None:
    facts = (FactSpec("a", "float64", ""), FactSpec("b", "string", ""), FactSpec("c", "string", ""))
    count = {"label": "atom", "name": "CA", "model": 5, "written": 3, "lost": 1, "outside": 1}
    table = pa.table(
        {
            "split_resolution": ["train"] * 3,
            "resolution_bin": ["[3,4]", "[3,4]", "[2,3)"],
            "label_counts": pa.array([[count], [], [count]]),
            "a": [1.0, 10.0, float("nan")],
            "b": ["x", "x", "y"],
            "c": ["p", "q", "r"],
        }
    )

    found = summarize(table, Schema((), facts))

    assert found.by_split == {"train": {"[3,4]": 2, "[2,3)": 1}}
    assert found.labels == {"atom": {"CA": {"model": 10, "written": 6, "lost": 2, "outside": 2}}}
    assert found.facts == {"a": "1 / 5.5 / 10", "b": "x 2, y 1"}


def test_changes_are_what_came_went_and_became_other_bytes() -> None:
    before = pa.table({"entry_id": ["a", "b", "c", "e"], "volume": ["1", "2", "3", "5"]})
    after = pa.table({"entry_id": ["b", "c", "d"], "volume": ["2", "9", "4"]})

    found = compare("0.1.0", before, after, {"a": "no_model", "z": "too_large"})

    assert found == Changes("0.1.0", ["d"], {"a": "no_model", "e": ""}, ["c"], 1)


def test_the_next_version_says_what_changed_and_why_entries_went(tmp_path: Path) -> None:
    settings = ("residues=40", "voxel_size=2", "noise=0")
    first = build(Request("simulated", tmp_path, settings=(*settings, "maps=2")))
    second = build(Request("simulated", tmp_path, version="0.2.0", settings=(*settings, "maps=3")))
    third = build(Request("simulated", tmp_path, version="0.3.0", settings=(*settings, "maps=2")))

    assert "first version" in section(card(first), "Changes")
    assert section(card(second), "Changes").split("\n\n") == [
        "\nAgainst 0.1.0: 2 entries have the same volume.",
        "* added (1): SIM-00003\n",
    ]
    assert "* removed (1): SIM-00003 (not asked for)" in section(card(third), "Changes")


def test_mlcroissant_finds_the_file_valid(simulated: Report) -> None:
    program = Path(sys.executable).with_name("mlcroissant")
    command = [str(program), "validate", "--jsonld", str(tables(simulated) / "croissant.json")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    missing = [line for line in done.stderr.splitlines() if "recommended" in line]
    # simulated maps come from no paper, and the same data give the same bytes on any day
    assert [line.split('"')[1].rpartition("/")[2] for line in missing] == ["citeAs", "datePublished"]


def test_croissant_has_the_hash_of_every_table_file_and_no_other(simulated: Report) -> None:
    value = json.loads((tables(simulated) / "croissant.json").read_bytes())
    hashes = {item["contentUrl"]: item["sha256"] for item in value["distribution"] if "sha256" in item}
    found = [file_digest(path, path.name) for path in tables(simulated).glob("*.parquet")]

    assert value["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert value["version"] == "0.1.0"
    # objects.parquet holds the hash of croissant.json, which therefore can't hold its
    assert hashes == {name: sha256 for name, _, sha256 in found if name != "objects.parquet"}


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_reads_the_records_of_the_tables(simulated: Report) -> None:
    dataset = mlcroissant.Dataset(jsonld=tables(simulated) / "croissant.json")
    counts = simulated.manifest.counts

    entries = list(dataset.records("entries"))
    subgrids = list(dataset.records("subgrids"))
    atoms = list(dataset.records("atoms"))

    row = pq.read_table(tables(simulated) / "entries.parquet").to_pylist()[0]
    assert len(entries) == counts["entries"]
    assert entries[0]["entries/shape_zyx"] == row["shape_zyx"]
    assert [item["entries/sequences/full"].decode() for item in entries[0]["entries/sequences"]] == [
        item["full"] for item in row["sequences"]
    ]
    splits = [item["subgrids/split"].decode() for item in subgrids]
    assert {name: splits.count(name) for name in set(splits)} == {
        name: count for name, count in counts["subgrids"].items() if count
    }
    assert subgrids[0]["subgrids/start_zyx"] == [-6, -6, -6]
    assert sum(item["atoms/state"] != 255 for item in atoms) == counts["atoms"]["model"] < len(atoms)
    assert len(atoms[0]["atoms/xyz"]) == 3
    assert list(dataset.records("rejected")) == []
    assert [item["splits/name"] for item in dataset.records("splits")] == ["train", "validation", "test", "unassigned"]


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_refuses_a_table_with_other_bytes(simulated: Report, tmp_path: Path) -> None:
    for path in tables(simulated).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = bytearray((tmp_path / "entries.parquet").read_bytes())
    raw[-9] ^= 1
    (tmp_path / "entries.parquet").write_bytes(raw)

    with pytest.raises(mlcroissant.GenerationError, match=r"Download\(entries\.parquet\)") as caught:
        list(mlcroissant.Dataset(jsonld=tmp_path / "croissant.json").records("entries"))

    assert "is not identical with the reference" in str(caught.value.__cause__)


def test_the_citation_file_of_a_version_has_what_the_format_asks_for(simulated: Report) -> None:
    value = yaml.safe_load((tables(simulated) / "CITATION.cff").read_text(encoding="utf-8"))

    assert {
        "cff-version": "1.2.0",
        "type": "dataset",
        "title": "simulated",
        "version": "0.1.0",
    }.items() <= value.items()
    assert value["license"] == "CC0-1.0"
    assert value["message"]
    assert value["authors"] == [{"name": "The cryodata developers"}]


def test_the_paper_behind_a_recipe_is_cited() -> None:
    (reference,) = origin_of("cryo2struct").references

    assert bibtex(reference).splitlines()[:2] == [
        "@article{giri2024cryo2structdata,",
        "  author = {Giri, Nabin and Wang, Liguo and Cheng, Jianlin},",
    ]
    assert "  doi = {10.1038/s41597-024-03299-9}," in bibtex(reference)


def test_the_citation_file_of_the_project_names_this_release() -> None:
    value = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))

    assert value["version"] == cryodata.__version__
    assert value["license"] == "Apache-2.0"
