"""Label rules of `load_dataset`, against distances that are all worked out; and labels of rotated sub-grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from cryodata.core.rotations import rotate_points
from cryodata.core.subgrids import SubgridGrid, cut_box
from cryodata.errors import UsageError
from cryodata.prepare.draw import draw
from cryodata.prepare.points import BoxPoints
from cryodata.read import columns as read_columns
from cryodata.read.decode import Volumes

from .conftest import Open

LABELS = ("atom", "amino", "secondary")
CLASSES = {"atom": 3, "amino": 20, "secondary": 3}
AROUND = ["sphere:2", "gaussian:1", "offset"]


@pytest.fixture(scope="module")
def atoms(stream: Open) -> dict[str, dict[str, np.ndarray]]:
    """Label points of each training entry."""
    rows: dict[str, list[Any]] = {}
    for row in stream(config="atoms", filter=[("state", "<", 255)]):
        rows.setdefault(row["entry_id"], []).append(row)
    return {name: {key: np.array([row[key] for row in mine]) for key in mine[0]} for name, mine in rows.items()}


@pytest.fixture(scope="module")
def entries(stream: Open) -> dict[str, Any]:
    """Rows of the training entries."""
    return {row["entry_id"]: row for row in stream(config="entries")}


def classes_of(name: str, points: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
    """Class of each atom by a label, in the numbers of the paper."""
    if name == "atom":
        return np.array([{"CA": 1, "N": 2, "C": 3}[atom] for atom in points["atom"].tolist()])
    if name == "amino":
        return np.array([names.index(residue) + 1 if residue in names else 0 for residue in points["residue"].tolist()])
    return points["secondary"].astype(np.int64)


RESIDUES = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split()


def distances(example: dict[str, Any], entry: dict[str, Any], xyz: np.ndarray, box: int) -> np.ndarray:
    """From each voxel of a sub-grid, (box^3,), to each atom, A; infinite where the voxel is not in the map."""
    index = np.stack(np.meshgrid(*[np.arange(box)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + example["start_zyx"]
    centre = np.array(entry["origin_xyz"]) + index[:, ::-1] * np.array(entry["voxel_size_xyz"])
    apart = np.sqrt(((centre[:, None] - xyz[None]) ** 2).sum(axis=-1))
    apart[np.any((index < 0) | (index >= np.array(entry["shape_zyx"])), axis=1)] = np.inf
    return apart


def some(opened: Any) -> list[dict[str, Any]]:
    """Sub-grids in the middle of a map and at its edge."""
    return [example for number, example in enumerate(opened) if number % 29 == 13]


def test_spheres_hold_the_class_of_the_nearest_atom(
    stream: Open, atoms: dict[str, dict[str, np.ndarray]], entries: dict[str, Any]
) -> None:
    found = 0
    for example in some(stream(labels="sphere:2", box=16, core=10)):
        points = atoms[example["entry_id"]]
        for name in LABELS:
            carries = np.ones(len(points["atom"]), bool) if name == "atom" else points["atom"] == "CA"
            apart = distances(example, entries[example["entry_id"]], points["xyz"][carries], 16)
            nearest = apart.argmin(axis=1)
            near = apart[np.arange(len(nearest)), nearest] <= 2
            expected = np.where(near, classes_of(name, points, RESIDUES)[carries][nearest], 0).reshape(16, 16, 16)

            assert example[name].dtype == np.uint8
            assert np.array_equal(expected, example[name])
            found += np.count_nonzero(expected)
    assert found > 3_000


def test_gaussians_are_the_highest_of_their_class(
    stream: Open, atoms: dict[str, dict[str, np.ndarray]], entries: dict[str, Any]
) -> None:
    highest = 0.0
    for example in some(stream(labels="gaussian:1.5", box=12, core=8)):
        points = atoms[example["entry_id"]]
        for name, count in CLASSES.items():
            carries = np.ones(len(points["atom"]), bool) if name == "atom" else points["atom"] == "CA"
            apart = distances(example, entries[example["entry_id"]], points["xyz"][carries], 12)
            height = np.where(apart <= 6, np.exp(-(np.minimum(apart, 9) ** 2) / 4.5), 0)
            value = classes_of(name, points, RESIDUES)[carries]
            expected = np.stack(
                [height[:, value == item + 1].max(axis=1, initial=0).reshape(12, 12, 12) for item in range(count)]
            )

            assert example[name].dtype == np.float32
            # the distances of this file are rounded otherwise, and may be on the other side of the cut
            assert np.allclose(expected, example[name], rtol=1e-6, atol=0)
            highest = max(highest, float(expected.max()))
    assert highest > 0.9


def test_offsets_lead_from_labelled_voxels_to_atoms(
    stream: Open, atoms: dict[str, dict[str, np.ndarray]], entries: dict[str, Any]
) -> None:
    total = 0
    for stored, example in zip(stream(), stream(labels="offset"), strict=True):
        points, entry = atoms[example["entry_id"]], entries[example["entry_id"]]
        mask = example["offset_mask"]
        expected = np.zeros((3, 32, 32, 32), dtype=np.float32)
        for row in np.flatnonzero(points["state"] == 0):
            z, y, x = points["voxel_zyx"][row] - example["start_zyx"]
            if min(z, y, x) >= 0 and max(z, y, x) < 32:
                centre = np.array(entry["origin_xyz"]) + points["voxel_zyx"][row][::-1] * np.array(
                    entry["voxel_size_xyz"]
                )
                expected[:, z, y, x] = points["xyz"][row] - centre

        assert all(np.array_equal(stored[name], example[name]) for name in ("density", *LABELS))
        assert mask.dtype == np.uint8
        assert np.array_equal(stored["atom"] > 0, mask > 0)
        assert example["offset"].dtype == np.float32
        assert np.allclose(expected, example["offset"], rtol=0, atol=1e-6)
        total += int(mask.sum())
    assert total > 300


@pytest.mark.parametrize("rule", [*AROUND, "nearest", "floor"])
def test_a_sub_grid_holds_what_its_volume_holds_there(stream: Open, rule: str) -> None:
    volumes = {example["entry_id"]: example for example in stream(config="volumes", labels=rule)}
    opened = stream(labels=rule)
    arrays = [
        name for name in opened.features if name not in ("entry_id", "emdb_id", "pdb_id", "resolution", "start_zyx")
    ]

    assert next(iter(volumes.values())).keys() >= set(arrays)
    for example in some(opened):
        for name in arrays:
            volume = volumes[example["entry_id"]][name]
            whole = volume.reshape(-1, *volume.shape[-3:])
            cut = np.stack([cut_box(channel, example["start_zyx"], 32) for channel in whole])

            assert np.array_equal(cut, example[name].reshape(cut.shape))


@pytest.mark.parametrize("rule", AROUND)
@pytest.mark.parametrize("config", ["subgrids", "volumes"])
def test_a_table_gives_what_the_stream_gives(stream: Open, table: Open, rule: str, config: str) -> None:
    opened = table(config=config, labels=rule)
    streamed = list(stream(config=config, labels=rule))

    assert list(streamed[0]) == opened.column_names
    for row in range(0, len(opened), 17 if config == "subgrids" else 1):
        for name, value in streamed[row].items():
            found = opened[row][name]
            assert np.array_equal(value, found)
            if isinstance(value, np.ndarray):
                assert (value.dtype, value.shape) == (found.dtype, found.shape)


def test_features_declare_channels(stream: Open, table: Open) -> None:
    streamed = stream(labels="gaussian:1").features
    boxes = {name: datasets.Array4D((count, 32, 32, 32), "float32") for name, count in CLASSES.items()}

    assert boxes == {name: streamed[name] for name in LABELS}
    assert datasets.Array3D((32, 32, 32), "float32") == streamed["density"]
    lazy = table(labels="gaussian:1").features
    assert {name: lazy[name].channels for name in ("density", *LABELS)} == {"density": 0, **CLASSES}
    offset = stream(labels="offset").features
    assert datasets.Array4D((3, 32, 32, 32), "float32") == offset["offset"]
    assert datasets.Array3D((32, 32, 32), "uint8") == offset["offset_mask"]
    assert list(offset)[:6] == ["density", *LABELS, "offset", "offset_mask"]


@pytest.mark.parametrize("rule", ["gaussian:1", "offset"])
def test_arrays_with_channels_become_tensors_alike(stream: Open, table: Open, rule: str) -> None:
    name = "atom" if rule == "gaussian:1" else "offset"
    streamed = next(iter(stream(labels=rule).with_format("torch")))[name]
    row = table(labels=rule).with_format("torch")[0][name]

    assert tuple(streamed.shape) == (3, 32, 32, 32)
    assert streamed.equal(row)
    assert tuple(table(labels=rule).with_format("numpy")[:4][name].shape) == (4, 3, 32, 32, 32)


def test_map_gives_arrays_with_channels_back(table: Open, tmp_path: Path) -> None:
    opened = table(labels="gaussian:1", columns=["atom", "start_zyx"]).select(range(30, 36))

    halved = opened.map(lambda row: {"atom": row["atom"] / 2})
    halved.save_to_disk(tmp_path / "saved")

    assert opened.features == halved.features
    for row, loaded in zip(opened, datasets.load_from_disk(tmp_path / "saved"), strict=True):
        assert np.array_equal(row["atom"] / 2, loaded["atom"])


def test_a_stream_with_channels_is_written_as_parquet(stream: Open, tmp_path: Path) -> None:
    opened = stream(labels="gaussian:1", columns=["secondary"]).take(20)

    opened.to_parquet(tmp_path / "some.parquet")

    loaded = datasets.Dataset.from_parquet(str(tmp_path / "some.parquet")).with_format("numpy")
    assert all(np.array_equal(a["secondary"], b["secondary"]) for a, b in zip(opened, loaded, strict=True))


def test_a_rule_has_one_table_however_it_is_written(table: Open) -> None:
    assert table(labels="sphere:2").cache_files == table(labels="sphere:2.0").cache_files


def test_columns_of_a_rule_may_be_named_alone_and_only_with_it(stream: Open) -> None:
    assert list(next(iter(stream(labels="offset", columns=["offset_mask", "entry_id"])))) == ["offset_mask", "entry_id"]
    with pytest.raises(UsageError, match="no column offset_mask; found: density, atom, amino, secondary, entry_id"):
        stream(columns=["offset_mask"])


def test_gaussians_of_volumes_that_are_too_large_are_refused(stream: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_columns, "MAX_ARRAY_BYTES", 1 << 22)

    with pytest.raises(UsageError, match=r"labels='gaussian:1': a\w+ of a volume of \d+ x \d+ x \d+ voxels would take"):
        stream(config="volumes", labels="gaussian:1")
    stream(config="volumes", labels="gaussian:1", columns=["density", "entry_id"])
    stream(labels="gaussian:1")


# rotations


@pytest.mark.parametrize(("rule", "shift"), [("stored", -0.5), ("floor", -0.5), ("nearest", 0.0)])
def test_labels_of_rotated_sub_grids_lie_as_those_of_the_volume_do(decoder: Volumes, rule: str, shift: float) -> None:
    apart: list[list[np.ndarray]] = [[] for _ in range(24)]
    columns = read_columns.array_columns(decoder.opened.manifest.schema, rule)
    for number in range(len(decoder.entries)):
        decoded = decoder.get(number, rule)
        grid = SubgridGrid.uniform(decoded.density.shape)
        (labels_of,) = decoder.atoms.labels([number], rule, rotated=True)
        for points in labels_of.points:
            first, rows = points.by_subgrid(grid, labels_of.rule.margin(1.0, 32))
            near = BoxPoints.gather(
                [(points, rows[first[k] : first[k + 1]], grid.start_of(k)) for k in range(len(grid))]
            )
            out = {name: np.empty((len(grid), 32, 32, 32), np.uint8) for name in near.values}
            for turn in range(24):
                turned = BoxPoints(rotate_points(near.place_zyx, turn, 32), near.sample, near.values)
                draw(labels_of.rule, [turned], out)
                if turn == 0:
                    for name, labels in out.items():
                        cuts = [decoded.cut(columns[name], grid.start_of(k), 32) for k in range(len(grid))]
                        assert np.array_equal(cuts, labels)
                if "atom" in out:
                    apart[turn].append(to_their_atoms(np.argwhere(out["atom"]), turned, shift))
    for turn in range(24):
        found = np.concatenate(apart[turn])
        assert len(found) > 1000
        assert np.allclose(found.mean(axis=0), shift, rtol=0, atol=0.05)


def to_their_atoms(voxel: np.ndarray, points: BoxPoints, shift: float) -> np.ndarray:
    """From the atoms that lie in the cells of labelled voxels, (n, 4) with the box first, to the voxels."""
    cell = np.column_stack([points.sample, np.floor(points.place_zyx + shift + 0.5)]).astype(int)
    found = {tuple(key): place for key, place in zip(cell.tolist(), points.place_zyx, strict=True)}
    return np.array([key[1:] - found[tuple(key.tolist())] for key in voxel])
