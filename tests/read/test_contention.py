"""Several passes and workers at one memory: nobody is cut off, overwritten or kept waiting for nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.read import shared, slots
from cryodata.read.decode import Volumes, volumes_of
from cryodata.torch import SubgridStream

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:This DataLoader will create:UserWarning",
        "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning",
    ),
    pytest.mark.skipif(not shared.AVAILABLE, reason="workers share nothing"),
]

Make = Callable[..., SubgridStream]
Batch = dict[str, Any]


def loader(dataset: Any, workers: int, **options: Any) -> DataLoader[Any]:
    context = "fork" if workers else None
    return DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context=context, **options)


def same(left: Batch, right: Batch) -> bool:
    return list(left) == list(right) and all(
        torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        for name, value in left.items()
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A stream of maps that a few batches pass."""
    settings = ("maps=14", "residues=12")
    report = build(Request("simulated", tmp_path_factory.mktemp("many"), version="0.1.0", settings=settings))

    def make(**changes: Any) -> SubgridStream:
        arguments = {"split": "train", "batch_size": 24, "seed": 1, "streams": 1, "remainder": "keep"}
        return SubgridStream("simulated", root=report.folder.parent, **{**arguments, **changes})

    return make


def test_a_worker_that_is_forked_while_a_map_is_begun_is_not_held_up(many: Make) -> None:
    opened = many()
    store = volumes_of(opened._reader.plan.source.key)

    with store._counting:  # as a thread that decodes has it, which no child has
        first = next(iter(loader(opened, 1, timeout=60)))

    assert same(first, next(iter(opened)))


def test_a_map_that_is_still_being_decoded_is_not_written_over_another(
    many: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = many()
    reader, decode = opened._reader, Volumes.decode_density
    alone = dict(reader.batches(0))
    late = int(reader.plan.source.volumes[reader.order(0).volumes_of_block(0, 1)[0]])

    def slow(store: Volumes, number: int, *rest: Any) -> Any:
        until = time.monotonic() + (0.5 if number == late else 0)
        while True:
            decoded = decode(store, number, *rest)
            if time.monotonic() > until:
                return decoded

    monkeypatch.setattr(Volumes, "decode_density", slow)
    # the second worker of five: it leaves out blocks that were begun for it
    served = dict(reader.batches(0, first=0, step=5))

    assert [n for n, batch in served.items() if not np.array_equal(batch["density"], alone[n]["density"])] == []


def test_workers_that_pass_maps_quickly_do_not_wait_for_each_other(many: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PATIENCE", 60.0)
    alone, begun = list(many(batch_size=64)), time.monotonic()

    served = list(loader(many(batch_size=64), 3))

    assert time.monotonic() - begun < 30
    assert [number for number, batch in enumerate(served) if not same(batch, alone[number])] == []


class Both(IterableDataset[list[Batch]]):
    """Two passes over one stream, the second some batches behind."""

    def __init__(self, stream: SubgridStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[list[Batch]]:
        ahead, behind = iter(self.stream), iter(self.stream)
        waiting = [next(ahead)["density"].clone() for _ in range(3)]
        for batch in ahead:
            waiting.append(batch["density"].clone())
            yield [waiting.pop(0), next(behind)["density"].clone()]


def test_two_passes_in_one_worker_do_not_meet(many: Make) -> None:
    pairs = list(loader(Both(many()), 2))

    assert len(pairs) > 4
    assert all(torch.equal(left, right) for left, right in pairs)


LEFT_OPEN = """
import sys
from cryodata.torch import SubgridStream
left = iter(SubgridStream(sys.argv[1], split="train", batch_size=8))
next(left)
"""


def test_a_program_that_leaves_an_epoch_in_the_middle_ends_in_silence(simulated: Report) -> None:
    command = [sys.executable, "-c", LEFT_OPEN, str(simulated.folder)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert (done.returncode, done.stderr) == (0, "")
