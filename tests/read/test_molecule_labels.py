"""Labels for all of the molecule, read by every rule: DNA, protein and ions in one map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from cryodata_builders.cryo2struct import Cryo2Struct
from scipy.spatial import cKDTree

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.core.parameters import resolve
from cryodata.errors import UsageError
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import read_structure
from cryodata.formats.versions import open_version
from cryodata.prepare.arrays import LABELS
from cryodata.prepare.potential import density_of

MODEL = "models/1d66.pdb"
"GAL4 on DNA, four cadmium ions"


@pytest.fixture(scope="module", params=["published", "released", "refined"])
def report(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One map of the model with all labels, by each recipe."""
    folder = tmp_path_factory.mktemp("molecule")
    model = read_structure(shared_data / MODEL).model
    write_map(folder / "map.map.gz", density_of(model, resolution=3.0, voxel_size=1.1, margin=6.0, noise=0.1, seed=1))
    rows = f"entry_id,map,model,resolution\nDNA,map.map.gz,{shared_data / MODEL},3.0\n"
    (folder / "entries.csv").write_text(rows, encoding="utf-8")
    settings = ("labels=all",)
    return build(Request("cryo2struct", folder, folder, name="d", recipe=request.param, settings=settings))


def rows_of(report: Report, config: str) -> list[dict[str, Any]]:
    return list(load_dataset(report.folder, config, split=None, streaming=True)["train"]) or list(
        load_dataset(report.folder, config, split="validation", streaming=True)
    )


def volume_of(report: Report, labels: str) -> dict[str, Any]:
    """The only example."""
    for split in ("train", "validation"):
        for example in load_dataset(report.folder, "volumes", split=split, labels=labels):
            return dict(example)
    raise AssertionError("no volume")


def atoms_of(report: Report) -> dict[str, np.ndarray]:
    rows = rows_of(report, "atoms")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def carriers(name: str, atoms: dict[str, np.ndarray], recipe: str) -> np.ndarray:
    """Which atoms carry a label, told by names and records alone."""
    atom, kind, part = atoms["atom"], atoms["kind"], atoms["part"]
    protein = kind == "protein"
    named = protein if recipe != "released" else np.ones(len(atom), dtype=bool)
    return {
        "atom": named & np.isin(atom, ("CA", "N", "C")),
        "amino": named & (atom == "CA"),
        "secondary": named & (atom == "CA"),
        "backbone": protein & np.isin(atom, ("CA", "N", "C", "O")),
        "sidechain": protein & (part == "sidechain"),
        "nucleic": (kind == "nucleic") & (part != "hydrogen"),
        "base": (kind == "nucleic") & (part == "base"),
        "ligand": np.isin(kind, ("ligand", "ion", "glycan", "water")) & (part == ""),
    }[name]


def values_of(name: str, atoms: dict[str, np.ndarray], recipe: str) -> np.ndarray:
    """Class of each atom by a label, 0 where it has none."""
    array = LABELS[name]
    column = "parent" if name == "amino" and recipe == "refined" else array.column
    if column == "secondary":
        values = atoms["secondary"].astype(int)
    else:
        values = np.array([array.values.get(value, 0) for value in atoms[column].tolist()])
    return np.where(carriers(name, atoms, recipe), values, 0)


def test_the_version_verifies_and_states_what_no_label_takes(report: Report) -> None:
    assert verify_version(open_version(report.folder.parent, "d"), deep=True).faults == ()
    atoms, recipe = atoms_of(report), report.manifest.recipe
    taken = np.any([carriers(name, atoms, recipe) for name in LABELS], axis=0)

    assert np.array_equal(atoms["state"] != 255, taken)
    assert np.array_equal(atoms["state_ca"] != 255, carriers("amino", atoms, recipe))
    assert np.unique(atoms["kind"]).tolist() == ["ion", "nucleic", "protein", "water"]
    assert {row["q_score"] for row in rows_of(report, "atoms")} == {None}


@pytest.mark.parametrize("rule", ["stored", "floor", "nearest"])
def test_each_voxel_has_the_class_of_the_atom_that_won_it(report: Report, rule: str) -> None:
    atoms, recipe, example = atoms_of(report), report.manifest.recipe, volume_of(report, rule)
    kind = {"stored": "nearest" if recipe == "refined" else "floor"}.get(rule, rule)
    place = (atoms["xyz"] - example["origin_xyz"])[:, ::-1]
    voxel = np.floor(place + (0.5 if kind == "nearest" else 0.0)).astype(int)
    taken = np.any([carriers(name, atoms, recipe) for name in LABELS], axis=0)
    order = ["CA", "N", "C", "O"]
    ranks = []
    for atom, what in zip(atoms["atom"].tolist(), atoms["kind"].tolist(), strict=True):
        if recipe == "released" and atom in order[:3]:
            ranks.append(0)
        elif recipe != "released" and what == "protein" and atom in order:
            ranks.append(order.index(atom))
        else:
            ranks.append({"nucleic": 4, "ion": 5, "protein": 6, "water": 7}[what])

    for name in LABELS:
        values, expected = values_of(name, atoms, recipe), np.zeros_like(example[name])
        rivals = carriers("amino", atoms, recipe) if name in ("amino", "secondary") else taken
        holder: dict[tuple[int, ...], int] = {}
        for row in np.flatnonzero(rivals).tolist():
            here = tuple(voxel[row].tolist())
            beaten = here not in holder or ranks[row] < ranks[holder[here]]
            if beaten or (recipe == "released" and ranks[row] == ranks[holder[here]]):
                holder[here] = row
        for here, row in holder.items():
            expected[here] = values[row]
        assert np.count_nonzero(expected) > 0
        assert np.array_equal(example[name], expected), name


@pytest.mark.parametrize("rule", ["sphere:2", "gaussian:1"])
def test_rules_around_atoms_look_at_those_that_carry_the_label(report: Report, rule: str) -> None:
    atoms, recipe, example = atoms_of(report), report.manifest.recipe, volume_of(report, rule)
    centres = np.argwhere(np.ones(example["density"].shape, dtype=bool))
    for name in LABELS:
        mine, values = carriers(name, atoms, recipe), values_of(name, atoms, recipe)
        place = (atoms["xyz"] - example["origin_xyz"])[:, ::-1]
        if rule == "sphere:2":
            apart, nearest = cKDTree(place[mine]).query(centres, distance_upper_bound=2.5)
            near = apart <= 2
            expected = np.zeros(len(centres), dtype=np.uint8)
            expected[near] = values[mine][nearest[near]]
            assert np.count_nonzero(expected) > 0
            differ = expected.reshape(example[name].shape) != example[name]
            assert np.count_nonzero(differ) <= 2, name  # of two atoms as near as rounding tells
        else:
            for value in np.unique(values[mine & (values > 0)]):
                apart = cKDTree(place[values == value]).query(centres, distance_upper_bound=4)[0]
                expected = np.where(apart < 4, np.exp(-np.square(np.minimum(apart, 4)) / 2), 0)
                found = example[name][value - 1]
                assert np.allclose(found, expected.reshape(found.shape), rtol=0, atol=1e-6), (name, value)


def test_label_volumes_are_what_is_read(report: Report) -> None:
    (row,) = rows_of(report, "entries")
    group: Any = zarr.open_group(report.folder / row["volume"], mode="r")
    example = volume_of(report, "stored")

    for name in LABELS:
        assert np.array_equal(group[f"labels/{name}/0"][...], example[name])


def test_an_ion_named_as_a_c_alpha_is_one_by_no_rule_of_published(shared_data: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    ids.write_text("EMD-6272-zone", encoding="utf-8")
    settings = ("labels=all", "label_volumes=no")
    report = build(Request("cryo2struct", tmp_path, shared_data, name="d", ids=ids, settings=settings))

    for rule in ("stored", "nearest", "gaussian:0.2"):
        example = volume_of(report, rule)
        if rule == "gaussian:0.2":  # atoms far apart, each a blob of its own
            assert example["atom"][0].shape == example["density"].shape
            ions = (atoms_of(report)["xyz"][atoms_of(report)["kind"] == "ion"] - example["origin_xyz"])[:, ::-1]
            at = tuple(np.round(ions).astype(int).T)
            assert not example["atom"][:, *at].any()
            assert (example["ligand"][1][at] > 0).any()
        else:
            assert np.count_nonzero(example["atom"] == 1) == 397
            assert np.count_nonzero(example["ligand"] == 2) == 4


# which labels


def labels_of(*settings: str) -> list[str]:
    builder = Cryo2Struct()
    recipe = "refined" if "refined" in settings else "published"
    wanted = resolve(builder.parameters, [item for item in settings if "=" in item])
    return [array.name for array in builder.schema(recipe, wanted).labels]


def test_labels_are_chosen_by_name_and_keep_their_order() -> None:
    assert labels_of() == ["atom", "amino", "secondary"]
    assert labels_of("refined") == labels_of("labels=all") == list(LABELS)
    assert labels_of("labels=ligand,backbone, atom") == ["atom", "backbone", "ligand"]
    assert labels_of("refined", "labels=atom") == ["atom"]


@pytest.mark.parametrize("wrong", ["", "atoms", "atom,ca", "all,atom"])
def test_unknown_labels_are_refused_with_the_known_ones(wrong: str) -> None:
    known = "atom, amino, secondary, backbone, sidechain, nucleic, base, ligand"
    with pytest.raises(UsageError) as caught:
        labels_of(f"labels={wrong}")

    assert str(caught.value) == (
        f"--set labels={wrong}: found '{wrong}'; expected `default`, `all`, or some of {known} with commas between"
    )
