"""Cutting on an accelerator gives the batches of the host."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from cryodata.read.torch_device import DeviceCutter
from cryodata.torch import SubgridStream

KINDS: list[dict[str, Any]] = [
    {},
    {"labels": "nearest", "rotate": True},
    {"labels": "floor", "rotate": True},
    {"labels": "sphere:2", "rotate": True},
    {"labels": "gaussian:1"},
    {"labels": "offset", "rotate": True},
    {"rotate": "so3"},
    {"balance": "atoms"},
    {"columns": ["atom", "resolution"]},
]


def stream_of(simulated: Report, **changes: Any) -> SubgridStream:
    return SubgridStream(simulated.folder, split="train", batch_size=16, streams=4, remainder="keep", **changes)


def compare(there: list[dict[str, Any]], here: list[dict[str, Any]], so3: bool) -> None:
    assert len(there) == len(here)
    for ours, theirs in zip(there, here, strict=True):
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            if not isinstance(value, torch.Tensor):
                assert ours[name] == value
            elif so3 and name == "density":  # sums in another order
                torch.testing.assert_close(ours[name].cpu(), value, rtol=0, atol=2e-6)
            else:
                assert torch.equal(ours[name].cpu(), value), name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(map(str, kind.values())) or "plain")
def test_a_device_cuts_rotates_and_labels_as_the_host_does(simulated: Report, kind: dict[str, Any]) -> None:
    opened, host = stream_of(simulated, **kind), list(stream_of(simulated, **kind))
    number, size, dtype = opened._reader.slots
    cutter = DeviceCutter(torch.device("cpu"), number * size, dtype)

    there = []
    for place, batch in opened._reader.batches(0, new=cutter.new, fill=cutter.fill):
        told = {k: v if isinstance(v, (torch.Tensor, list)) else torch.from_numpy(v) for k, v in batch.items()}
        there.append({**told, "epoch": 0, "batch": place})

    compare(there, host, kind.get("rotate") == "so3")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(map(str, kind.values())) or "plain")
def test_so_does_a_gpu(simulated: Report, kind: dict[str, Any]) -> None:
    there = list(stream_of(simulated, device="cuda", **kind))

    assert all(v.is_cuda for batch in there for v in batch.values() if isinstance(v, torch.Tensor))
    compare(there, list(stream_of(simulated, **kind)), kind.get("rotate") == "so3")


def test_a_device_in_a_worker_is_refused_with_what_to_do(simulated: Report) -> None:
    opened = stream_of(simulated, device="meta")

    with pytest.raises(UsageError, match="device='meta' moves and cuts volumes in the training process: num_workers=0"):
        next(iter(DataLoader(opened, batch_size=None, num_workers=1, multiprocessing_context="fork")))
