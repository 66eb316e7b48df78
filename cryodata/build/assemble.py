"""From finished entries to a version: tables, dataset card and, last of all, the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryodata.build.builder import Builder
from cryodata.build.describe import describe
from cryodata.build.identify import Job, without_parent
from cryodata.build.place import place_folder
from cryodata.build.receipts import Receipt
from cryodata.build.spread import atoms_per_file, write_atoms, write_subgrids
from cryodata.build.work import BOX, CORE
from cryodata.core.entry import Entry, Rejection, is_content
from cryodata.core.layout import FileDigest, tables_path, tree_digest, version_key
from cryodata.core.leakage import Leakage
from cryodata.core.schema import Schema
from cryodata.core.splits import DEFAULT_SCHEME, SCHEMES, resolution_bin, split_names
from cryodata.formats.manifest import (
    Manifest,
    TableFile,
    check_free,
    create_manifest,
    list_versions,
)
from cryodata.formats.tables import (
    OBJECTS,
    REJECTED,
    entries_schema,
    file_digest,
    read_table,
    write_table,
)
from cryodata.formats.versions import open_version

INHERITED = ("resolution", "sequence")
"schemes whose units keep the split that they had in the parent version; the others follow from the id"


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Everything that a version is made of."""

    accepted: Sequence[tuple[Entry, Receipt]]
    "sorted by entry id"

    rejected: Sequence[Rejection]
    "sorted by entry id"

    leakage: Sequence[Leakage] = ()
    "what each scheme of splits lets through, as the card tells it"


def gather(
    accepted: Iterable[tuple[Entry, Receipt]], rejected: Iterable[Rejection], before: Container[str] = ()
) -> Finished:
    """Sort, and refuse an entry whose map and model are those of an earlier id. before: entries of the parent version,
    earlier than any new one: what was held out stays so, under its id."""
    first_of, kept, refused = dict[tuple[str, ...], str](), [], list(rejected)
    for entry, receipt in sorted(accepted, key=lambda pair: (pair[0].entry_id not in before, pair[0].entry_id)):
        content = tuple(item["sha256"] for item in receipt.content["sources"] if is_content(item["role"]))
        first = first_of.setdefault(content, entry.entry_id)
        if first == entry.entry_id:
            kept.append((entry, receipt))
        else:
            message = f"map and model are those of {first}, byte for byte after decompression"
            refused.append(Rejection(entry.entry_id, "duplicate_entry", message))
    kept.sort(key=lambda pair: pair[0].entry_id)
    return Finished(kept, sorted(refused, key=lambda item: item.entry_id))


def parent_splits(root: Path, name: str, version: str, wanted: str) -> tuple[str | None, dict[str, dict[str, str]]]:
    """The parent version and the split of each of its units by scheme. wanted: auto, none or a version."""
    versions = list_versions(root / name)
    parent = wanted
    if wanted == "auto" and version in versions:  # built before: the same parent gives the same bytes
        parent = open_version(root, name, version).manifest.parent or "none"
    elif wanted == "auto":
        parent = max((found for found in versions), key=version_key, default="none")
    if parent == "none":
        return None, {}
    opened = open_version(root, name, parent)
    schemes = [scheme for scheme in INHERITED if scheme in opened.manifest.schemes]
    columns = ["entry_id", "emdb_id", *(f"split_{scheme}" for scheme in schemes)]
    rows = read_table(opened.table("entries.parquet"), columns=columns).to_pylist()
    return parent, {
        scheme: {row["entry_id"]: row[f"split_{scheme}"] for row in rows}
        | {row["emdb_id"]: row[f"split_{scheme}"] for row in rows if row["emdb_id"]}
        for scheme in schemes
    }


def write_version(
    job: Job,
    builder: Builder,
    name: str,
    version: str,
    finished: Finished,
    parent: str | None,
    splits: Mapping[str, Mapping[str, str]],
    temporary: Path,
) -> tuple[Manifest, bool]:
    """Write tables, card and manifest. Returns the manifest, and False if this very version was there already."""
    folder, schema = Path(job.folder), builder.schema(job.recipe, job.parameters)
    made = temporary / "tables"
    made.mkdir()
    entries = entries_table(finished.accepted, schema, splits)
    write_table(made / "entries.parquet", entries)
    write_table(made / "rejected.parquet", rejected_table(finished.rejected))
    rows = write_atoms(made, folder, finished.accepted, atoms_per_file(folder, version))
    rows |= write_subgrids(made, folder, finished.accepted, splits)
    rows |= {"entries.parquet": len(entries), "rejected.parquet": len(finished.rejected)}
    manifest = Manifest(
        name=name,
        version=version,
        parent=parent,
        builder=builder.name,
        recipe=job.recipe,
        revision=builder.recipes[job.recipe],
        parameters=without_parent(job.parameters),
        schema=schema,
        default_scheme=DEFAULT_SCHEME,
        schemes={scheme: split_names(scheme) for scheme in SCHEMES},
        box=BOX,
        core=CORE,
        counts=_counts(finished, entries, rows),
        tables="",
        files={},
        license=builder.license_of([entry for entry, _ in finished.accepted]),
    )
    describe(made, folder, manifest, entries, finished.leakage)
    digests = [file_digest(path, path.name) for path in sorted(made.iterdir())]
    tables = tables_path(tree_digest(digests))
    objects = [(f"{tables}/{path}", size, sha256) for path, size, sha256 in digests]
    objects += _volume_objects(finished.accepted)
    write_table(made / "objects.parquet", objects_table(objects))
    digests.append(file_digest(made / "objects.parquet", "objects.parquet"))
    rows["objects.parquet"] = len(objects)
    files = {path: TableFile(size, sha256, rows.get(path)) for path, size, sha256 in digests}
    manifest = replace(manifest, tables=tables, files=files)
    check_free(folder, manifest)  # before its tables take their place
    place_folder(made, folder / tables, temporary)
    return manifest, create_manifest(folder, manifest, temporary / "manifest")


def entries_table(
    accepted: Sequence[tuple[Entry, Receipt]], schema: Schema, splits: Mapping[str, Mapping[str, str]]
) -> pa.Table:
    """A row per accepted entry."""
    rows = []
    for entry, receipt in accepted:
        content = receipt.content
        rows.append(
            {
                **entry.metadata,
                **content["facts"],
                "entry_id": entry.entry_id,
                "emdb_id": entry.emdb_id,
                "pdb_id": entry.pdb_id,
                "resolution": entry.resolution,
                "resolution_bin": resolution_bin(entry.resolution),
                "contour_level": entry.contour_level,
                **{f"split_{scheme}": splits[scheme][entry.entry_id] for scheme in SCHEMES},
                "volume": receipt.volume(entry.entry_id),
                "volume_bytes": sum(size for _, size, _ in receipt.volume_files),
                "recipe_digest": receipt.digest,
                "source_sha256": content["sources"],
                **{
                    key: content[key]
                    for key in ("shape_zyx", "voxel_size_xyz", "origin_xyz", "n_subgrids", "sequences", "label_counts")
                },
            }
        )
    metadata = {name for entry, _ in accepted for name in entry.metadata}
    return pa.Table.from_pylist(rows, schema=entries_schema(schema, metadata))


def rejected_table(rejected: Iterable[Rejection]) -> pa.Table:
    """A row per refused entry."""
    rows = [{"entry_id": item.entry_id, "code": item.code, "message": item.message} for item in rejected]
    return pa.Table.from_pylist(rows, schema=REJECTED)


def objects_table(objects: Iterable[FileDigest]) -> pa.Table:
    """A row per object of the version."""
    rows = [{"path": path, "bytes": size, "sha256": sha256} for path, size, sha256 in sorted(objects)]
    return pa.Table.from_pylist(rows, schema=OBJECTS)


def _volume_objects(accepted: Sequence[tuple[Entry, Receipt]]) -> Iterator[FileDigest]:
    for entry, receipt in accepted:
        for path, size, sha256 in receipt.volume_files:
            yield f"{receipt.volume(entry.entry_id)}/{path}", size, sha256


def _counts(finished: Finished, entries: pa.Table, rows: Mapping[str, int]) -> dict[str, Any]:
    voxels = sum(z * y * x for z, y, x in entries["shape_zyx"].to_pylist())
    by_split = {
        split: sum(count for name, count in rows.items() if name.startswith(f"subgrids-{split}-"))
        for split in split_names(DEFAULT_SCHEME)
    }
    labels: Counter[str] = Counter()
    for _, receipt in finished.accepted:
        for item in receipt.content["label_counts"]:
            if item["label"] == "atom":
                labels.update({state: item[state] for state in ("model", "written", "lost", "outside")})
    return {
        "entries": len(finished.accepted),
        "entries_by_split": dict(sorted(Counter(entries[f"split_{DEFAULT_SCHEME}"].to_pylist()).items())),
        "entries_by_resolution": dict(sorted(Counter(entries["resolution_bin"].to_pylist()).items())),
        "rejected": dict(sorted(Counter(item.code for item in finished.rejected).items())),
        "voxels": voxels,
        "volume_bytes": sum(entries["volume_bytes"].to_pylist()),
        "subgrids": by_split,
        "atoms": dict(labels),
    }
