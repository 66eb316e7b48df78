"""Volumes of a version, decoded once and kept while there is room.

One `Volumes` per version lives in each process; it is never sent to another one, which opens its own.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import FileIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.errors import DatasetError
from cryodata.formats.row_groups import read_group, volumes_of_groups
from cryodata.formats.tables import OBJECTS, check_entries, check_objects, file_digest, read_table
from cryodata.formats.versions import DatasetVersion, open_version
from cryodata.formats.volume_metadata import StoredArray, read_metadata, stored_array
from cryodata.formats.volume_reader import Boxes, read_array
from cryodata.formats.volumes import array_path
from cryodata.read.atoms import LabelTables
from cryodata.read.decoded import DecodedVolume
from cryodata.read.kept import Kept

CACHE_BYTES = 1 << 30
"decoded volumes that a process keeps; one is always kept, however large"

__all__ = ["DecodedVolume", "VersionKey", "Volumes", "volumes_of"]


@dataclass(frozen=True, slots=True)
class VersionKey:
    """Which version, in few words: it travels to workers and into saved datasets."""

    root: str
    name: str
    version: str
    sha256: str
    "hash of the manifest: another manifest under the same name is noticed"


ROW = ("entry_id", "volume", "shape_zyx")
"columns of the entries table that a volume is found by"


class Volumes:
    """Opens, checks and decodes the volumes of one version; safe to use from several threads."""

    def __init__(self, key: VersionKey) -> None:
        self.key = key
        self._decoded: OrderedDict[tuple[int, str], DecodedVolume] = OrderedDict()
        self.kept: OrderedDict[str, Kept] = OrderedDict()
        "what conditions kept, by their hash, the latest last"

        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._owner = os.getpid()
        self.decodes = 0

    @cached_property
    def opened(self) -> DatasetVersion:
        """The version; DatasetError if its manifest is no longer the one that was asked for."""
        opened = open_version(self.key.root, self.key.name, self.key.version, self.key.sha256)
        if opened.sha256 != self.key.sha256:
            raise DatasetError(
                f"{self.key.name}@{self.key.version} in {self.key.root} has the manifest {opened.sha256}; "
                f"expected {self.key.sha256}"
            )
        return opened

    @cached_property
    def entries(self) -> pa.Table:
        """The entries table, its hash and its values checked."""
        return check_entries(self._hashed_table("entries.parquet"), f"{self.key.name}/entries.parquet")

    @cached_property
    def _objects(self) -> pa.Table:
        return check_objects(self._hashed_table("objects.parquet", OBJECTS), f"{self.key.name}/objects.parquet")

    @cached_property
    def atoms(self) -> LabelTables:
        """The label points."""
        return LabelTables(self.opened, self.entries)

    @cached_property
    def _subgrid_groups(self) -> list[tuple[int, int, str, int]]:
        """First and last volume, name of the file and number of each row group of the tables of sub-grids."""
        spans = ((name, volumes_of_groups(self.opened.table(name))) for name in self.opened.gathered("subgrids-"))
        return [(*span, name, group) for name, found in spans for group, span in enumerate(found)]

    def subgrid_values(self, number: int, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Columns of the table of sub-grids for a volume, in the order of its grid."""
        found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in columns}
        for first, last, name, group in self._subgrid_groups if columns else ():
            if first <= number <= last:
                table = read_group(self.opened.table(name), group, ["volume", *columns])
                mine = table["volume"].to_numpy() == number
                for column, parts in found.items():
                    parts.append(table[column].to_numpy()[mine])
        return {column: np.concatenate(parts) for column, parts in found.items()}

    def get(self, number: int, rule: str) -> DecodedVolume:
        """A decoded volume with its labels by a rule, as `LabelRule` writes it."""
        self._be_here()
        with self._lock:
            found = self._decoded.get((number, rule))
            if found is not None:
                self._decoded.move_to_end((number, rule))
                return found
            found = self.decode(number, rule)
            self._decoded[number, rule] = found
            while len(self._decoded) > 1 and self._bytes() > CACHE_BYTES:
                self._decoded.popitem(last=False)
            return found

    def _be_here(self) -> None:
        """After a fork, have locks of this process: the parent's may be held by a thread that is not here."""
        if os.getpid() != self._owner:
            self._owner, self._lock, self._counting = os.getpid(), threading.Lock(), threading.Lock()

    def _bytes(self) -> int:
        return sum(volume.density.nbytes for volume in self._decoded.values())

    def decode(self, number: int, rule: str) -> DecodedVolume:
        """Decode a volume and keep nothing of it."""
        return DecodedVolume(self.decode_density(number), *self.atoms.labels([number], rule))

    def decode_density(
        self, number: int, out: npt.NDArray[Any] | None = None, boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """Density of a volume as it is stored, (nz, ny, nx); written into `out` if that is given.

        boxes: what of it will be looked at, if not everything; the rest of `out` may stay as it is.
        """
        self._be_here()
        with self._counting:
            self.decodes += 1
        entry, where, array = self._stored_density(number)
        try:
            return read_array(array, lambda path: self._open(f"{where}/{path}"), where, out, boxes)
        except DatasetError as error:
            raise DatasetError(f"entry {entry}: {error}") from None

    def _row(self, number: int) -> dict[str, Any]:
        """What the entries table says of a volume, of ROW alone: all of it takes as long as a tenth of the decoding."""
        return dict(self.entries.select(ROW).slice(number, 1).to_pylist()[0])

    def fetch(self, number: int) -> None:
        """Have at hand what `decode_density` reads. Raises as it does for an object that is not what it should be."""
        row = self._row(number)
        where, paths = row["volume"], self._objects["path"]
        self._open(f"{where}/zarr.json").close()
        chunks = f"{where}/{array_path(self.opened.manifest.schema.density)}/c/"
        place = self._place(chunks)
        while place < len(paths) and paths[place].as_py().startswith(chunks):
            self._open(paths[place].as_py()).close()
            place += 1

    @cached_property
    def density_dtype(self) -> np.dtype[Any]:
        """In what densities are stored: in all volumes as in the first."""
        return self._stored_density(0)[2].dtype if len(self.entries) else np.dtype(np.float16)

    def chunk_bytes(self, numbers: npt.NDArray[np.integer[Any]]) -> int:
        """Bytes of a decoded chunk of the density of some volumes, by the first of them."""
        if not len(numbers):
            return 0
        array = self._stored_density(int(numbers[0]))[2]
        return math.prod(array.chunk) * array.dtype.itemsize

    def _stored_density(self, number: int) -> tuple[str, str, StoredArray]:
        """Entry id, folder and description of a volume's density, checked."""
        row = self._row(number)
        entry, where, path = row["entry_id"], row["volume"], array_path(self.opened.manifest.schema.density)
        try:
            with self._open(f"{where}/zarr.json") as file:
                metadata = read_metadata(file, self._object(f"{where}/zarr.json")[1], f"entry {entry}: {where}")
        except FileNotFoundError:
            raise DatasetError(f"entry {entry}: the version has no object {where}/zarr.json") from None
        return entry, where, stored_array(metadata, path, tuple(row["shape_zyx"]), where)

    def _open(self, path: str) -> FileIO:
        """An object opened, FileNotFoundError if the version has none of that name."""
        return self.opened.open(path, *self._object(path))

    def _object(self, path: str) -> tuple[int, str]:
        """Size and sha256 of an object."""
        place, paths = self._place(path), self._objects["path"]
        if place == len(paths) or paths[place].as_py() != path:
            raise FileNotFoundError(path)
        return self._objects["bytes"][place].as_py(), self._objects["sha256"][place].as_py()

    def _place(self, path: str) -> int:
        """Where an object is in the sorted table, or would be: a dictionary of millions would not pay."""
        paths = self._objects["path"]
        low, high = 0, len(paths)
        while low < high:
            middle = (low + high) // 2
            if paths[middle].as_py() < path:
                low = middle + 1
            else:
                high = middle
        return low

    def _hashed_table(self, name: str, schema: pa.Schema | None = None) -> pa.Table:
        path, said = self.opened.table(name), self.opened.manifest.files[name]
        if file_digest(path, name)[2] != said.sha256:
            raise DatasetError(
                f"{self.opened.manifest.tables}/{name}: missing or changed; expected sha256 {said.sha256}"
            )
        return read_table(path, schema).combine_chunks()


@lru_cache(maxsize=8)
def volumes_of(key: VersionKey) -> Volumes:
    """The volumes of a version in this process: every column and every dataset shares what is decoded."""
    return Volumes(key)
