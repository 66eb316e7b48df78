"""Batches that two hands fill together are those that one hand fills one by one, and nobody can tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryodata.build.dataset import Report
from cryodata.errors import DatasetError
from cryodata.read import cores
from cryodata.read.filling import Filling
from cryodata.torch import SubgridStream

Make = Callable[..., SubgridStream]


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many voxels are filled together, on two cores; the second is always idle."""

    def fill(voxels: int) -> None:
        monkeypatch.setattr(cores, "TOGETHER", voxels)
        monkeypatch.setattr(cores, "available_cores", lambda: 2)
        monkeypatch.setattr(Filling, "helped", property(lambda self: True))

    return fill


def served(opened: SubgridStream) -> list[tuple[Any, ...]]:
    """What batches hold, and the state after each."""
    return [
        (batch["batch"], batch["entry_id"], batch["density"].numpy().tobytes(), batch["atom"].numpy().tobytes(),
         opened.state_dict()["next_batch"])
        for batch in opened
    ]  # fmt: skip


@pytest.mark.parametrize("remainder", ["drop", "keep"])
@pytest.mark.parametrize(("streams", "pool"), [(1, 1), (1, 3), (4, 8)])
def test_they_are_the_same_and_so_is_the_state_after_each(
    simulated: Report, together: Callable[[int], None], streams: int, pool: int, remainder: str
) -> None:
    def make() -> SubgridStream:
        return SubgridStream(
            str(simulated.folder), split="train", batch_size=12, streams=streams, pool_volumes=pool,
            remainder=remainder, rotate=True,
        )  # fmt: skip

    together(1)
    one_by_one = served(make())
    together(1 << 30)

    assert served(make()) == one_by_one
    resumed = make()
    resumed.load_state_dict(resumed.state_at(0, 3))
    assert served(resumed) == one_by_one[3:]


def test_hands_meet_once_for_many_batches(
    simulated: Report, together: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    meetings: list[int] = []
    finish = Filling.finish
    monkeypatch.setattr(Filling, "finish", lambda self: (meetings.append(1), finish(self))[1])

    def met(voxels: int) -> tuple[int, int]:
        together(voxels)
        meetings.clear()
        opened = SubgridStream(str(simulated.folder), split="train", batch_size=8, streams=1, pool_volumes=3)
        return sum(1 for _ in opened), len(meetings)

    batches, alone = met(1)
    _, two = met(2 * 8 * 32**3)
    _, many = met(1 << 30)

    assert batches <= alone
    assert many < two < alone


def test_damage_ends_an_epoch_at_the_batch_that_needs_it_and_no_earlier(
    simulated: Report, together: Callable[[int], None], tmp_path: Path
) -> None:
    shutil.copytree(simulated.folder, tmp_path / "simulated")
    last = last_volume(tmp_path)
    path = next((tmp_path / "simulated").glob(f"volumes/*/{last}-*/density/c/0/0/0"))
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)

    def before(voxels: int) -> int:
        together(voxels)
        made: list[Any] = []
        with pytest.raises(DatasetError, match=f"entry {last}: .*damaged shard"):
            made.extend(SubgridStream(str(tmp_path / "simulated"), split="train", batch_size=12, streams=1))
        return len(made)

    assert before(1 << 30) == before(1) > 0


def last_volume(root: Path) -> str:
    """Entry whose sub-grids come last."""
    *_, batch = SubgridStream("simulated", split="train", batch_size=12, streams=1, root=root)
    return str(batch["entry_id"][-1])
