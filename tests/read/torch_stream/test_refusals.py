"""Arguments that a SubgridStream refuses, and what it says instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from tests.read.torch_stream.batches import Make, everything


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"streams": 3}, "batch_size=8 is not a multiple of streams=3; streams may be [1, 2, 4, 8]"),
        ({"rank": 0, "world_size": 3}, "world_size=3 does not divide streams=4; it may be [1, 2, 4]"),
        ({"rank": 2, "world_size": 2}, "rank=2; expected 0 to 1"),
        ({"pool_volumes": 6}, "pool_volumes=6 is not a multiple of streams=4"),
        ({"remainder": "pad"}, "remainder='pad'; expected one of drop, keep"),
        ({"split": "dev"}, "no split 'dev' of the scheme 'resolution'; found: train, validation, test, unassigned"),
    ],
)
def test_what_does_not_divide_is_refused_with_what_would(stream: Make, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stream(**change)

    assert str(caught.value) == message


def test_a_rank_without_a_sample_in_the_last_batch_is_refused_before_the_epoch(stream: Make, simulated: Report) -> None:
    total = len(everything(simulated))
    streams = next(n for n in (2, 4, 8) if total % n)
    # streams of n and of n + 1 sub-grids, n to a batch: the last batch holds only what some have left
    batch_size = streams * (total // streams)

    with pytest.raises(UsageError, match=f"the last batch would leave rank . of {streams} without a sample"):
        stream(streams=streams, pool_volumes=streams, batch_size=batch_size, rank=0, world_size=streams)


def test_a_batch_larger_than_all_there_is_is_refused(stream: Make, simulated: Report) -> None:
    count = len(everything(simulated))

    assert len(stream(batch_size=4096)) == 1
    with pytest.raises(UsageError, match=f"^batch_size=4096: {count:,} sub-grids, dealt to 4 streams, make no whole"):
        stream(batch_size=4096, remainder="drop")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(stream: Make) -> None:
    with pytest.raises(UsageError, match=r"^device='cuda': PyTorch .* finds no GPU; leave it out for the CPU$"):
        stream(device="cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 1}, "rank=1, world_size=None; expected both, or neither"),
        ({"world_size": 2}, "rank=None, world_size=2; expected both, or neither"),
        ({"box": 0}, "core must be 1 to box, found core=20, box=0"),
        ({"pool_volumes": 0}, "pool_volumes=0 is not a multiple of streams=4"),
        ({"shuffle": 0}, "shuffle=0; expected True or False"),
        ({"batch_size": 0}, "batch_size=0; expected 1 or more"),
        ({"streams": 0}, "streams=0; expected 1 or more"),
        ({"device": "gpu"}, "device='gpu'; expected one that PyTorch knows, such as 'cuda' or 'cuda:1'"),
    ],
)
def test_what_makes_no_sense_is_refused(stream: Make, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(**change)


@pytest.mark.parametrize("name", ["batch_size", "streams", "pool_volumes", "seed"])
@pytest.mark.parametrize("value", [8.0, True, "8"])
def test_numbers_that_are_not_whole_are_refused(stream: Make, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}=.*expected a whole number"):
        stream(**{name: value})


def test_an_epoch_is_a_whole_number(stream: Make) -> None:
    with pytest.raises(UsageError, match=r"epoch=1\.7; expected a whole number"):
        stream().set_epoch(1.7)
