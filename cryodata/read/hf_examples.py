"""Streams of examples under an IterableDataset: the only place that touches a private part of `datasets`.

`datasets.iterable_dataset._BaseExamplesIterable` is subclassed so that a stream resumes exactly and at once; the public
`from_generator` reads again everything that it skips. Read in datasets 5.2; `tests/read/test_hf_contract.py` says what
must hold in a later one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import datasets
import numpy as np
from datasets.iterable_dataset import _BaseExamplesIterable

from cryodata.core.subgrids import Copy
from cryodata.errors import UsageError
from cryodata.read.sources import ExampleSource
from cryodata.read.stream import BatchReader, StreamPlan

STREAMS = 8
"streams of the keyed order, and so the shards that workers can share"


class Examples(_BaseExamplesIterable):  # type: ignore[misc]
    """A source of examples as the stream under an IterableDataset; its state is a shard and a place in it."""

    def __init__(self, source: ExampleSource, order: list[int], features: datasets.Features) -> None:
        super().__init__()
        self.source = source
        self.order = order
        self._of = source.selected
        self._features = features
        self._sleep_on_threads_shutdown = False

    @property
    def is_typed(self) -> bool:
        """Examples are of the declared types already."""
        return True

    @property
    def features(self) -> datasets.Features:
        """The declared columns."""
        return self._features

    @property
    def num_shards(self) -> int:
        """Shards that workers and nodes can share."""
        return len(self.order)

    def _init_state_dict(self) -> dict[str, Any]:
        self._state_dict = {"shard_idx": 0, "shard_example_idx": 0, "type": type(self).__name__, "of": self._of}
        return self._state_dict

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        state: dict[str, Any] = self._state_dict or {"shard_idx": 0, "shard_example_idx": 0}
        _check_state(state, self._of)
        for place in range(state["shard_idx"], len(self.order)):
            for example in self.source.examples(self.order[place], state["shard_example_idx"]):
                state["shard_example_idx"] += 1
                yield f"{self.order[place]}-{state['shard_example_idx']}", example
            state["shard_idx"], state["shard_example_idx"] = place + 1, 0

    def shuffle_data_sources(self, generator: np.random.Generator) -> Examples:
        """The shards in another order."""
        order = deepcopy(generator).permutation(len(self.order))
        return Examples(self.source, [self.order[i] for i in order], self._features)

    def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> Examples:
        """The part of the shards that falls to one of several workers."""
        mine = self.split_shard_indices_by_worker(num_shards, index, contiguous=contiguous)
        return Examples(self.source, [self.order[i] for i in mine], self._features)

    def reshard_data_sources(self) -> Examples:
        """A volume is decoded as a whole: shards are not divided."""
        return self


class KeyedExamples(_BaseExamplesIterable):  # type: ignore[misc]
    """Sub-grids in the keyed order, one by one or as whole batches; a shard is a stream of the order."""

    def __init__(
        self, plan: StreamPlan, mine: Sequence[int], features: datasets.Features, whole: bool, epoch: int = 0
    ) -> None:
        super().__init__()
        self.plan = plan
        self.mine = list(mine)
        self._of = plan.source.selected
        self.whole = whole
        self.epoch = epoch
        self._features = features
        self._sleep_on_threads_shutdown = False

    @property
    def is_typed(self) -> bool:
        """Examples are of the declared types already."""
        return True

    @property
    def features(self) -> datasets.Features:
        """The declared columns."""
        return self._features

    @property
    def num_shards(self) -> int:
        """Streams that workers and nodes can share."""
        return len(self.mine)

    def _init_state_dict(self) -> dict[str, Any]:
        self._state_dict = {"batch": 0, "sample": 0, "type": type(self).__name__, "of": self._of}
        return self._state_dict

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        state: dict[str, Any] = self._state_dict or {"batch": 0, "sample": 0}
        _check_state(state, self._of)
        reader = BatchReader(self.plan, self.mine, _fastest_copy())
        for number, batch in reader.batches(self.epoch, state["batch"]):
            if self.whole:
                state["batch"] = number + 1
                yield str(number), batch
                continue
            count = len(next(iter(batch.values())))
            for sample in range(state["sample"], count):
                last = sample + 1 == count
                state["batch"], state["sample"] = (number + 1, 0) if last else (number, sample + 1)
                yield f"{number}-{sample}", {name: _item(values[sample]) for name, values in batch.items()}

    def shuffle_data_sources(self, generator: np.random.Generator) -> KeyedExamples:
        """Another epoch of the same order: `set_epoch` comes this way."""
        epoch = int(deepcopy(generator).integers(2**62))
        return KeyedExamples(self.plan, self.mine, self._features, self.whole, epoch)

    def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> KeyedExamples:
        """The streams that fall to one of several workers."""
        part = self.split_shard_indices_by_worker(num_shards, index, contiguous=contiguous)
        return KeyedExamples(self.plan, [self.mine[i] for i in part], self._features, self.whole, self.epoch)

    def reshard_data_sources(self) -> KeyedExamples:
        """Streams are part of the order: they are not divided."""
        return self


def _fastest_copy() -> Copy:
    """PyTorch's copy where PyTorch is loaded anyway; the values are the same."""
    if "torch" not in sys.modules:
        return np.copyto
    from cryodata.read.torch_stream import copy_by_torch

    return copy_by_torch


def _check_state(state: Mapping[str, Any], expected: str) -> None:
    if state.get("of", expected) != expected:
        raise UsageError("the state is of another dataset, version, split or filter; load it into the same")


def _item(value: Any) -> Any:
    """One sample of a column: an array stays one if it is a box; numbers become Python's."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        return value
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
