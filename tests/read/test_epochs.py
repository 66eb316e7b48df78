"""Epochs in a row: the first maps of the next one are decoded beside the last of this one, and nobody can tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.errors import DatasetError
from cryodata.read import cores
from cryodata.read.decode import Volumes, volumes_of
from cryodata.torch import SubgridStream

Make = Callable[..., SubgridStream]


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Twelve maps of a few batches each, nine of them for training."""
    return build(
        Request("simulated", tmp_path_factory.mktemp("maps"), version="0.1.0", settings=("maps=12", "residues=12"))
    )


@pytest.fixture
def stream(maps: Report, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A stream on two cores."""
    monkeypatch.setattr(cores, "available_cores", lambda: 2)

    def make(**changes: Any) -> SubgridStream:
        given: dict[str, Any] = {"batch_size": 8, "streams": 1, "pool_volumes": 2, "remainder": "keep", **changes}
        return SubgridStream(maps.folder, split="train", **given)

    return make


def epoch(opened: SubgridStream, number: int, batches: int | None = None) -> list[tuple[Any, ...]]:
    """What its batches hold."""
    opened.set_epoch(number)
    return [
        (batch["batch"], batch["entry_id"], batch["density"].numpy().tobytes(), batch["atom"].numpy().tobytes())
        for batch in islice(opened, batches)
    ]


def store_of(opened: SubgridStream) -> Volumes:
    return volumes_of(opened._reader.plan.source.key)


def maps_of(opened: SubgridStream) -> int:
    return len(opened._reader.plan.source.volumes)


def first_maps(opened: SubgridStream, number: int) -> list[int]:
    """Rows of the maps that an epoch begins with."""
    reader = opened._reader
    return list(reader.plan.source.volumes[reader.order(number).volumes_of_block(0, 0)])


def read_slowly(opened: SubgridStream, number: int, decodes: int) -> None:
    """An epoch whose last batch is held until so many maps were decoded since its begin."""
    store, before = store_of(opened), store_of(opened).decodes
    opened.set_epoch(number)
    passing = iter(opened)
    for _ in range(len(opened)):
        next(passing)
    give_up = time.monotonic() + 60
    while store.decodes < before + decodes and time.monotonic() < give_up:
        time.sleep(0.001)
    assert next(passing, None) is None
    assert store.decodes == before + decodes


@pytest.mark.parametrize(("streams", "pool"), [(1, 1), (1, 3), (1, 4), (1, 5), (1, 9), (2, 4), (4, 4), (4, 8)])
@pytest.mark.parametrize("options", [{}, {"rotate": True, "balance": "map"}, {"labels": "sphere:2"}], ids=str)
def test_each_is_what_it_is_alone(stream: Make, streams: int, pool: int, options: dict[str, Any]) -> None:
    opened = stream(streams=streams, pool_volumes=pool, **options)

    # in a row, one broken off and begun again, elsewhere, in a row again, and back
    passes = [(0, None), (1, None), (2, 5), (2, None), (3, None), (7, None), (8, 1), (9, None), (1, None)]
    for number, batches in passes:
        expected = epoch(stream(streams=streams, pool_volumes=pool, **options), number, batches)
        assert epoch(opened, number, batches) == expected


def test_who_has_read_two_in_a_row_finds_the_third_begun(stream: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, decode = stream(), Volumes.decode_density
    soon, count = first_maps(opened, 2), maps_of(opened)

    read_slowly(opened, 0, count)
    read_slowly(opened, 1, count + len(soon))

    def only_others(store: Volumes, number: int, *rest: Any) -> Any:
        assert number not in soon, "decoded a second time"
        return decode(store, number, *rest)

    monkeypatch.setattr(Volumes, "decode_density", only_others)
    assert epoch(opened, 2, 1)
    assert opened.decodes <= 2 * count + len(soon) + 2


def test_who_reads_one_again_and_again_has_nothing_decoded_ahead(stream: Make) -> None:
    opened = stream()

    for _ in range(3):
        epoch(opened, 0)

    assert opened.decodes == 3 * maps_of(opened)


def test_maps_that_are_all_mixed_leave_no_room_for_the_next_epoch(stream: Make) -> None:
    opened = stream(pool_volumes=9)

    for number in range(4):
        epoch(opened, number)

    assert opened.decodes == 4 * maps_of(opened)


def test_a_resumed_epoch_decodes_what_it_serves_though_more_was_begun(stream: Make) -> None:
    opened = stream()
    read_slowly(opened, 0, maps_of(opened))
    read_slowly(opened, 1, maps_of(opened) + len(first_maps(opened, 2)))
    opened.load_state_dict(opened.state_at(2, 3))

    resumed = [batch["density"].numpy().tobytes() for batch in opened]

    assert resumed == [density for _, _, density, _ in epoch(stream(), 2)[3:]]


@pytest.mark.parametrize(("reads", "balance"), [("decode_density", None), ("subgrid_values", "atoms")])
def test_what_the_next_epoch_cannot_read_is_told_by_that(
    stream: Make, monkeypatch: pytest.MonkeyPatch, reads: str, balance: str | None
) -> None:
    opened, read, asked = stream(balance=balance), getattr(Volumes, reads), [0]
    damaged = first_maps(opened, 2)[0]

    def fail(store: Volumes, number: int, *rest: Any) -> Any:
        asked[0] += number == damaged
        if asked[0] > 2:  # epochs 0 and 1 read it as it was
            raise DatasetError("damaged")
        return read(store, number, *rest)

    monkeypatch.setattr(Volumes, reads, fail)
    whole = len(epoch(opened, 0))
    opened.set_epoch(1)
    for batch in opened:
        give_up = time.monotonic() + 60
        while batch["batch"] == whole - 1 and asked[0] < 3 and time.monotonic() < give_up:
            time.sleep(0.001)

    assert (batch["batch"], asked) == (whole - 1, [3])
    with pytest.raises(DatasetError, match="damaged"):
        epoch(opened, 2)
