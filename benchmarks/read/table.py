"""The figures as people read them: a Markdown table, and what is required beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

DISK = 0.5e9
"bytes a second of a disk that the set is read from once it is larger than memory"

COPY = "M: memcpy of the same bytes"
TWO_COPY = f"{COPY}, two cores"
STREAM = "SubgridStream(streams=1, pool_volumes=6)"
DEFAULTS = "SubgridStream, defaults (streams=8)"
TWO_CORES = f"{STREAM}, two cores"
WHOLE = "load_dataset(streaming, streams=1, pool_volumes=6), whole batches"
WHOLE_DEFAULTS = "load_dataset(streaming), whole batches"
BY_SAMPLE = "load_dataset(streaming), by sample, torch"
HF_TORCH = "HF Parquet streaming, torch"
ZSTD = ", codec=zstd"
"behind the names of our cases on maps that are stored so"

SHARDED = ("litData", "MosaicML", "WebDataset", "HF Parquet streaming")
"packaged loaders that stream shards"

COLUMNS = (
    "loader | sub-grids/s (lowest-highest) | workers | one worker | first batch s | resume s at 10 / 50 / 90 % | "
    "memory MB | disk MB | read per used | from 0.5 GB/s"
)


def markdown(result: Row) -> str:
    """The table, its notes and the required ratios."""
    lines = [f"| {COLUMNS} |", "|---" * (COLUMNS.count("|") + 1) + "|"]
    lines += [_line(row, result["input"]["sample bytes"]) for row in result["rows"]]
    failed = [f"{row['case']}: not run: {row['not run']}" for row in result["rows"] if "not run" in row]
    met = ["| required | at least | measured | met | with zstd | met |", "|---|---|---|---|---|---|"]
    met += [
        f"| {one['what']} | {one['bound']} | "
        f"{_number(one['measured'])} | {one['met']} | {_number(other['measured'])} | {other['met']} |"
        for one, other in zip(result["ratios"], result["ratios with zstd"], strict=True)
    ]
    return "\n".join([*lines, "", notes(result), *failed, "", *met])


def notes(result: Row) -> str:
    """What the columns mean."""
    said = result["input"]
    held = sorted({row["maps"] for row in result["rows"] if row.get("maps") and row["maps"] < said["maps"]})
    copied = {row["case"]: row["rate"] for row in result["rows"] if row["case"] in (COPY, TWO_COPY) and "rate" in row}
    second = f"Two cores copy {copied[TWO_COPY] / copied[COPY]:.2f} times what one does. " if len(copied) == 2 else ""
    closing = max((row.get("close", 0.0) for row in result["rows"]), default=0.0)
    return (
        f"{said['maps']} simulated maps of {said['side']} A, {said['sub-grids']:,} sub-grids of "
        f"{said['sample bytes']:,} bytes, batch {said['batch']}; one core ({result['processor']}), thread pools of 1, "
        f"page cache warm. Rates: median of {said['repeats']} repeats of {said['seconds']:g} s, at the best of "
        f"{said['workers']} workers; ours over whole epochs with decoding and first batches, the others after their "
        f"first batch. Other layouts hold fewer maps ({', '.join(map(str, held)) or 'all'}): their bytes are scaled "
        "to all, their resume times are not. Memory: peak of anonymous and shared memory of all processes. Read per "
        "used: bytes asked of files per byte delivered (rchar of /proc/self/io; c: computed, each stored byte once an "
        "epoch). From 0.5 GB/s: computed, the rate when all that is read comes from such a disk; RAM: the set must fit "
        f"memory. {second}Ending a stream took {closing:.1f} s at most, which is in no figure (`datasets` sleeps 5 s)."
    )


def _line(row: Row, sample: int) -> str:
    if "not run" in row:
        return f"| {row['case']} | not run: {row['not run'].replace('|', '/')}" + " |" * COLUMNS.count("|")
    resume = row["resume"]
    times = " / ".join(_number(value) for value in resume.values()) + f" ({row['resumes']})" if resume else "none"
    cells = [
        row["case"],
        f"{row['rate']:,.0f} ({row['lowest']:,.0f}-{row['highest']:,.0f})",
        str(row["best workers"]),
        f"{row['one worker']:,.0f}" if row["one worker"] else "-",
        _number(row["first"]),
        times if row["peer"] != "ceiling" else "-",
        f"{row['memory'] / 1e6:,.0f}",
        f"{row['stored'] / 1e6:,.0f}" if row["stored"] else "-",
        _number(row["read"]) + (" c" if row["read how"] == "computed" else "") if row["read"] is not None else "-",
        _allowed(row, sample),
    ]
    return f"| {' | '.join(cells)} |"


def _allowed(row: Row, sample: int) -> str:
    """The rate that a disk allows."""
    if row["peer"] == "ceiling":
        return "-"
    if row["read"] is None:
        return "RAM"
    return f"{min(row['rate'], DISK / (row['read'] * sample)):,.0f}" if row["read"] else "-"


def _number(value: Any) -> str:
    if isinstance(value, str) or value is None:
        return value or "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.01 else f"{value:.3f}"


def ratios(rows: Sequence[Row], suffix: str = "") -> list[dict[str, Any]]:
    """What is asked of the reader, and whether this run met it; `-` where a case did not run. suffix: behind the names
    of our cases that are taken."""
    found = {row["case"]: row for row in rows if "not run" not in row}

    def rate(*names: str, key: str = "rate") -> float:
        """The best of the cases whose names begin so."""
        return max(row[key] for name, row in found.items() if name.startswith(names) and row.get(key))

    def peers_with_one_worker() -> float:
        peers = [row for row in found.values() if row["peer"] not in ("cryodata", "ceiling")]
        return max(row["one worker"] for row in peers if row["one worker"])

    def ours(name: str, key: str = "rate") -> Any:
        return found[f"{name}{suffix}"][key]

    def stream() -> float:
        return float(ours(STREAM))

    asked: list[tuple[str, float, Callable[[], float]]] = [
        ("R, the reader's cut / M, memcpy", 0.5, lambda: rate("R:") / found[COPY]["rate"]),
        ("SubgridStream / R", 0.35, lambda: stream() / rate("R:")),
        ("SubgridStream / N, NumPy slices", 2, lambda: stream() / rate("N:")),
        ("SubgridStream / published npz", 40, lambda: stream() / rate("npz")),
        ("SubgridStream / MosaicML, ndarray", 5, lambda: stream() / rate("MosaicML MDS, ndarray")),
        ("SubgridStream / litData, arrays", 5, lambda: stream() / rate("litData, numpy", "litData, tensor")),
        ("SubgridStream / fastest sharded loader in any form", 2, lambda: stream() / rate(*SHARDED)),
        ("SubgridStream / HF map-style bytes", 1, lambda: stream() / rate("HF map-style, bytes")),
        ("SubgridStream / memmap", 2.5, lambda: stream() / rate("np.memmap")),
        ("SubgridStream, two cores / one core", 1.5, lambda: ours(TWO_CORES) / stream()),
        ("one worker: SubgridStream / best peer", 4, lambda: ours(STREAM, "one worker") / peers_with_one_worker()),
        ("disk: npy a sub-grid / ours", 15, lambda: found["npy a sub-grid"]["stored"] / ours(STREAM, "stored")),
        ("load_dataset, whole batches / SubgridStream", 0.9, lambda: ours(WHOLE) / stream()),
        ("the same, both with defaults", 0.9, lambda: ours(WHOLE_DEFAULTS) / ours(DEFAULTS)),
        ("by sample, torch format / HF Parquet, torch", 15, lambda: ours(BY_SAMPLE) / rate(HF_TORCH)),
        ("1 s / first batch", 1, lambda: 1 / ours(STREAM, "first")),
        ("1 s / slowest resume", 1, lambda: 1 / max(ours(STREAM, "resume").values())),
    ]  # fmt: skip
    return [_checked(what, bound, value) for what, bound, value in asked]


def _checked(what: str, bound: float, value: Callable[[], float]) -> dict[str, Any]:
    try:
        measured = value()
    except (KeyError, ValueError, TypeError, ZeroDivisionError):  # a case that it needs did not run
        return {"what": what, "bound": bound, "measured": None, "met": "not run"}
    return {"what": what, "bound": bound, "measured": measured, "met": "yes" if measured >= bound else "no"}
