"""Genuine `datasets` objects (Hugging Face), and the only place that touches a private part of that library:

`datasets.iterable_dataset._BaseExamplesIterable` is subclassed so that a stream resumes exactly and at once; the public
`from_generator` reads again everything that it skips. Read in datasets 5.2; `tests/read/test_hf_contract.py` says what
must hold in a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.iterable_dataset import _BaseExamplesIterable

from cryodata.core.schema import ArraySpec, Schema
from cryodata.errors import DatasetError, UsageError
from cryodata.read.decode import VersionKey
from cryodata.read.features import Voxels
from cryodata.read.sources import ExampleSource, SubgridSource
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
        reader = BatchReader(self.plan, self.mine)
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


class SubgridDataset(datasets.IterableDataset):  # type: ignore[misc]
    """A stream of sub-grids in the order of the table; `shuffle` turns it into one in the keyed order."""

    def shuffle(
        self,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        buffer_size: int = 1000,
        max_buffer_input_shards: int = 10,
    ) -> Any:
        """Shuffle over all maps, exactly resumable; no buffer is needed, so its sizes are not looked at.

        Each map is still decoded once. Called after other operations, it is the buffer shuffle of `datasets`.
        """
        examples = self._ex_iterable
        source = examples.source if isinstance(examples, Examples) else None
        if generator is not None or not isinstance(source, SubgridSource):
            return super().shuffle(seed, generator, buffer_size, max_buffer_input_shards)
        seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        plan = StreamPlan(source, STREAMS, seed, True, STREAMS, STREAMS, "keep")
        return keyed_stream(plan, examples.features, False, self._info, str(self._split))


def streaming(source: ExampleSource, features: datasets.Features, info: Mapping[str, str], split: str) -> Any:
    """An IterableDataset over a source, in the order of the table."""
    examples = Examples(source, list(range(source.shards)), features)
    kind = SubgridDataset if isinstance(source, SubgridSource) else datasets.IterableDataset
    return kind(examples, info=_info(features, info), split=datasets.NamedSplit(split))


def keyed_stream(plan: StreamPlan, features: datasets.Features, whole: bool, info: Any, split: str) -> Any:
    """An IterableDataset in the keyed order. whole: examples are batches, with the features of batches."""
    info = info if isinstance(info, datasets.DatasetInfo) else _info(features, info)
    examples = KeyedExamples(plan, range(plan.streams), features, whole)
    return datasets.IterableDataset(examples, info=info, split=datasets.NamedSplit(split))


def batch_features(features: datasets.Features) -> datasets.Features:
    """Types of whole batches of sub-grids."""
    return datasets.Features(
        {
            name: datasets.Array4D(shape=(None, *feature.shape), dtype=feature.dtype)
            if isinstance(feature, datasets.Array3D)
            else datasets.List(feature)
            for name, feature in features.items()
        }
    )


def mapped(path: Path, features: datasets.Features, info: Mapping[str, str], split: str) -> Any:
    """A Dataset over an Arrow file in memory map: it is as large as the disk allows and cheap to send to workers."""
    return datasets.Dataset.from_file(str(path), info=_info(features, info), split=datasets.NamedSplit(split))


def subgrid_features(
    schema: Schema, columns: tuple[str, ...], box: int, key: VersionKey | None, rule: str
) -> datasets.Features:
    """Types of a sub-grid example: arrays as they are in a stream (key None), lazily cut in a table."""
    arrays = {array.name: array for array in schema.arrays}
    shape = (box, box, box)
    return datasets.Features(
        {
            name: _array_feature(arrays[name], shape, key, rule) if name in arrays else _plain_feature(name)
            for name in columns
        }
    )


def volume_features(schema: Schema, columns: tuple[str, ...], key: VersionKey, rule: str) -> datasets.Features:
    """Types of a volume example; arrays of any shape."""
    arrays = {array.name: array for array in schema.arrays}
    return datasets.Features(
        {name: voxels(arrays[name], None, key, rule) if name in arrays else _plain_feature(name) for name in columns}
    )


def voxels(array: ArraySpec, shape: tuple[int, int, int] | None, key: VersionKey, rule: str) -> Voxels:
    """The lazy column of one array."""
    return Voxels(
        array.name, array.dtype, list(shape) if shape else None, key.root, key.name, key.version, key.sha256, rule
    )


def arrow_schema(features: datasets.Features) -> pa.Schema:
    """How a table of these columns is stored, with what `datasets` needs to read it back."""
    return features.arrow_schema


def features_of(schema: pa.Schema) -> datasets.Features:
    """Types of plain table columns."""
    return datasets.Features.from_arrow_schema(schema)


def as_dict(by_split: Mapping[str, Any], stream: bool) -> Any:
    """All splits together."""
    return (datasets.IterableDatasetDict if stream else datasets.DatasetDict)(by_split)


def cache_folder() -> Path:
    """Where `datasets` keeps what it derives."""
    return Path(datasets.config.HF_DATASETS_CACHE)


def _array_feature(array: ArraySpec, shape: tuple[int, int, int], key: VersionKey | None, rule: str) -> Any:
    if key is None:
        return datasets.Array3D(shape=shape, dtype=array.dtype)
    return voxels(array, shape, key, rule)


def _plain_feature(name: str) -> Any:
    if name == "start_zyx":
        return datasets.List(datasets.Value("int32"), length=3)
    if name in ("voxel_size_xyz", "origin_xyz"):
        return datasets.List(datasets.Value("float64"), length=3)
    if name == "resolution":
        return datasets.Value("float64")
    if name in ("entry_id", "emdb_id", "pdb_id"):
        return datasets.Value("string")
    raise DatasetError(f"no column '{name}'")


def _check_state(state: Mapping[str, Any], expected: str) -> None:
    if state.get("of", expected) != expected:
        raise UsageError("the state is of another dataset, version, split or filter; load it into the same")


def _item(value: Any) -> Any:
    """One sample of a column: an array stays one if it is a box; numbers become Python's."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        return value
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _info(features: datasets.Features, info: Mapping[str, str]) -> datasets.DatasetInfo:
    return datasets.DatasetInfo(features=features, **info)
