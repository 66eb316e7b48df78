"""From label volumes back to points: voxels stay, what a model says is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from cryodata.core.model import AtomicModel
from cryodata.core.volume import Volume
from cryodata.prepare.arrays import AMINO, ATOM, SECONDARY
from cryodata.prepare.labels import LOST, OUTSIDE, UNLABELLED, WRITTEN
from cryodata.prepare.unpaint import Painted, recognised, unpainted
from tests.prepare.labelled import volume_of

ARRAYS = {array.name: replace(array, kinds=()) for array in (ATOM, AMINO, SECONDARY)}
NAMES = {name: {item.value: item.name for item in array.classes} for name, array in ARRAYS.items()}
SHAPE = (6, 7, 8)
GRID = Volume(np.zeros(SHAPE, dtype=np.float32), np.ones(3), np.array([-10.0, 20.0, 30.0]))

Voxel = tuple[int, int, int]


def painted(rule: str = "floor", **labels: Mapping[Voxel, int]) -> Painted:
    volumes = {}
    for name, voxels in labels.items():
        volumes[name] = np.zeros(SHAPE, dtype=np.uint8)
        for voxel, value in voxels.items():
            volumes[name][voxel] = value
    return Painted(volumes, NAMES, rule)


def model(*rows: tuple[str, str, str, int, Voxel]) -> AtomicModel:
    """Atoms (name, element, residue, number, voxel), a quarter of a voxel from the corner that floor counts from."""
    name, element, residue, number, voxel = zip(*rows, strict=True)
    count = len(rows)
    place = np.array(voxel, dtype=np.float64)[:, ::-1] + 0.25 + GRID.origin_xyz
    kind = ["ligand" if item == "CA" and of == "CA" else "peptide" for item, of in zip(name, element, strict=True)]
    blank = np.full(count, "")
    return AtomicModel(
        xyz=place, atom=np.array(name), element=np.array(element), residue=np.array(residue), chain=np.full(count, "A"),
        label_seq_id=np.array(number, dtype=np.int32), auth_seq_id=np.array(number, dtype=np.int32),
        insertion_code=blank, altloc=blank, entity_kind=np.array(kind), occupancy=np.ones(count, dtype=np.float32),
        b_factor=np.full(count, 50.0, dtype=np.float32), position=np.array(number, dtype=np.int32),
        secondary=np.full(count, 2, dtype=np.uint8), parent=np.array(residue),
    )  # fmt: skip


def same(label: str, points: object, expected: npt.NDArray[np.uint8]) -> bool:
    return bool(np.array_equal(volume_of(ARRAYS[label], points, SHAPE), expected))  # type: ignore[arg-type]


def test_each_label_is_written_again_from_the_points_it_was_read_as() -> None:
    # at 3, 3, 3 the C of one residue and the CA of another one meet, as the scripts let the last one stay
    labels = painted(
        atom={(1, 1, 1): 1, (1, 1, 2): 2, (3, 3, 3): 3, (5, 6, 7): 1},
        amino={(1, 1, 1): 7, (3, 3, 3): 20},
        secondary={(1, 1, 1): 2, (3, 3, 3): 3, (5, 6, 7): 1},
    )

    points = unpainted(labels, GRID)

    assert all(same(name, points, volume) for name, volume in labels.volumes.items())
    assert points.model.atom.tolist() == ["CA", "CA", "CA", "N", "C"]
    assert points.state.tolist() == [WRITTEN, LOST, WRITTEN, WRITTEN, WRITTEN]
    assert points.model.residue.tolist() == ["GLU", "VAL", "UNK", "UNK", "UNK"]


@pytest.mark.parametrize(("rule", "beyond"), [("floor", 0.5 - 2**-10), ("nearest", 0.0)])
def test_a_point_without_a_model_lies_in_the_middle_of_what_its_rule_takes(rule: str, beyond: float) -> None:
    points = unpainted(painted(rule, atom={(1, 2, 3): 1}), GRID)

    assert points.model.xyz.tolist() == [[-10.0 + 3 + beyond, 20.0 + 2 + beyond, 30.0 + 1 + beyond]]
    assert points.voxel_zyx.tolist() == [[1, 2, 3]]


def test_points_take_chain_and_place_of_the_atoms_of_a_model_and_the_others_follow_in_its_order() -> None:
    labels = painted(atom={(1, 1, 1): 1, (1, 1, 2): 3, (4, 4, 4): 2}, amino={(1, 1, 1): 1})
    atoms = model(
        ("N", "N", "ALA", 1, (1, 1, 2)),  # lost its voxel to the C
        ("CA", "C", "ALA", 1, (1, 1, 1)),
        ("C", "C", "ALA", 1, (1, 1, 2)),
        ("CB", "C", "ALA", 1, (1, 2, 1)),
        ("N", "N", "GLY", 2, (9, 1, 1)),  # beyond the grid
        ("CA", "C", "GLY", 2, (9, 1, 2)),
        ("CA", "CA", "CA", 3, (2, 2, 2)),  # calcium, which no label shows
    )

    points, found = recognised(unpainted(labels, GRID), atoms, labels, GRID)

    assert found.tolist() == [True, True, False]  # CA, C, and the N that the model lacks
    told = points.model.atom.tolist(), points.model.residue.tolist(), points.state.tolist(), points.state_ca.tolist()
    other = UNLABELLED
    assert list(zip(*told, strict=True)) == [
        ("N", "ALA", LOST, other),
        ("CA", "ALA", WRITTEN, WRITTEN),
        ("C", "ALA", WRITTEN, other),
        ("CB", "ALA", other, other),
        ("N", "GLY", OUTSIDE, other),
        ("CA", "GLY", OUTSIDE, OUTSIDE),
        ("N", "UNK", WRITTEN, other),
    ]
    assert points.model.xyz[1].tolist() == atoms.xyz[1].tolist()
    assert all(same(name, points, volume) for name, volume in labels.volumes.items())


def test_a_residue_that_the_label_names_wins_over_that_of_the_model_and_an_unnamed_one_stays_unnamed() -> None:
    labels = painted(atom={(1, 1, 1): 1, (3, 3, 3): 1, (5, 5, 5): 1}, amino={(1, 1, 1): 20})
    atoms = model(
        ("CA", "C", "ALA", 1, (1, 1, 1)), ("CA", "C", "GLY", 2, (3, 3, 3)), ("CA", "C", "MSE", 3, (5, 5, 5))
    )  # fmt: skip

    points, _ = recognised(unpainted(labels, GRID), atoms, labels, GRID)

    assert points.model.residue.tolist() == ["VAL", "UNK", "MSE"]  # MSE has no number, so the label is right to be 0
    assert same("amino", points, labels.volumes["amino"])


def test_labels_that_there_is_no_volume_of_come_from_the_model() -> None:
    labels = painted(atom={(1, 1, 1): 1})

    points, _ = recognised(unpainted(labels, GRID), model(("CA", "C", "VAL", 1, (1, 1, 1))), labels, GRID)

    assert volume_of(ARRAYS["amino"], points, SHAPE)[1, 1, 1] == 20
    assert volume_of(ARRAYS["secondary"], points, SHAPE)[1, 1, 1] == 2
