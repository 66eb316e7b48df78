"""Dense sub-grids as tar shards for WebDataset.

    DIR/train-000000.tar   of a sample NUMBER: NUMBER.density.npy, NUMBER.atom.npy, ..., NUMBER.json
    DIR/shards.json        shards and samples of each split

Numbers are places in the split, so no id of a dataset becomes a name; the ids are in the JSON.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.build.export import Chosen, Layout, shards
from cryodata.build.export.grids import grid_of
from cryodata.formats.tarfiles import write_tar

OVERHEAD = 2048
"bytes of an archive for each member at most: its header, that of the array, and what fills up its last block"


def lay_out(chosen: Chosen) -> Layout:
    """A piece a shard."""
    members = 2 + len(chosen.decoder.schema.labels)
    pieces = shards.pieces(
        chosen, "{split}-{number:06d}.tar", shards.example_bytes(chosen) + members * OVERHEAD, _write
    )
    told = {
        split: {
            "shards": sum(piece.name.rpartition("-")[0] == split for piece in pieces),
            "samples": sum(len(grid_of(chosen, row)) for row in rows),
        }
        for split, rows in chosen.by_split.items()
    }
    split, first = next(iter(told.items()))
    advice = f'webdataset.WebDataset("{{folder}}/{split}-{{{{000000..{first["shards"] - 1:06d}}}}}.tar").decode()'
    return Layout(pieces, {"shards.json": lambda: [json.dumps(told, indent=2) + "\n"]}, advice)


def _write(path: Path, examples: Iterator[shards.Example]) -> None:
    write_tar(path, _members(examples))


def _members(examples: Iterator[shards.Example]) -> Iterator[tuple[str, bytes]]:
    for example in examples:
        key = f"{example.number:09d}"
        for name, array in example.arrays.items():
            yield f"{key}.{name}.npy", _npy(array)
        yield f"{key}.json", json.dumps(_told(example), sort_keys=True).encode()


def _npy(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _told(example: shards.Example) -> dict[str, Any]:
    row = example.row
    names = ("entry_id", "emdb_id", "pdb_id", "resolution", "voxel_size_xyz", "origin_xyz")
    return {**{name: row[name] for name in names}, "start_zyx": list(example.start_zyx)}
