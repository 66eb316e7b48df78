"""How a dataset and a version of it are named, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.errors import UsageError
from tests.read.examples import Open


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a dataset whose version 0.2.0 has a map more than 0.1.0."""
    root = tmp_path_factory.mktemp("versions")
    for version, maps in (("0.1.0", 1), ("0.2.0", 2)):
        build(Request("simulated", root, version=version, settings=(f"maps={maps}", "residues=20")))
    return root


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        pytest.param("simulated", {}, 2, id="highest"),
        pytest.param("simulated", {"revision": "0.1.0"}, 1, id="revision"),
        pytest.param("simulated@0.1.0", {}, 1, id="in the name"),
        pytest.param("simulated@0.1.0", {"revision": "0.1.0"}, 1, id="both, the same"),
    ],
)
def test_a_revision_pins_the_version(two_versions: Path, name: str, options: dict[str, str], expected: int) -> None:
    opened = load_dataset(name, "entries", root=two_versions, split="train", streaming=True, **options)

    assert expected == sum(1 for _ in opened)
    assert expected == opened.num_shards


def test_two_versions_at_once_are_refused(two_versions: Path) -> None:
    with pytest.raises(UsageError, match="^'simulated@0.1.0' names another version than 0.2.0; name one$"):
        load_dataset("simulated@0.1.0", root=two_versions, revision="0.2.0")


def test_a_dataset_is_found_by_path_by_root_and_by_environment(
    two_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(name: str, **options: Any) -> list[str]:
        opened = load_dataset(name, "entries", split="train", streaming=True, columns=["entry_id"], **options)
        return [row["entry_id"] for row in opened]

    expected = ["SIM-00001", "SIM-00002"]

    assert expected == ids(str(two_versions / "simulated"))
    assert expected == ids("simulated", root=str(two_versions))

    monkeypatch.setenv("CRYODATA_ROOT", str(two_versions))

    assert expected == ids("simulated")

    monkeypatch.chdir(two_versions)

    assert expected == ids("./simulated")


COLUMNS = "density, atom, amino, secondary, entry_id, emdb_id, pdb_id, resolution, start_zyx"
ROWS = (
    "volume, start_zyx, n_ca_core, n_ca_box, n_atom_box, occupied, density_max, place, "
    "entry_id, emdb_id, pdb_id, resolution"
)

MISTAKES = [
    pytest.param({"config": "boxes"}, "no config 'boxes'; found: subgrids, volumes, entries, atoms", id="config"),
    pytest.param(
        {"split": "dev"},
        "no split 'dev' of the scheme 'resolution'; found: train, validation, test, unassigned",
        id="split",
    ),
    pytest.param(
        {"split": "val"},
        "no split 'val' of the scheme 'resolution'; found: train, validation, test, unassigned; "
        "did you mean 'validation'?",
        id="short name of a split",
    ),
    pytest.param(
        {"split": "train[:10%]"},
        "no split 'train[:10%]' of the scheme 'resolution'; found: train, validation, test, unassigned; for a part of "
        "one: .take(n), .skip(n), or whole maps by filter=[('entry_id', 'in', [...])]; for several: "
        "datasets.concatenate_datasets",
        id="part of a split",
    ),
    pytest.param({"split_by": "date"}, "no split scheme 'date'; found: id, resolution, sequence", id="scheme"),
    pytest.param(
        {"labels": "ceiling"},
        "no label rule 'ceiling'; found: stored, floor, nearest, sphere:R, gaussian:S, offset",
        id="label rule",
    ),
    pytest.param({"columns": ["densty", "atom"]}, f"no column densty; found: {COLUMNS}", id="column"),
    pytest.param({"columns": []}, f"no column is asked for; found: {COLUMNS}", id="no column"),
    pytest.param(
        {"filter": "n_ca_core > 0"},
        "filter='n_ca_core > 0': text is never evaluated; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="text as filter",
    ),
    pytest.param(
        {"filter": [("entry_id", "in", "SIM-00001")]},
        "filter=[('entry_id', 'in', 'SIM-00001')]: 'in' takes a list of values, found 'SIM-00001'; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="text for a list of values",
    ),
    pytest.param(
        {"filter": ("n_ca_core", ">", 0)},
        "filter=('n_ca_core', '>', 0): a condition is (column, operator, value), found 'n_ca_core'; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="condition without a list",
    ),
    pytest.param(
        {"filter": [("n_ca", ">", 0)]},
        f"filter: No match for FieldRef.Name(n_ca) in volume: int32; columns are {ROWS}",
        id="column of filter",
    ),
    pytest.param(
        {"box": 31}, "box - core must be even so that the core is centred, found box=31, core=20", id="odd margin"
    ),
    pytest.param({"box": 32.0}, "box=32.0; expected a whole number", id="box that is no whole number"),
    pytest.param(
        {"box": 2048}, "box=2048; expected 1,024 at most, as in the largest map that is built", id="huge box"
    ),
    pytest.param(
        {"shuffle": False},
        "shuffle=False; expected the seed of a shuffle, a whole number, or None for none",
        id="shuffle that is no seed",
    ),
    pytest.param({"shuffle": 0, "batch_size": "4"}, "batch_size='4'; expected a whole number", id="size of a batch"),
    pytest.param({"batch_size": 0}, "batch_size=0; expected 1 or more", id="no batch"),
    pytest.param({"box": 16}, "core must be 1 to box, found core=20, box=16", id="small box"),
    pytest.param(
        {"box": 64, "filter": [("n_ca_core", ">", 0)]},
        "filter= looks at the table of sub-grids, which has box 32, core 20",
        id="filter of other boxes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_is_told_with_what_there_is(stream: Open, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stream(**options)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param(
            "simulatd",
            {},
            "no dataset 'simulatd' in {root}; found: simulated; did you mean 'simulated'?",
            id="dataset",
        ),
        pytest.param(
            "simulated",
            {"revision": "0.3.0"},
            "dataset 'simulated' in {root} has no version '0.3.0'; found: 0.1.0, 0.2.0",
            id="revision",
        ),
        pytest.param(
            "simulated@9.0.0",
            {},
            "dataset 'simulated' in {root} has no version '9.0.0'; found: 0.1.0, 0.2.0",
            id="version in the name",
        ),
        pytest.param(
            "-x", {}, "'-x' is no name of a dataset: letters, digits, '.', '_' and '-'", id="no name of a dataset"
        ),
        pytest.param(
            "ftp://host/x",
            {},
            "'ftp://host' is no root; expected a folder or a URL of file, http, https, s3, gs, az",
            id="address",
        ),
    ],
)
def test_an_unknown_dataset_or_version_is_told_with_the_known_ones(
    two_versions: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_dataset(name, root=two_versions, **options)

    assert message.format(root=two_versions) == str(caught.value)


def test_a_split_of_the_library_is_taken(stream: Open) -> None:
    assert stream().num_shards == stream(split=datasets.Split.TRAIN).num_shards


def test_a_path_object_is_taken(simulated: Report) -> None:
    assert load_dataset(simulated.folder, "entries", split="train", streaming=True).num_shards


def test_one_column_may_be_named_without_a_list(stream: Open) -> None:
    assert stream(columns="density").column_names == ["density"]


def test_a_filter_of_atoms_by_an_unknown_column_is_refused_when_it_is_opened(stream: Open) -> None:
    with pytest.raises(UsageError):
        stream(config="atoms", filter=[("atm", "==", "CA")])
