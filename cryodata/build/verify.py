"""Is a version what its manifest says? And does it pass the technical validation of the paper?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
import pyarrow as pa

from cryodata.build.verify_tables import Objects, check_all_objects, check_counts, check_tables, read_objects
from cryodata.core.schema import LABEL_COLUMNS, Schema
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import DatasetError
from cryodata.formats.partial import held_volumes
from cryodata.formats.row_groups import group_of_volume, iterate_subgrids, read_points
from cryodata.formats.tables import ATOMS, REJECTED, SUBGRIDS, check_entries, read_table, vectors
from cryodata.formats.versions import DatasetVersion
from cryodata.formats.volume_metadata import read_metadata, stored_array
from cryodata.formats.volume_reader import read_array
from cryodata.formats.volumes import array_path
from cryodata.prepare.validate import (
    count_faults,
    density_faults,
    label_faults,
    point_faults,
    recovered_share,
    subgrid_faults,
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked and what was wrong."""

    checked: Mapping[str, str]
    "what was looked at, in words, by topic"

    faults: tuple[str, ...]
    "one sentence each; empty if all is well"


def verify_version(
    opened: DatasetVersion, deep: bool, observe: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Check a version. deep: also hash every byte of every object. Faults are collected, not raised."""
    faults: list[str] = []
    try:
        check_tables(opened, faults)
        objects = read_objects(opened)
        entries = check_entries(read_table(opened.table("entries.parquet")), "entries.parquet")
        rejected = read_table(opened.table("rejected.parquet"), REJECTED)
        atoms = _atom_groups(opened)
        held = held_volumes(opened)
    except DatasetError as error:
        return Verification({"manifest": opened.sha256}, (*faults, str(error)))
    check_counts(opened, entries, rejected, faults)
    hashed = check_all_objects(opened, objects, entries, held, faults, deep)
    recovered: list[float] = []
    unseen = set(range(len(entries)))
    observe(0, len(entries))
    for number, subgrids in _subgrids_by_volume(opened, faults):
        if number not in unseen:
            faults.append(f"subgrids: volume {number} is no entry, or has its rows in two places")
            continue
        unseen.discard(number)
        row = entries.slice(number, 1).to_pylist()[0]
        if held is not None and row["volume"] not in held:
            continue
        try:
            file, group = atoms.get(number, ("", 0))
            points = read_points(opened.table(file), group) if file else ATOMS.empty_table()
            recovered.append(_check_volume(opened, row, objects, points, subgrids, faults))
        except DatasetError as error:
            faults.append(str(error))
        observe(len(entries) - len(unseen), len(entries))
    faults.extend(f"subgrids: entry {entries['entry_id'][number]} has none" for number in sorted(unseen))
    return Verification(_summary(opened, entries, objects, hashed, recovered), tuple(faults))


def _atom_groups(opened: DatasetVersion) -> dict[int, tuple[str, int]]:
    """Name of the file, and row group, of the label points of each volume."""
    found: dict[int, tuple[str, int]] = {}
    for name in opened.tables("atoms-"):
        groups = group_of_volume(opened.table(name))
        found.update({volume: (name, group) for volume, group in groups.items()})
    return found


def _subgrids_by_volume(opened: DatasetVersion, faults: list[str]) -> Iterator[tuple[int, pa.Table]]:
    """Sub-grid rows volume by volume, in memory for one row group."""
    for name in opened.tables("subgrids-"):
        try:
            for group in iterate_subgrids(opened.table(name)):
                numbers = group["volume"].to_numpy()
                for number in np.unique(numbers).tolist():
                    yield int(number), group.filter(pa.array(numbers == number))
        except DatasetError as error:
            faults.append(str(error))


def _check_volume(
    opened: DatasetVersion,
    row: Mapping[str, Any],
    objects: Objects,
    atoms: pa.Table,
    subgrids: pa.Table,
    faults: list[str],
) -> float:
    """Metadata, values and labels of one volume. Returns the share of C-alphas that formula 2 recovers."""
    entry_id, where, schema = row["entry_id"], row["volume"], opened.manifest.schema

    def opening(path: str) -> FileIO:
        if f"{where}/{path}" not in objects:
            raise FileNotFoundError(path)
        return opened.open(f"{where}/{path}", *objects[f"{where}/{path}"])

    try:
        with opening("zarr.json") as file:
            metadata = read_metadata(file, objects[f"{where}/zarr.json"][1], where)
    except FileNotFoundError:
        raise DatasetError(f"{where}/zarr.json: the version has no such object") from None
    shape = tuple(row["shape_zyx"])
    faults.extend(f"{entry_id}: {fault}" for fault in ome_faults(metadata, row, schema))
    density = read_array(stored_array(metadata, array_path(schema.density), shape, where), opening, where)
    faults.extend(f"{entry_id}: {fault}" for fault in density_faults(density, schema))
    columns = {name: atoms[name].to_numpy() for name in (*LABEL_COLUMNS, "state", "state_ca", "q_score")}
    voxel = vectors(atoms["voxel_zyx"])
    xyz = vectors(atoms["xyz"])
    point_problems = list(point_faults(voxel, columns, shape, schema))
    faults.extend(f"{entry_id}: {fault}" for fault in point_problems)
    if point_problems:  # what follows looks up voxels by these points
        return 0.0
    faults.extend(f"{entry_id}: {fault}" for fault in count_faults(columns, row, schema))
    for array in schema.labels:
        path = array_path(array)
        if path in metadata["consolidated_metadata"]["metadata"]:
            stored = read_array(stored_array(metadata, path, shape, where), opening, where)
            faults.extend(f"{entry_id}: {fault}" for fault in label_faults(stored, array.name, voxel, columns, schema))
    grid = SubgridGrid.uniform(shape, opened.manifest.box, opened.manifest.core)
    if row["n_subgrids"] != len(grid):
        faults.append(f"{entry_id}: {row['n_subgrids']} sub-grids; {shape} voxels give {len(grid)}")
    found = {
        name: vectors(subgrids[name]) if name == "start_zyx" else subgrids[name].to_numpy()
        for name in SUBGRIDS.names
        if name != "volume"
    }
    faults.extend(f"{entry_id}: {fault}" for fault in subgrid_faults(found, density, grid, voxel, columns))
    return recovered_share(xyz, voxel, columns, row)


def ome_faults(metadata: Mapping[str, Any], row: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    """What is wrong with the OME-Zarr 0.5 metadata of a volume, held against the table."""
    try:
        ome = metadata["attributes"]["ome"]
        (scales,) = ome["multiscales"]
        (dataset,) = scales["datasets"]
        scale, translation = dataset["coordinateTransformations"]
        found = {
            "version": ome["version"],
            "axes": [(axis["name"], axis["type"], axis["unit"]) for axis in scales["axes"]],
            "path": dataset["path"],
            "scale": (scale["type"], scale["scale"]),
            "translation": (translation["type"], translation["translation"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        yield f"no OME-Zarr image metadata ({type(error).__name__}: {error})"
        return
    expected = {
        "version": "0.5",
        "axes": [(axis, "space", "angstrom") for axis in "zyx"],
        "path": schema.density.name,
        "scale": ("scale", row["voxel_size_xyz"][::-1]),
        "translation": ("translation", row["origin_xyz"][::-1]),
    }
    for key, value in expected.items():
        if found[key] != value:
            yield f"OME-Zarr {key} is {found[key]}; expected {value}"


def _summary(
    opened: DatasetVersion, entries: pa.Table, objects: Objects, hashed: int, recovered: Iterable[float]
) -> dict[str, str]:
    sizes = sorted({tuple(size) for size in entries["voxel_size_xyz"].to_pylist()})
    shares = list(recovered)
    total = sum(size for size, _ in objects.values())
    here = "" if held_volumes(opened) is None else " that this partial copy holds"
    return {
        "manifest": opened.sha256,
        "tables": f"{len(opened.manifest.files)} files, sha256 of each",
        "objects": f"{len(objects):,} objects, {total / 1e6:,.1f} MB; sha256 of {hashed:,}, size of all{here}",
        "volumes": f"{len(shares):,} decoded{here}: OME-Zarr 0.5 metadata, crc32c of every chunk, range, label voxels",
        "voxel size, A": ", ".join(" x ".join(f"{axis:g}" for axis in size) for size in sizes) or "none",
        "C-alphas recovered": f"{np.mean(shares):.2%} on average, {min(shares):.2%} at least" if shares else "none",
        "duplicates": "looked for by the hashes of map and model",
    }
