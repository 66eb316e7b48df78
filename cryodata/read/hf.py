"""Genuine `datasets` objects (Hugging Face) over the examples of cryodata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from cryodata.core.schema import Schema
from cryodata.errors import DatasetError
from cryodata.read.columns import ArrayColumn, array_columns
from cryodata.read.decode import VersionKey
from cryodata.read.features import Voxels
from cryodata.read.hf_examples import ROUNDS, STREAMS, Examples, KeyedExamples
from cryodata.read.plan import StreamPlan
from cryodata.read.sources import ExampleSource, SubgridSource
from cryodata.read.stream import BatchReader


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
        plan = StreamPlan(source, STREAMS * ROUNDS, seed, True, STREAMS, STREAMS, "keep")
        return keyed_stream(plan, examples.features, False, self._info, str(self._split))


def streaming(source: ExampleSource, features: datasets.Features, info: Mapping[str, str], split: str) -> Any:
    """An IterableDataset over a source, in the order of the table."""
    examples = Examples(source, list(range(source.shards)), features)
    kind = SubgridDataset if isinstance(source, SubgridSource) else datasets.IterableDataset
    return kind(examples, info=_info(features, info), split=datasets.NamedSplit(split))


def keyed_stream(plan: StreamPlan, features: datasets.Features, whole: bool, info: Any, split: str) -> Any:
    """An IterableDataset in the keyed order. whole: examples are batches, with the features of batches."""
    info = info if isinstance(info, datasets.DatasetInfo) else _info(features, info)
    examples = KeyedExamples(BatchReader(plan, range(plan.streams)), features, whole)
    return datasets.IterableDataset(examples, info=info, split=datasets.NamedSplit(split))


def batch_features(features: datasets.Features) -> datasets.Features:
    """Types of whole batches of sub-grids."""
    return datasets.Features(
        {
            name: _array_of((None, *feature.shape), feature.dtype)
            if isinstance(feature, (datasets.Array3D, datasets.Array4D))
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
    arrays = array_columns(schema, rule)
    shape = (box, box, box)
    return datasets.Features(
        {
            name: _array_feature(arrays[name], shape, key, rule) if name in arrays else _plain_feature(name)
            for name in columns
        }
    )


def volume_features(schema: Schema, columns: tuple[str, ...], key: VersionKey, rule: str) -> datasets.Features:
    """Types of a volume example; arrays of any shape."""
    arrays = array_columns(schema, rule)
    return datasets.Features(
        {name: voxels(arrays[name], None, key, rule) if name in arrays else _plain_feature(name) for name in columns}
    )


def voxels(array: ArrayColumn, shape: tuple[int, int, int] | None, key: VersionKey, rule: str) -> Voxels:
    """The lazy column of one array."""
    box = list(shape) if shape else None
    place = (key.root, key.name, key.version, key.sha256)
    return Voxels(array.name, array.dtype, box, *place, rule, channels=array.channels)


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


def _array_feature(array: ArrayColumn, shape: tuple[int, int, int], key: VersionKey | None, rule: str) -> Any:
    return _array_of(array.shape(shape), array.dtype) if key is None else voxels(array, shape, key, rule)


def _array_of(shape: tuple[int | None, ...], dtype: str) -> Any:
    kinds = {3: datasets.Array3D, 4: datasets.Array4D, 5: datasets.Array5D}
    return kinds[len(shape)](shape=shape, dtype=dtype)


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


def _info(features: datasets.Features, info: Mapping[str, str]) -> datasets.DatasetInfo:
    return datasets.DatasetInfo(features=features, **info)
