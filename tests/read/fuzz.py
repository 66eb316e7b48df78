"""Mutations of a dataset, each by its number, and what reading and verifying make of them.

Run as a program, with bounded memory and time for each: python -m tests.read.fuzz FOLDER NUMBER..., a line of JSON a
mutation. Every mutation is one that no reader may believe; the hashes are made to fit, as somebody with bad intent
would, so that it is not they which notice.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryodata import load_dataset
from cryodata.build.verify import verify_version
from cryodata.core.layout import tree_digest
from cryodata.errors import CryodataError
from cryodata.formats.versions import open_version
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream
from tests.tampering import VERSION, manifest_of, rewrite, table_of, write_file, write_manifest

PATHS = ["../x", "/etc/passwd", "a/../../b", "..", "a\\..\\b", "C:x", "x\0y", "", "tables/../../x"]
COUNTS = [-1, 2**53, 2**63, 10**30, 1.5, "7", None, True, [], -(2**31), 1e300]
OTHERS: list[Any] = [None, [], {}, 1.5, True, "x", [[]], -1]

SECONDS, MEMORY = 60, 4 << 30
"what one mutation may take: far more than reading the dataset does"

COLUMNS = {
    "entries.parquet": "shape_zyx voxel_size_xyz origin_xyz n_subgrids volume entry_id split_resolution",
    "objects.parquet": "path bytes sha256",
    "atoms-00000-of-00001.parquet": "volume voxel_zyx atom residue state state_ca",
    "subgrids-train-00000-of-00001.parquet": "volume start_zyx n_ca_core n_ca_box n_atom_box occupied density_max",
}
"columns by which readers find, allocate or index something; the rest is text and figures to show"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def manifest_path(rng: random.Random, folder: Path) -> str:
    """A path that leads out."""
    value, bad = manifest_of(folder), rng.choice(PATHS)
    if rng.random() < 0.4:
        value["tables"] = bad
    else:
        name = rng.choice(sorted(value["files"]))
        value["files"][bad] = value["files"].pop(name)
    write_manifest(folder, value)
    return f"path {bad!r}"


def manifest_count(rng: random.Random, folder: Path) -> str:
    """A count that none is, or that is not that of the tables."""
    value = manifest_of(folder)
    counted = [path for path in places(value) if path[0] in ("counts", "files", "box", "core", "revision")]
    path = rng.choice([path for path in counted if type(at(value, path)) is int])
    before = at(value, path)
    wrong = [before + 1, before + 10**6, 2**40] if path[0] == "files" else []
    new = rng.choice([bad for bad in COUNTS + wrong if (path[-1], bad) != ("rows", None)])
    put(value, path, new)
    write_manifest(folder, value)
    return f"{path}: {before} -> {new}"


def manifest_type(rng: random.Random, folder: Path) -> str:
    """A value of another type, a key that is missing, or one too many."""
    value = manifest_of(folder)
    free = ("parameters", "license", "parent")
    path = rng.choice([path for path in places(value) if path[0] not in free and path[-1] not in ("rows", "unit")])
    before = at(value, path)
    kind = rng.choice(["type", "missing", "extra"])
    if kind == "type" or not isinstance(path[-1], str) or path[0] in ("schema", "counts"):
        either = (int, float) if path[-1] in ("minimum", "maximum") else type(before)
        put(value, path, rng.choice([new for new in OTHERS if type(new) is bool or not isinstance(new, either)]))
    elif kind == "missing":
        del (at(value, path[:-1]) if len(path) > 1 else value)[path[-1]]
    else:
        path = path[:1]
        value["surprise"] = before
    write_manifest(folder, value)
    return f"{kind} {path}: {str(before)[:40]!r}"


def duplicate_key(rng: random.Random, folder: Path) -> str:
    """A key with two values, in the manifest or in a volume's metadata."""

    def doubled(raw: bytes) -> bytes:
        found = rng.choice(list(re.finditer(rb'\{\s*("[^"]+")\s*:', raw)))
        return raw[: found.start() + 1] + found[1] + b":null," + raw[found.start() + 1 :]

    if rng.random() < 0.5:
        path = folder / VERSION
        path.write_bytes(doubled(path.read_bytes()))
        return "manifest"
    change_metadata(folder, doubled)
    return "metadata"


def change_metadata(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the metadata of the first volume, and every hash and name that follows from them."""
    old = table_of(folder, "entries.parquet")["volume"][0].as_py()
    raw = change((folder / old / "zarr.json").read_bytes())
    (folder / old / "zarr.json").write_bytes(raw)
    rows = table_of(folder, "objects.parquet").to_pylist()
    for row in rows:
        if row["path"] == f"{old}/zarr.json":
            row |= {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    inner = [row for row in rows if row["path"].startswith(f"{old}/")]
    digest = tree_digest([(row["path"].removeprefix(f"{old}/"), row["bytes"], row["sha256"]) for row in inner])
    new = f"volumes/{digest[:2]}/{Path(old).name[:-17]}{digest}.zarr"
    (folder / new).parent.mkdir(exist_ok=True)
    (folder / old).rename(folder / new)
    for row in inner:
        row["path"] = row["path"].replace(old, new)
    rows.sort(key=lambda row: row["path"])
    rewrite(folder, "objects.parquet", lambda table: pa.Table.from_pylist(rows, table.schema))

    def moved(table: pa.Table) -> pa.Table:
        volumes = [volume.replace(old, new) for volume in table["volume"].to_pylist()]
        return table.set_column(table.schema.names.index("volume"), "volume", pa.array(volumes))

    rewrite(folder, "entries.parquet", moved)


def volume_metadata(rng: random.Random, folder: Path) -> str:
    """Codecs, types, shapes and chunks that no volume of this format has."""
    said = ""

    def change(raw: bytes) -> bytes:
        nonlocal said
        value = json.loads(raw)
        nodes = value["consolidated_metadata"]["metadata"]
        name = rng.choice([name for name, node in nodes.items() if node["node_type"] == "array"])
        keys = ("codecs", "data_type", "shape", "chunk_grid", "fill_value", "zarr_format", "node_type", "attributes")
        inside = [
            path for path in places(nodes[name]) if path[0] in keys and not isinstance(at(nodes[name], path), dict)
        ]
        path = rng.choice([path for path in inside if path[-1] not in ("level", "checksum", "configuration")])
        before = at(nodes[name], path)
        wrong: list[Any] = [*OTHERS, "blosc", "numcodecs.pickle", "gzip", "object", "float64", 0, 2**40, [2**31] * 3]
        new = rng.choice([new for new in wrong if new != before])
        put(nodes[name], path, new)
        said = f"{name} {path}: {before} -> {new}"
        return json.dumps(value).encode()

    change_metadata(folder, change)
    return said


def table_value(rng: random.Random, folder: Path) -> str:
    """A value that no builder writes."""
    name = rng.choice(sorted(COLUMNS))
    table = table_of(folder, name)
    column, row = rng.choice(COLUMNS[name].split()), rng.randrange(len(table))
    values, kind = table[column].to_pylist(), table[column].type
    before = values[row]
    values[row] = rng.choice([bad for bad in bad_values(kind, before) if bad != before])
    said = f"{name} {column}[{row}]: {before} -> {str(values[row])[:60]}"
    array = pa.array(values, kind)
    rewrite(folder, name, lambda table: table.set_column(table.schema.names.index(column), column, array))
    return said


def bad_values(kind: pa.DataType, before: Any) -> list[Any]:
    if pa.types.is_fixed_size_list(kind):
        inner = [bad for bad in bad_values(kind.value_type, before[0]) if bad is not None]
        return [None, *([bad, *before[1:]] for bad in inner)]
    if pa.types.is_floating(kind):
        return [None, math.nan, math.inf, -1e30]
    if pa.types.is_integer(kind):
        signed = pa.types.is_signed_integer(kind)
        top = 2 ** (kind.bit_width - signed) - 1
        return [None, top, top // 2, *([-1, -top - 1] if signed else [])]
    return [None, *PATHS, "x" * 10_000]


def table_shape(rng: random.Random, folder: Path) -> str:
    """Rows or columns missing, repeated, in another order or of another type."""
    name = rng.choice(sorted(COLUMNS))
    table = table_of(folder, name)
    columns = COLUMNS[name].split()
    column, kind = rng.choice(columns), rng.choice(["drop", "double", "swap", "column", "type", "empty", "rows"])
    row = rng.randrange(len(table))
    if kind == "rows":  # the rows are those of the version, their number in the manifest is not
        value = manifest_of(folder)
        counted = [name for name, file in value["files"].items() if file["rows"] is not None]
        name = rng.choice(counted)
        value["files"][name]["rows"] += rng.choice([1, -1, 2**40]) if value["files"][name]["rows"] else 1
        write_manifest(folder, value)
        return f"{name} {kind}"
    order = list(range(len(table)))
    if kind == "drop":
        del order[row]
    elif kind == "double":
        order.insert(row, row)
    elif kind == "swap":
        order[0], order[-1] = order[-1], order[0]
    elif kind == "empty":
        order = []
    changed = table.take(pa.array(order, pa.int64()))
    index = table.schema.names.index(column)
    if kind == "column":
        changed = changed.remove_column(index)
    elif kind == "type":
        changed = changed.set_column(index, column, pa.array(["x"] * len(changed)))
    rewrite(folder, name, lambda _: changed)
    return f"{name} {kind} {column} {row}"


def table_bytes(rng: random.Random, folder: Path) -> str:
    """Bytes of a Parquet file, mostly of its footer, that are others; nothing but a crash is wrong then."""
    value = manifest_of(folder)
    name = rng.choice([name for name in sorted(value["files"]) if name.endswith(".parquet")])
    raw = bytearray((folder / value["tables"] / name).read_bytes())
    for _ in range(rng.randint(1, 4)):
        raw[rng.randrange(max(0, len(raw) - 4000), len(raw))] = rng.randrange(256)
    write_file(folder, name, bytes(raw), value["files"][name]["rows"])
    return f"{name} bytes"


def unchanged(rng: random.Random, folder: Path) -> str:
    """Nothing: what is read and found to be well when nothing is wrong."""
    return "nothing"


MUTATIONS = [
    manifest_path,
    manifest_count,
    manifest_type,
    duplicate_key,
    volume_metadata,
    table_value,
    table_value,
    table_shape,
    table_bytes,
]
MAY_BE_HARMLESS = {table_bytes.__name__}
"a byte that nobody reads may be any"


def outcome(action: Callable[[], object]) -> str:
    """`refused`, `read`, or what else happened."""
    try:
        return "refused" if action() else "read"
    except CryodataError:
        return "refused"
    except BaseException:
        return traceback.format_exc()[-1500:]


def verify_all(root: Path) -> object:
    return verify_version(open_version(root, "simulated"), deep=True).faults


def read_all(root: Path) -> None:
    volumes_of.cache_clear()
    for config in ("entries", "atoms", "subgrids", "volumes"):
        for split in ("train", "validation"):
            for _ in load_dataset("simulated", config, split=split, streaming=True, root=root):
                pass
    filtered = [("n_ca_core", ">", 0)]
    for _ in SubgridStream("simulated", split="train", root=root, batch_size=8, filter=filtered, streams=1):
        pass


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    built = Path(sys.argv[1])
    for number in map(int, sys.argv[2:]):
        mutation = MUTATIONS[number % len(MUTATIONS)] if number >= 0 else unchanged
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "root" / "simulated"
            shutil.copytree(built, folder, ignore=shutil.ignore_patterns("source", "receipts", "raw"))
            what = mutation(random.Random(number), folder)
            signal.alarm(SECONDS)
            verified = outcome(
                lambda root=folder.parent: verify_version(open_version(root, "simulated"), deep=True).faults
            )
            read = outcome(lambda root=folder.parent: read_all(root))
            signal.alarm(0)
        found = {"number": number, "mutation": mutation.__name__, "what": what, "verified": verified, "read": read}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
