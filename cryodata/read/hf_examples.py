"""Streams of examples under an IterableDataset: the only place that touches a private part of `datasets`.

`datasets.iterable_dataset._BaseExamplesIterable` is subclassed so that a stream resumes exactly and at once; the public
`from_generator` reads again everything that it skips. Read in datasets 5.2; `tests/read/test_hf_contract.py` says what
must hold in a later one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import datasets
import numpy as np
from datasets.iterable_dataset import _BaseExamplesIterable

from cryodata.core.layout import canonical_json
from cryodata.errors import UsageError
from cryodata.read.sources import ExampleSource
from cryodata.read.stream import BatchReader

STREAMS = 8
"streams of the keyed order, and so the shards that workers can share"

ROUNDS = 8
"samples of each stream that are read at a time where samples are served one by one, stream after stream"


class _Typed(_BaseExamplesIterable):  # type: ignore[misc]
    """Examples that are of the declared types already, with a state that says which examples it counts."""

    def __init__(self, source: ExampleSource, features: datasets.Features) -> None:
        super().__init__()
        self.source = source
        self._features = features
        self._selected = source.selected
        self._sleep_on_threads_shutdown = False

    @property
    def is_typed(self) -> bool:
        """Nothing needs to be cast."""
        return True

    @property
    def features(self) -> datasets.Features:
        """The declared columns."""
        return self._features

    def reshard_data_sources(self) -> Any:
        """A volume is decoded as a whole, and streams are part of the order: shards are not divided."""
        return self

    def _begin(self, **places: int) -> dict[str, Any]:
        self._state_dict = {**places, "type": type(self).__name__, "of": self._selected}
        return self._state_dict

    def _place(self) -> dict[str, Any]:
        """The state to go on from. UsageError if it counts other examples than these."""
        state: dict[str, Any] = self._state_dict or self._init_state_dict()
        if state.get("of", self._selected) != self._selected:
            raise UsageError(
                "the state is of another dataset, version, split, filter, seed or batch size; load it into the same"
            )
        return state


class Examples(_Typed):
    """A source of examples in its own order; the state is a shard and a place in it."""

    def __init__(self, source: ExampleSource, order: list[int], features: datasets.Features) -> None:
        super().__init__(source, features)
        self.order = order

    @property
    def num_shards(self) -> int:
        """Shards that workers and nodes can share."""
        return len(self.order)

    def _init_state_dict(self) -> dict[str, Any]:
        return self._begin(shard_idx=0, shard_example_idx=0)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        state = self._place()
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


class KeyedExamples(_Typed):
    """Sub-grids in the keyed order, one by one or as whole batches; a shard is a stream of the order."""

    def __init__(self, reader: BatchReader, features: datasets.Features, whole: bool, epoch: int = 0) -> None:
        super().__init__(reader.plan.source, features)
        self.reader = reader  # the same for every epoch: it decodes into the same memory again
        self.whole = whole
        self.epoch = epoch
        order = canonical_json([reader.plan.identity(), list(reader.mine), whole])
        self._selected = hashlib.sha256(order).hexdigest()

    @property
    def num_shards(self) -> int:
        """Streams that workers and nodes can share."""
        return len(self.reader.mine)

    def _init_state_dict(self) -> dict[str, Any]:
        return self._begin(batch=0, sample=0, epoch=self.epoch)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        state = self._place()
        if state["epoch"] != self.epoch:
            raise UsageError(
                f"the state is of epoch {state['epoch']}, the dataset at epoch {self.epoch}: set_epoch first"
            )
        for number, batch in self.reader.batches(self.epoch, state["batch"]):
            if self.whole:
                state["batch"] = number + 1
                yield str(number), batch
                continue
            turns = self.reader.turns(number).tolist()
            for sample in range(state["sample"], len(turns)):
                last = sample + 1 == len(turns)
                state["batch"], state["sample"] = (number + 1, 0) if last else (number, sample + 1)
                yield f"{number}-{sample}", {name: _item(values[turns[sample]]) for name, values in batch.items()}

    def shuffle_data_sources(self, generator: np.random.Generator) -> KeyedExamples:
        """Another epoch of the same order: `set_epoch(n)` comes this way, as a generator seeded with n."""
        seeded = generator.bit_generator.seed_seq.entropy  # type: ignore[attr-defined]
        epoch = seeded if isinstance(seeded, int) else int(deepcopy(generator).integers(2**62))
        return KeyedExamples(self.reader, self._features, self.whole, epoch)

    def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> KeyedExamples:
        """The streams that fall to one of several workers."""
        part = self.split_shard_indices_by_worker(num_shards, index, contiguous=contiguous)
        reader = BatchReader(self.reader.plan, [self.reader.mine[i] for i in part])
        return KeyedExamples(reader, self._features, self.whole, self.epoch)


def _item(value: Any) -> Any:
    """One sample of a column: an array stays one if it is a box, with or without channels; numbers become Python's."""
    if isinstance(value, np.ndarray) and value.ndim >= 3:
        return value
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
