"""Volumes and label points of a version, decoded one by one and not kept: for exports and comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import FileIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cryodata.build.verify_tables import read_objects
from cryodata.core.schema import ArraySpec
from cryodata.core.volume import LabelVoxels, Volume
from cryodata.errors import DatasetError
from cryodata.formats.row_groups import group_of_volume, read_points
from cryodata.formats.tables import ATOMS, file_digest, vectors
from cryodata.formats.versions import DatasetVersion
from cryodata.formats.volume_metadata import read_metadata, stored_array
from cryodata.formats.volume_reader import read_array
from cryodata.formats.volumes import array_path
from cryodata.prepare.labels import label_voxels

Columns = dict[str, npt.NDArray[Any]]

TABLES = ("entries.parquet", "objects.parquet")
"what is hashed before anything is believed; the atoms are hashed as they are opened"


class Decoder:
    """Opens, checks and decodes; safe to use from several threads. Rows are those of the entries table."""

    def __init__(self, opened: DatasetVersion) -> None:
        """Read the tables. DatasetError if one of them is missing or not what was published."""
        for name in TABLES:
            check_hash(opened, name)
        self.opened, self.schema = opened, opened.manifest.schema
        self._objects = read_objects(opened)
        self._groups: dict[int, tuple[str, int]] = {}
        for name in opened.tables("atoms-"):
            check_hash(opened, name)
            groups = group_of_volume(opened.table(name))
            self._groups.update({volume: (name, group) for volume, group in groups.items()})

    def density(self, row: Mapping[str, Any]) -> Volume:
        """The density of an entry, in the type in which it is stored. Every chunk carries a checksum."""
        where, path = str(row["volume"]), array_path(self.schema.density)

        def opening(relative: str) -> FileIO:
            if f"{where}/{relative}" not in self._objects:
                raise FileNotFoundError(relative)
            return self.opened.open(f"{where}/{relative}", *self._objects[f"{where}/{relative}"])

        try:
            with opening("zarr.json") as file:
                metadata = read_metadata(file, self._objects[f"{where}/zarr.json"][1], where)
            array = stored_array(metadata, path, tuple(row["shape_zyx"]), where)
            data = read_array(array, opening, where)
        except FileNotFoundError:
            raise DatasetError(f"entry {row['entry_id']}: the version has no object {where}/zarr.json") from None
        except DatasetError as error:
            raise DatasetError(f"entry {row['entry_id']}: {error}") from None
        return Volume(data, np.asarray(row["voxel_size_xyz"]), np.asarray(row["origin_xyz"]))

    def points(self, number: int) -> Columns:
        """Columns of the atoms table of the entry in a row; `xyz` (n, 3) and `voxel_zyx` (n, 3) among them."""
        name, group = self._groups.get(number, ("", 0))
        table: pa.Table = read_points(self.opened.table(name), group) if name else ATOMS.empty_table()
        flat = [column for column in table.schema.names if column not in ("xyz", "voxel_zyx")]
        columns = {column: table[column].to_numpy() for column in flat}
        return columns | {column: vectors(table[column]) for column in ("xyz", "voxel_zyx")}

    def label_voxels(self, row: Mapping[str, Any], points: Columns) -> dict[str, LabelVoxels]:
        """The voxels of each label that hold a class, as the recipe wrote them."""
        found = {array.name: label_voxels(array, points, points["voxel_zyx"]) for array in self.schema.labels}
        for voxel, _ in found.values():
            if np.any((voxel < 0) | (voxel >= np.asarray(row["shape_zyx"]))):
                raise DatasetError(f"entry {row['entry_id']}: a label point claims a voxel outside {row['shape_zyx']}")
        return found


def memory_of(row: Mapping[str, Any], labels: tuple[ArraySpec, ...]) -> int:
    """Bytes of an entry with its label volumes, decoded, density as float32 at most, and some for the rest."""
    return int(math.prod(row["shape_zyx"])) * (4 + len(labels) + 1) + (64 << 20)


def check_hash(opened: DatasetVersion, name: str) -> None:
    """DatasetError unless a table is what the manifest says."""
    found, expected = file_digest(opened.table(name), name)[2], opened.manifest.files[name].sha256
    if found != expected:
        raise DatasetError(f"{opened.manifest.tables}/{name}: sha256 {found}; expected {expected}")
