"""Copies of a stream are streams, and copies of a batch are batches, also where workers make them."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from cryodata.build.dataset import Report
from cryodata.torch import SubgridStream

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create:UserWarning",
    "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning",
)

Make = Callable[..., SubgridStream]
Batch = dict[str, Any]


@pytest.fixture
def stream(simulated: Report) -> Make:
    """A stream of whole sub-grids of the training maps; arguments may be overridden."""

    def make(**changes: Any) -> SubgridStream:
        arguments = {"split": "train", "batch_size": 16, "seed": 1, "streams": 4, "remainder": "keep"}
        return SubgridStream("simulated", root=simulated.folder.parent, **{**arguments, **changes})

    return make


def loader(dataset: Any, workers: int, **options: Any) -> DataLoader[Any]:
    context = "fork" if workers else None
    return DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context=context, **options)


def same(left: Batch, right: Batch) -> bool:
    return list(left) == list(right) and all(
        torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        for name, value in left.items()
    )


class Copied(IterableDataset[Batch]):
    """Copies each batch before it is sent, and changes the copy."""

    def __init__(self, stream: SubgridStream, way: Callable[[Batch], Batch]) -> None:
        self.stream, self.way = stream, way

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.stream:
            self.way(batch)["density"].fill_(-1)
            yield batch


def dumped(batch: Batch) -> Batch:
    copied: Batch = pickle.loads(pickle.dumps(batch))
    return copied


@pytest.mark.parametrize("way", [copy.deepcopy, dumped], ids=["deepcopy", "pickle"])
def test_a_copy_made_in_a_worker_is_a_copy(stream: Make, way: Callable[[Batch], Batch]) -> None:
    served = list(loader(Copied(stream(), way), 1))

    assert all(same(ours, alone) for ours, alone in zip(served, stream(), strict=True))


class Stored(IterableDataset[bytes]):
    """Batches as bytes, such as a worker might write to a cache on disk."""

    def __init__(self, stream: SubgridStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return map(pickle.dumps, self.stream)


def test_a_batch_stored_by_a_worker_can_be_read_anywhere(stream: Make) -> None:
    raw = list(loader(Stored(stream()), 1))
    gc.collect()  # the stream is gone
    served = [pickle.loads(one) for one in raw]

    assert all(same(ours, alone) for ours, alone in zip(served, stream(), strict=True))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))],
                         ids=["deepcopy", "pickle"])  # fmt: skip
def test_workers_that_live_on_hear_of_the_epoch_of_a_copied_stream(stream: Make, way: Callable[[Any], Any]) -> None:
    opened = way(stream())
    kept = loader(opened, 1, persistent_workers=True)

    epochs = []
    for epoch in range(3):
        opened.set_epoch(epoch)
        epochs.append({batch["epoch"] for batch in kept})

    assert epochs == [{0}, {1}, {2}]
