"""Sub-grids of the published scripts: float64, and in their order, the first axis of the array fastest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.build.decoded import memory_of
from cryodata.build.export import Chosen, Layout, Piece
from cryodata.build.subset import ROW
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import UsageError
from cryodata.prepare.labels import painted

LISTS = {"validation": "valid"}
"what the published scripts call a split, where that is not its name"

LINE = 180
"bytes of a line of a list, at most: an id has 80 letters and may be there twice"

Windows = Iterator[tuple[int, list[npt.NDArray[np.float64]]]]
"number of each window, and what is in it: density, then the labels that were asked for"


Save = Callable[[Path, list[npt.NDArray[np.float64]]], None]
"writes a window to a path, in a format"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the sub-grids of a layout are."""

    layout: str
    "name of the format"

    labels: tuple[str, ...]
    "that follow the density"

    place: str
    "path of a sub-grid, with {split}, {entry} and {number} in it"

    listed: str
    "what the lists say of a sub-grid, with the same in it"

    window_bytes: int
    "of a file, an upper estimate"

    save: Save


def list_name(split: str) -> str:
    """train, valid, test, ..."""
    return LISTS.get(split, split)


def lay_out(chosen: Chosen, kind: Kind, advice: str) -> Layout:
    """A piece an entry, and a list a split. UsageError if the dataset lacks a label of the layout."""
    known = [array.name for array in chosen.decoder.schema.labels]
    missing = [name for name in kind.labels if name not in known]
    if missing:
        told = ", ".join(known) or "none"
        raise UsageError(f"--format {kind.layout} needs the label {missing[0]}; found: {told}")
    need = [memory_of(row, chosen.decoder.schema.labels) for row in chosen.rows]
    pieces = [
        Piece(row["entry_id"], count, count * (kind.window_bytes + LINE), memory, partial(_write, chosen, kind, row))
        for row, memory in zip(chosen.rows, need, strict=True)
        for count in (len(grid_of(chosen, row)),)
    ]
    lists = {f"{list_name(split)}_splits.txt": partial(_lines, chosen, kind, split) for split in chosen.by_split}
    return Layout(pieces, lists, advice)


def _write(chosen: Chosen, kind: Kind, row: Mapping[str, Any], folder: Path) -> None:
    for number, arrays in windows(chosen, row, kind.labels):
        path = folder / _named(kind.place, chosen, row, number)
        if not number:
            path.parent.mkdir(parents=True)
        kind.save(path, arrays)


def _lines(chosen: Chosen, kind: Kind, split: str) -> Iterator[str]:
    for row in chosen.by_split[split]:
        for number in range(len(grid_of(chosen, row))):
            yield _named(kind.listed, chosen, row, number) + "\n"


def _named(pattern: str, chosen: Chosen, row: Mapping[str, Any], number: int) -> str:
    return pattern.format(split=list_name(chosen.split_of(row)), entry=row["entry_id"], number=number)


def grid_of(chosen: Chosen, row: Mapping[str, Any]) -> SubgridGrid:
    """The windows of an entry."""
    manifest = chosen.decoder.opened.manifest
    return SubgridGrid.uniform(row["shape_zyx"], manifest.box, manifest.core)


def windows(chosen: Chosen, row: Mapping[str, Any], names: Sequence[str]) -> Windows:
    """All windows of an entry, empty ones too, as the published scripts number them."""
    decoder, grid = chosen.decoder, grid_of(chosen, row)
    density = decoder.density(row)
    voxels = decoder.label_voxels(row, decoder.points(row[ROW]))
    volumes: list[npt.NDArray[Any]] = [density.data, *(painted(voxels[name], density.shape_zyx) for name in names)]
    # starts_zyx has x fastest: seen as (z, y, x) and read backwards, z is
    order = np.arange(len(grid)).reshape(grid.counts_zyx).transpose(2, 1, 0).reshape(-1)
    for number, place in enumerate(order.tolist()):
        yield number, [grid.cut(volume, grid.start_of(place)).astype(np.float64) for volume in volumes]
