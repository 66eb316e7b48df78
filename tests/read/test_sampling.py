"""Label rules, rotations and balanced draws of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.core.rotations import ROTATIONS, rotated, sample_trilinear
from cryodata.errors import UsageError
from cryodata.read.slots import OwnSlots
from cryodata.torch import SubgridStream

Make = Callable[..., SubgridStream]

BOX, MARGIN = 32, 6


@pytest.fixture
def stream(simulated: Report) -> Make:
    """A stream of whole sub-grids of the training maps; arguments may be overridden."""

    def make(**changes: Any) -> SubgridStream:
        arguments = {
            "split": "train",
            "batch_size": 24,
            "seed": 5,
            "streams": 1,
            "pool_volumes": 3,
            "remainder": "keep",
        }
        return SubgridStream(simulated.folder, **{**arguments, **changes})

    return make


def samples(batches: Any) -> list[dict[str, Any]]:
    """Batches as samples with arrays."""
    found = []
    for batch in batches:
        arrays = {name: value.numpy() if hasattr(value, "numpy") else value for name, value in batch.items()}
        count = len(arrays["start_zyx"])
        found += [
            {name: value[i] for name, value in arrays.items() if name not in ("epoch", "batch")} for i in range(count)
        ]
    return found


def place(sample: dict[str, Any]) -> tuple[str, ...]:
    return (sample["entry_id"], *map(int, sample["start_zyx"]))


@pytest.fixture(scope="module")
def many_atoms(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two maps with 1,440 labelled atoms: means over them are sharp."""
    settings = ("maps=2", "residues=480", "resolution=3.5")
    return build(Request("simulated", tmp_path_factory.mktemp("many"), version="0.1.0", settings=settings))


@pytest.fixture(scope="module")
def atoms(simulated: Report, many_atoms: Report) -> dict[tuple[Path, str], np.ndarray]:
    """By dataset and entry, fractional indices z, y, x of its labelled atoms."""
    found = {}
    for folder in (simulated.folder, many_atoms.folder):
        for entry in load_dataset(folder, "entries", split="train"):
            labelled = [("entry_id", "==", entry["entry_id"]), ("state", "<", 255)]
            table = load_dataset(folder, "atoms", split="train", filter=labelled)
            index = (np.array(table["xyz"]) - np.array(entry["origin_xyz"])) / np.array(entry["voxel_size_xyz"])
            found[folder, entry["entry_id"]] = index[:, ::-1]
    return found


@pytest.mark.parametrize("rule", ["stored", "floor", "nearest", "sphere:2", "gaussian:1", "offset"])
@pytest.mark.parametrize("workers", [0, 2])
def test_labels_by_any_rule_are_those_of_load_dataset(stream: Make, simulated: Report, rule: str, workers: int) -> None:
    table = load_dataset(simulated.folder, split="train", labels=rule)
    expected = {place(row): row for row in table.select(range(0, len(table), 7))}

    served = samples(DataLoader(stream(labels=rule), None, num_workers=workers))
    compared = [sample for sample in served if place(sample) in expected]

    assert len(served) == len(table) and len(compared) == len(expected)
    for sample in compared:
        for name in table.column_names:
            if isinstance(sample[name], np.ndarray):
                np.testing.assert_array_equal(sample[name], expected[place(sample)][name], err_msg=name)


def test_a_rotated_sample_is_the_rotated_sub_grid(stream: Make) -> None:
    plain = {place(sample): sample for sample in samples(stream())}
    numbers = Counter()
    for sample in samples(stream(rotate=True)):
        (number,) = np.flatnonzero((sample["rotation"] == ROTATIONS).all(axis=(1, 2)))
        numbers[number] += 1
        np.testing.assert_array_equal(sample["density"], rotated(plain[place(sample)]["density"], number))

    assert len(numbers) == 24  # each comes up in 216 samples


def check_labels(sample: dict[str, Any], index: np.ndarray, rule: str, gathered: list[np.ndarray]) -> None:
    """Atom labels are where the rule puts the rotated atoms and nowhere else; distances are gathered."""
    centre = (BOX - 1) / 2
    turned = (index - sample["start_zyx"] - centre) @ sample["rotation"].T + centre
    voxel = np.floor(turned if rule == "floor" else turned + 0.5).astype(int)
    inside = np.all((voxel >= 0) & (voxel < BOX), axis=1)
    labels = {tuple(v) for v in np.argwhere(sample["atom"] > 0)}

    assert labels == {tuple(v) for v in voxel[inside]}
    gathered.append(voxel[inside] - turned[inside])


@pytest.mark.parametrize(("rule", "shift"), [("floor", -0.5), ("nearest", 0.0)])
def test_after_each_rotation_labels_lie_by_the_rule_on_the_rotated_atoms(
    many_atoms: Report, atoms: Any, rule: str, shift: float
) -> None:
    opened = SubgridStream(
        many_atoms.folder,
        split="train",
        batch_size=24,
        rotate=True,
        labels=rule,
        columns=["entry_id", "start_zyx", "atom"],
    )
    gathered: list[list[np.ndarray]] = [[] for _ in ROTATIONS]
    for epoch in range(12):
        opened.set_epoch(epoch)
        for sample in samples(opened):
            (number,) = np.flatnonzero((sample["rotation"] == ROTATIONS).all(axis=(1, 2)))
            check_labels(sample, atoms[many_atoms.folder, sample["entry_id"]], rule, gathered[number])

    for number, distances in enumerate(gathered):
        mean = np.concatenate(distances).mean(axis=0)
        assert np.all(np.abs(mean - shift) <= 0.05), f"rotation {number}: {mean}"


def test_any_rotation_turns_density_and_labels_together(stream: Make, simulated: Report, atoms: Any) -> None:
    volumes = {row["entry_id"]: row["density"] for row in load_dataset(simulated.folder, "volumes", split="train")}
    for sample in samples(stream(rotate="so3", labels="nearest"))[::5]:
        assert np.linalg.det(sample["rotation"]) == pytest.approx(1)
        centre = sample["start_zyx"] + (BOX - 1) / 2
        expected = sample_trilinear(volumes[sample["entry_id"]], centre, sample["rotation"], BOX)
        np.testing.assert_allclose(sample["density"], expected, atol=1e-6)
        check_labels(sample, atoms[simulated.folder, sample["entry_id"]], "nearest", [])


def test_rotations_follow_from_seed_and_epoch_whatever_the_workers(stream: Make) -> None:
    def rotations(**changes: Any) -> np.ndarray:
        opened = stream(rotate=True, columns=["start_zyx"], **changes)
        return np.stack([sample["rotation"] for sample in samples(DataLoader(opened, None, num_workers=2))])

    np.testing.assert_array_equal(rotations(), np.stack([s["rotation"] for s in samples(stream(rotate=True))]))
    assert np.any(rotations() != rotations(seed=6))


def test_balanced_by_map_every_map_comes_as_often(stream: Make) -> None:
    plain, balanced = samples(stream()), samples(stream(balance="map"))
    number = Counter(sample["entry_id"] for sample in plain)
    drawn = Counter(sample["entry_id"] for sample in balanced)

    assert len(balanced) == len(plain)
    assert len(set(number.values())) > 1, "maps of different sizes"
    assert max(drawn.values()) - min(drawn.values()) <= max(number.values()) // 10
    for sample in balanced:
        assert sample["probability"] == pytest.approx(len(plain) / 3 / number[sample["entry_id"]])


@pytest.mark.parametrize("balance", ["atoms", {"n_ca_box": 1.0, "occupied": 2.0}])
def test_balanced_by_columns_what_weighs_more_comes_more_often(stream: Make, simulated: Report, balance: Any) -> None:
    balanced = samples(stream(balance=balance))
    plain = {place(sample): int((sample["amino"] > 0).sum()) for sample in samples(stream())}
    drawn = [plain[place(sample)] for sample in balanced]

    assert len(balanced) == len(plain)
    assert np.mean(drawn) > 1.5 * np.mean(list(plain.values()))
    # weighted by 1 / probability, the draws stand for every sub-grid once
    assert sum(1 / sample["probability"] for sample in balanced) == pytest.approx(len(plain), rel=0.25)


def test_balanced_draws_decode_each_map_once_and_resume(stream: Make) -> None:
    opened = stream(balance="atoms")
    alone = [place(sample) for sample in samples(opened)]
    state = opened.state_at(0, 4)
    again = stream(balance="atoms")
    again.load_state_dict(state)

    assert opened.decodes == 3
    assert [place(sample) for sample in samples(again)] == alone[4 * 24 :]
    with pytest.raises(UsageError, match="the state is of another stream: balance is"):
        stream(balance="map").load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotate": "O3"}, "rotate='O3'; expected one of False, True, 'so3'"),
        ({"rotate": 1}, "rotate=1; expected one of False, True, 'so3'"),
        ({"balance": "volume"}, "balance='volume'; expected 'map', 'atoms' or a dictionary"),
        ({"balance": {"mass": 1}}, "balance: no column mass of sub-grids; found: n_ca_core, n_ca_box, "),
        ({"balance": "atoms", "box": 64, "core": 32}, "balance= looks at the table of sub-grids, which has box 32"),
        ({"labels": "cube:2"}, "no label rule 'cube:2'; found: stored, floor, nearest, sphere:R"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(stream: Make, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(**change)


@pytest.mark.parametrize("rotate", [False, True, "so3"])
@pytest.mark.parametrize("begin", [0, 3, -1], ids=["from the start", "goes on", "last batch"])
def test_what_is_not_decoded_is_never_looked_at(many_atoms: Report, rotate: bool | str, begin: int) -> None:
    def few() -> SubgridStream:
        condition = [("n_ca_core", ">", 4)]
        return SubgridStream(
            many_atoms.folder, split="train", batch_size=16, filter=condition, rotate=rotate, streams=2
        )

    alone, opened = list(few()), few()
    first = begin % len(alone)
    slots = OwnSlots(*opened._reader.slots)
    slots.voxels[:] = np.nan
    opened._reader._unused.append((slots, {}))
    opened.load_state_dict(opened.state_at(0, first))
    rest = list(opened)

    assert np.isnan(slots.voxels).any()  # some of each map is left out
    assert [batch["batch"] for batch in rest] == list(range(first, len(alone)))
    for batch, expected in zip(rest, alone[first:], strict=True):
        assert (batch["density"] == expected["density"]).all()
        assert (batch["atom"] == expected["atom"]).all()
