"""Dense sub-grids in shards of one size, in the order of the tables; for layouts of which a shard is a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.build.decoded import memory_of
from cryodata.build.export import Chosen, Piece
from cryodata.build.export.grids import grid_of
from cryodata.build.subset import ROW
from cryodata.prepare.labels import painted

PER_SHARD = 1024
"sub-grids of a shard: about 160 MB as they are in memory, the size that the Hub and WebDataset advise"


@dataclass(frozen=True, slots=True)
class Example:
    """One sub-grid."""

    number: int
    "in its split, from 0"

    row: Mapping[str, Any]
    "its entry"

    start_zyx: tuple[int, int, int]
    arrays: Mapping[str, npt.NDArray[Any]]
    "(box, box, box) by name, density in the type in which it is stored"


Write = Callable[[Path, Iterator[Example]], None]
"writes a shard to a path"

Span = tuple[Mapping[str, Any], int, int, int]
"entry, first and last (exclusive) of its sub-grids, number of the first in the split"


def pieces(chosen: Chosen, place: str, sample_bytes: int, write: Write) -> list[Piece]:
    """A piece a shard. place: path of one, with {split}, {number} and {total} in it. sample_bytes: upper estimate."""
    made, labels = [], chosen.decoder.schema.labels
    for split, rows in chosen.by_split.items():
        shards = _spans(chosen, rows)
        for number, spans in enumerate(shards):
            path = place.format(split=split, number=number, total=len(shards))
            count = sum(last - first for _, first, last, _ in spans)
            need = max(memory_of(row, labels) for row, *_ in spans) + PER_SHARD * sample_bytes
            make = partial(_make, chosen, spans, path, write)
            made.append(Piece(f"{split}-{number:05d}", 1, count * sample_bytes, need, make))
    return made


def example_bytes(chosen: Chosen) -> int:
    """Bytes of the arrays of a sub-grid, density as float32 at most."""
    return chosen.decoder.opened.manifest.box**3 * (4 + len(chosen.decoder.schema.labels))


def _spans(chosen: Chosen, rows: Sequence[Mapping[str, Any]]) -> list[list[Span]]:
    """What of which entries lies in each shard. An entry at the border of two is decoded for both."""
    shards: list[list[Span]] = []
    done = 0
    for row in rows:
        count, first = len(grid_of(chosen, row)), 0
        while first < count:
            if done % PER_SHARD == 0:
                shards.append([])
            last = min(count, first + PER_SHARD - done % PER_SHARD)
            shards[-1].append((row, first, last, done))
            done += last - first
            first = last
    return shards


def _make(chosen: Chosen, spans: Sequence[Span], path: str, write: Write, folder: Path) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, _examples(chosen, spans))


def _examples(chosen: Chosen, spans: Sequence[Span]) -> Iterator[Example]:
    decoder, name = chosen.decoder, chosen.decoder.schema.density.name
    for row, first, last, number in spans:
        density, grid = decoder.density(row), grid_of(chosen, row)
        voxels = decoder.label_voxels(row, decoder.points(row[ROW]))
        volumes = {name: density.data} | {key: painted(found, density.shape_zyx) for key, found in voxels.items()}
        for place in range(first, last):
            start = grid.start_of(place)
            arrays = {key: np.ascontiguousarray(grid.cut(volume, start)) for key, volume in volumes.items()}
            yield Example(number + place - first, row, start, arrays)
