"""Examples by shard and place: what a dataset yields, without any loader around it. Small enough to be sent away."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.core.balance import Balance
from cryodata.core.layout import canonical_json
from cryodata.core.subgrids import SubgridGrid
from cryodata.read.columns import ArrayColumn, array_columns
from cryodata.read.decode import VersionKey, volumes_of
from cryodata.read.kept import Kept

ROTATE = (False, True, "so3")
"not at all, by one of the 24 rotations that take a cube to itself, by any rotation"

SUBGRID_IDS = ("entry_id", "emdb_id", "pdb_id", "resolution")
"entry columns that every sub-grid and volume example carries"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often sub-grids of a stream come, and how they are turned."""

    rotate: bool | str = False
    "one of ROTATE"

    balance: Balance | None = None
    "what the number of draws follows; None: every sub-grid comes once"


class ExampleSource(Protocol):
    """Examples in shards; a shard is the unit that workers share out."""

    @property
    def selected(self) -> str:
        """Hash of which examples there are, in which order: a stored state must agree with it."""

    @property
    def shards(self) -> int:
        """Number of shards."""

    def examples(self, shard: int, start: int) -> Iterator[dict[str, Any]]:
        """Examples of a shard from a place on."""


@dataclass(frozen=True, slots=True, eq=False)
class SubgridSource:
    """Sub-grids, a shard a volume."""

    key: VersionKey
    volumes: npt.NDArray[np.int32]
    "rows of the entries table, in order"

    columns: tuple[str, ...]
    box: int
    core: int
    rule: str
    "of the labels, as `LabelRule` writes it"

    kept: Kept | None = None
    "the sub-grids that a filter kept; None keeps all"

    @property
    def selected(self) -> str:
        """Hash of version, volumes, boxes and what a filter kept."""
        kept = self.kept.sha256 if self.kept is not None else None
        return _hash(self.key, self.volumes, [self.box, self.core, kept])

    @property
    def arrays(self) -> dict[str, ArrayColumn]:
        """The columns that are voxels."""
        known = array_columns(volumes_of(self.key).opened.manifest.schema, self.rule)
        return {name: known[name] for name in self.columns if name in known}

    @property
    def density(self) -> frozenset[str]:
        """The columns that are cut from volumes."""
        schema = volumes_of(self.key).opened.manifest.schema
        return frozenset(array.name for array in schema.arrays if array.role != "label" and array.name in self.columns)

    def places(self, volume: int, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of sub-grids in the grid of the volume in row `volume` of `volumes`, from those among the kept."""
        return kept if self.kept is None else self.kept[int(self.volumes[volume])][kept].astype(np.int64)

    @property
    def shards(self) -> int:
        """Number of volumes."""
        return len(self.volumes)

    def examples(self, shard: int, start: int) -> Iterator[dict[str, Any]]:
        """Sub-grids of a volume, in the order of the table."""
        volume = int(self.volumes[shard])
        ids, shape = _ids_and_shape(self.key, volume)
        grid = SubgridGrid.uniform(shape, self.box, self.core)
        places: Sequence[int] = range(len(grid)) if self.kept is None else self.kept[volume].tolist()
        arrays = array_columns(volumes_of(self.key).opened.manifest.schema, self.rule)
        decoded = None
        if start < len(places) and not arrays.keys().isdisjoint(self.columns):
            # held to the end of the shard: a shuffle takes turns between shards, and the pool may hold fewer
            decoded = volumes_of(self.key).get(volume, self.rule)
        for place in places[start:]:
            start_zyx = grid.start_of(place)
            given = {**ids, "start_zyx": list(start_zyx)}
            yield {
                name: decoded.cut(arrays[name], start_zyx, self.box) if decoded and name in arrays else given[name]
                for name in self.columns
            }


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSource:
    """Whole volumes, a shard each."""

    key: VersionKey
    volumes: npt.NDArray[np.int32]
    columns: tuple[str, ...]
    rule: str

    @property
    def selected(self) -> str:
        """Hash of version and volumes."""
        return _hash(self.key, self.volumes, "volumes")

    @property
    def shards(self) -> int:
        """Number of volumes."""
        return len(self.volumes)

    def examples(self, shard: int, start: int) -> Iterator[dict[str, Any]]:
        """The one example of a shard."""
        if start == 0:
            yield volume_example(self.key, int(self.volumes[shard]), self.rule, self.columns)


def volume_example(key: VersionKey, volume: int, rule: str, columns: Sequence[str]) -> dict[str, Any]:
    """One volume: whole arrays (nz, ny, nx), voxel_size_xyz and origin_xyz [x, y, z] in A, ids."""
    store = volumes_of(key)
    arrays = array_columns(store.opened.manifest.schema, rule)
    row = store.entries.slice(volume, 1).to_pylist()[0]
    example: dict[str, Any] = {}
    for name in columns:
        if name in arrays:
            example[name] = store.get(volume, rule).whole(arrays[name])
        else:
            example[name] = row[name]
    return example


def _hash(key: VersionKey, volumes: npt.NDArray[np.int32], rest: Any) -> str:
    return hashlib.sha256(canonical_json([key.sha256, volumes.tolist(), rest])).hexdigest()


@lru_cache(maxsize=256)
def _ids_and_shape(key: VersionKey, volume: int) -> tuple[dict[str, Any], tuple[int, int, int]]:
    row = volumes_of(key).entries.select([*SUBGRID_IDS, "shape_zyx"]).slice(volume, 1).to_pylist()[0]
    nz, ny, nx = row.pop("shape_zyx")
    return row, (nz, ny, nx)


@dataclass(frozen=True, slots=True, eq=False)
class RowSource:
    """Rows of a table by volume: label points, or entries."""

    key: VersionKey
    volumes: npt.NDArray[np.int32]
    config: str
    "`atoms` or `entries`"

    columns: tuple[str, ...]
    keep: Any = None
    "pyarrow expression that rows must meet; None keeps all"

    @property
    def selected(self) -> str:
        """Hash of version, volumes and condition."""
        return _hash(self.key, self.volumes, [self.config, str(self.keep)])

    @property
    def shards(self) -> int:
        """Number of volumes."""
        return len(self.volumes)

    def examples(self, shard: int, start: int) -> Iterator[dict[str, Any]]:
        """Rows of a volume."""
        yield from self.rows(shard).slice(start).to_pylist()

    def rows(self, shard: int) -> pa.Table:
        """The same rows as a table."""
        store, volume = volumes_of(self.key), int(self.volumes[shard])
        table = store.entries.slice(volume, 1) if self.config == "entries" else store.atoms.of(volume)
        if self.keep is not None:
            table = table.filter(self.keep)
        return table.select(list(self.columns))
