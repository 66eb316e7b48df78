"""Tables of very many sub-grids: written from receipts as a version's are, read as a filter reads them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.core.entry import Entry

SIDE = 17
"sub-grids of a map along an axis: 7,940 maps have 39 million"


def write_tables(volumes: int, folder: Path) -> dict[str, Any]:
    """Receipts of so many maps with made-up sub-grids, and the tables of a version from them."""
    from cryodata.build.receipts import Receipt, write_receipt
    from cryodata.build.spread import write_subgrids
    from cryodata.core.splits import DEFAULT_SCHEME, TRAIN
    from cryodata.formats.tables import SUBGRIDS

    rng = np.random.Generator(np.random.PCG64(0))
    accepted: list[tuple[Entry, Receipt]] = []
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    for number in range(volumes):
        digest = f"{number:064x}"
        table = made_up(SUBGRIDS, rng)
        receipt = write_receipt(folder, folder / "temporary", digest, {"status": "accepted"}, {"subgrids": table})
        accepted.append((Entry(f"EMD-{number:06d}"), receipt))
    before, began = peak(), time.perf_counter()
    made = folder / "made"
    made.mkdir(exist_ok=True)
    rows = write_subgrids(made, folder, accepted, {DEFAULT_SCHEME: {entry.entry_id: TRAIN for entry, _ in accepted}})
    size = sum(path.stat().st_size for path in made.iterdir())
    seconds = round(time.perf_counter() - began, 1)
    return {"rows": sum(rows.values()), "seconds": seconds, "bytes": size, "peak": peak(), "peak before": before}


def made_up(schema: Any, rng: np.random.Generator) -> Any:
    """Sub-grid rows of one map."""
    import pyarrow as pa

    count = SIDE**3
    columns: dict[str, Any] = {}
    for field in schema:
        if field.name == "volume":
            continue
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(rng.integers(0, 400, 3 * count).astype(np.int32))
            columns[field.name] = pa.FixedSizeListArray.from_arrays(flat, type=field.type)
        elif pa.types.is_floating(field.type):
            columns[field.name] = pa.array(rng.random(count), field.type)
        else:
            columns[field.name] = pa.array(rng.integers(0, 200, count), pa.int64()).cast(field.type)
    return pa.table(columns)


def read_tables(folder: Path) -> dict[str, Any]:
    """Every row group of the tables, one by one, as a filter looks at them."""
    import pyarrow.compute as pc

    from cryodata.formats.row_groups import iterate_groups

    began, rows, kept = time.perf_counter(), 0, 0
    for path in sorted((folder / "made").glob("subgrids-*.parquet")):
        for group in iterate_groups(path):
            rows += len(group)
            kept += pc.sum(pc.greater(group["n_ca_core"], 100)).as_py() or 0
    return {"rows": rows, "kept": kept, "seconds": round(time.perf_counter() - began, 1), "peak": peak()}


def peak() -> int:
    """Most bytes of memory that this process had so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
