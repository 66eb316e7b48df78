"""The work on one entry: from its files to a volume and a receipt. Idempotent: killed anywhere, run again."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.admission import memory_needed
from cryodata.build.builder import DENSITY, find_builder
from cryodata.build.fetch import discard_maps, recalled
from cryodata.build.identify import Job, covered_by, digest_of, identify
from cryodata.build.place import place_folder
from cryodata.build.receipts import Receipt, read_failure, read_receipt, write_receipt
from cryodata.build.workspace import temporary_folder
from cryodata.core.entry import Entry, Sample
from cryodata.core.layout import tree_digest, volume_path
from cryodata.core.schema import DENSITIES, Schema
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import RejectedError
from cryodata.formats.tables import points_table, subgrids_table
from cryodata.formats.volumes import CODEC, ArrayStorage, folder_files, write_volume
from cryodata.prepare.labels import LOST, OUTSIDE, WRITTEN, class_values, label_voxels
from cryodata.prepare.narrow import in_steps, narrowed
from cryodata.prepare.statistics import subgrid_statistics
from cryodata.prepare.validate import check_sample, density_faults

FULL = (errno.ENOSPC, errno.EDQUOT)
"a disk without space ends the build; the same command goes on when there is some"

UNFINISHED = "unfinished"
"code of an entry that was only looked up, and is neither made nor refused"

BOX, CORE = 32, 20
"voxels a side of the sub-grids in the tables (Cryo2StructData)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one entry."""

    entry_id: str
    digest: str = ""
    "of the receipt; empty if there is none: the next run tries again"

    code: str = ""
    "of the rejection; empty if accepted"

    message: str = ""
    reused: bool = False
    "finished by an earlier run"

    seconds: float = 0.0
    needs: int = 0
    "bytes of memory that it needs, where that is more than there was"


def work_on(entry: Entry, job: Job) -> Outcome:
    """Make one entry, or find it made. Never raises for what lies in the entry; does so if it can't write."""
    outcome = _work_on(entry, job)
    if outcome.digest and not job.keep_raw:
        discard_maps(entry)
    return outcome


def _work_on(entry: Entry, job: Job) -> Outcome:
    began = time.perf_counter()
    builder = find_builder(job.builder)
    folder = Path(job.folder)
    digest = ""
    try:
        known = recalled(entry)
        if known is not None:  # finished before: nothing is fetched for it
            digest = digest_of(entry, covered_by(known, job, builder))
            receipt = read_receipt(folder, entry, digest, hashed=True)
            if receipt is not None:
                return _outcome(entry, receipt, True, began)
            digest = ""
        if job.known_only and any(source.urls for source in entry.sources.values()):
            return _unfinished(entry, folder)
        entry = _guarded(builder.fetch, entry, job.parameters)
        needs = memory_needed(entry, job.parameters)
        short = bool(job.memory and needs > job.memory)
        identified, covered = identify(entry, job, builder, reading=needs > 0 and not (short or job.known_only))
        if isinstance(covered, dict):
            digest = digest_of(entry, covered)
            receipt = read_receipt(folder, entry, digest, hashed=True)
            if receipt is not None:
                return _outcome(entry, receipt, True, began)
        if job.known_only:
            return _unfinished(entry, folder)
        if short:
            return too_large(entry.entry_id, needs, job.memory)
        sample = _guarded(builder.make, identified, job.recipe, job.parameters)
        _let_go(identified)
        if isinstance(covered, RejectedError):
            raise covered  # in a part of a file, or a file, that the builder did not need
        schema = builder.schema(job.recipe, job.parameters)
        _guarded(check_sample, sample, schema)
        sample = _guarded(_as_stored, sample, schema, job.parameters.get("density", DENSITY.default))
    except RejectedError as error:
        if digest:
            with temporary_folder(folder) as temporary:
                content = {"status": "rejected", "code": error.code, "message": error.message}
                return _outcome(entry, write_receipt(folder, temporary, digest, content, {}), False, began)
        return Outcome(entry.entry_id, "", error.code, error.message, seconds=time.perf_counter() - began)
    except _TransientError as error:
        return Outcome(entry.entry_id, "", error.code, error.message, seconds=time.perf_counter() - began)
    with temporary_folder(folder) as temporary:
        receipt = _store(sample, identified, schema, job, temporary, digest, covered)
    return _outcome(entry, receipt, False, began)


def _let_go(entry: Entry) -> None:
    """Forget the maps that were read and that the builder did not take: others need their memory now."""
    for source in entry.sources.values():
        source.held.clear()


def too_large(entry_id: str, needs: int, memory: int) -> Outcome:
    """An entry that needs more memory than it may have, in bytes both."""
    message = f"its map needs about {needs / 1e9:.1f} GB of memory; there is {memory / 1e9:.1f} GB for it"
    return Outcome(entry_id, "", "out_of_memory", message, needs=needs)


def _unfinished(entry: Entry, folder: Path) -> Outcome:
    """What is known of an entry without a receipt."""
    code, message = read_failure(folder, entry.entry_id) or (UNFINISHED, "nobody has worked on it yet")
    return Outcome(entry.entry_id, "", code, message)


class _TransientError(Exception):
    """A failure that may not repeat: it leaves no receipt."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def _guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call into a builder; whatever it raises ends this entry, not the build."""
    try:
        return call(*arguments)
    except RejectedError:
        raise
    except MemoryError:
        raise _TransientError("out_of_memory", "memory ran out; the next build tries it again") from None
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise  # no fault of the entry, and the next one would end the same way
        text = "".join(letter if letter.isprintable() else " " for letter in str(error))
        where = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__}: {' '.join(text.split())[:500]}, {Path(where.filename).name}:{where.lineno}"
        raise _TransientError("crashed", f"the builder failed on it ({found})") from error


def _as_stored(sample: Sample, schema: Schema, density: str) -> Sample:
    """The sample with its density in the type, and the steps, as which it is read when it is stored as `density` says,
    one of DENSITIES. ValueError where that can't hold its values."""
    kind = np.dtype(DENSITIES[density])
    step = schema.density.step_as(kind)
    if sample.density.data.dtype == kind and (not step or in_steps(sample.density.data, step)):
        return sample
    with np.errstate(over="ignore"):
        stored = narrowed(sample.density.data, kind, step)
    faults = list(density_faults(stored, schema))
    if faults:
        raise ValueError(f"as {kind} its {faults[0]}; a builder whose values need it stores float32")
    return replace(sample, density=replace(sample.density, data=stored))


def _store(
    sample: Sample,
    entry: Entry,
    schema: Schema,
    job: Job,
    temporary: Path,
    digest: str,
    covered: Mapping[str, Any],
) -> Receipt:
    folder, stored = Path(job.folder), sample.density
    points, columns = sample.points, sample.points.columns
    wanted = schema.labels if job.parameters.get("label_volumes", True) else ()
    labels = {array.name: label_voxels(array, columns, points.voxel_zyx) for array in wanted}
    density, codec = job.parameters.get("density", DENSITY.default), job.parameters.get("codec", CODEC)
    counted = density == "uint16" and schema.density.step_as(stored.data.dtype) > 0
    write_volume(temporary / "volume", stored, labels, schema, covered, ArrayStorage(codec, counted))
    files = folder_files(temporary / "volume")
    name = tree_digest(files)
    place_folder(temporary / "volume", folder / volume_path(entry.entry_id, name), temporary)
    grid = SubgridGrid.uniform(sample.density.shape_zyx, BOX, CORE)
    statistics = subgrid_statistics(
        stored.data,
        grid,
        points.voxel_zyx[points.state_ca == WRITTEN],
        points.voxel_zyx[points.state == WRITTEN],
    )
    content = {
        "status": "accepted",
        "volume": name,
        "files": files,
        "shape_zyx": sample.density.shape_zyx,
        "voxel_size_xyz": sample.density.voxel_size_xyz.tolist(),
        "origin_xyz": sample.density.origin_xyz.tolist(),
        "n_subgrids": len(grid),
        "sources": [
            {"role": role, "sha256": source.sha256, "bytes": source.size}
            for role, source in sorted(entry.sources.items())
        ],
        "sequences": [asdict(item) for item in sample.sequences],
        "label_counts": label_counts(sample, schema),
        "facts": dict(sample.facts),
    }
    tables = {"atoms": points_table(points), "subgrids": subgrids_table(statistics)}
    return write_receipt(folder, temporary, digest, content, tables)


def label_counts(sample: Sample, schema: Schema) -> list[dict[str, Any]]:
    """Atoms in the model, written, lost and outside, for each class of each label."""
    columns = sample.points.columns
    counts = []
    for array in schema.labels:
        values = class_values(array, columns)
        state = columns[array.state]
        for item in array.classes:
            mine = state[values == item.value]
            by_state = {
                name: int(np.count_nonzero(mine == value))
                for name, value in (("written", WRITTEN), ("lost", LOST), ("outside", OUTSIDE))
            }
            counts.append({"label": array.name, "name": item.name, "model": len(mine), **by_state})
    return counts


def _outcome(entry: Entry, receipt: Receipt, reused: bool, began: float) -> Outcome:
    seconds = time.perf_counter() - began
    if receipt.accepted:
        return Outcome(entry.entry_id, receipt.digest, reused=reused, seconds=seconds)
    rejection = receipt.rejection(entry.entry_id)
    return Outcome(entry.entry_id, receipt.digest, rejection.code, rejection.message, reused, seconds)
