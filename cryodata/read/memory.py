"""The memory that a reader takes, stated before it begins; `tests/read/test_memory.py` measures that it is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.formats.row_groups import KEPT_FOOTER, KEPT_FOOTERS
from cryodata.formats.tables import vectors
from cryodata.prepare.rules import LabelRule
from cryodata.read.atoms import TOGETHER
from cryodata.read.cores import blocks_held, decode_threads, slots_of_stream
from cryodata.read.decode import Volumes, volumes_of
from cryodata.read.fill import DRAWN_POINTS, DRAWN_VOXELS
from cryodata.read.frame import slot_voxels
from cryodata.read.plan import StreamPlan

HELD_ATOM, MADE_ATOM = 64, 512
"bytes of a label point while its map is held, and while its table is read (measured: 22 to 56, 280 to 390)"

FOOTER_MAP = 16 << 10
"bytes of a map in the footer of an atoms file once it is parsed (measured: 15,000, 9 times what is stored)"

FOOTER_PARSED = 12
"how many times as much a footer takes once it is parsed, at most"

PAIR = 24
"bytes of a label point in a box that is served, a label: place and value, once more while blocks are joined"

SUBGRID = 384
"bytes of a sub-grid of a block: where it is cut, turned, and its labels begin (measured: 170 to 350)"

GROUP_VOLUMES = 64
"maps whose sub-grids share a row group of the table that `balance=` reads"

TURNED_VOXEL, DRAWN_VOXEL = 192, 48
"bytes of scratch for a voxel of a box that is turned freely, and of boxes whose labels are drawn (measured: 146, 33)"

RING_BATCHES = 4
"batches of a worker: two that DataLoader asks for ahead, and two that the loop holds"

ALLOWANCE = 8 << 20
"bytes that the allocator, stacks of threads and the like may add"


@dataclass(frozen=True, slots=True)
class Memory:
    """Most bytes that a reader adds to its processes while epochs are read, one at a time, by what takes them."""

    volumes: int
    "slots: blocks held x streams x maps of a block, at most the maps there are; each as the largest map in its frame"

    decoding: int
    "a decoder's chunk, compressed and not, and the label points that it reads together; footers of such tables"

    served: int
    "label points of the maps in slots, and what is known of each sub-grid of the blocks that are served"

    drawing: int
    "scratch of labels that are drawn and of boxes that are turned, for each of two hands if there are two cores"

    batches: int
    "batches alive, and nothing that the caller keeps besides"

    @property
    def total(self) -> int:
        """All of it, and the allowance."""
        return self.volumes + self.decoding + self.served + self.drawing + self.batches + ALLOWANCE


def slots_needed(plan: StreamPlan, streams: int, held: int) -> tuple[int, int, np.dtype[np.generic]]:
    """Slots of some streams, values of each (the largest map with its frame, if density is read), and their type."""
    store, core, box = volumes_of(plan.source.key), plan.source.core, plan.source.box
    size = slot_voxels(_shapes(plan, store), box, core) if plan.source.density else 0
    volumes = len(plan.source.volumes)
    return streams * slots_of_stream(plan.pool_volumes // plan.streams, volumes, held), size, store.density_dtype


def memory_needed(
    plan: StreamPlan, streams: int, counts: npt.NDArray[np.int64], batch: tuple[int, int], workers: int
) -> Memory:
    """What a reader of some streams takes.

    counts: kept sub-grids by volume. batch: bytes of its largest one, and how many are made together; one more is held
    by the loop. workers: processes that read; 0 for the caller
    itself. Several share the slots. A process has more than this only for what it is without a reader.
    """
    store, shared = volumes_of(plan.source.key), workers > 1
    block, held = plan.pool_volumes // plan.streams, blocks_held(shared)
    number, size, dtype = slots_needed(plan, streams, held)
    slots = number * size * dtype.itemsize
    # where a worker can get two blocks ahead of another, it does not wait for long: it decodes into slots of its own
    part = plan.batch_size // plan.streams
    lags = shared and int(_smallest(counts, block)) <= 2 * workers * part
    atoms, footers, decoders = np.zeros(1, dtype=np.int64), 0, decode_threads() + 1
    if len(plan.source.arrays) > len(plan.source.density):
        atoms = store.atoms.counts[plan.source.volumes]
        footers = _footers(store.atoms.volumes_of_files, decoders)
    chunk = store.chunk_bytes(plan.source.volumes) if plan.source.density else 0
    readers = max(1, workers)
    return Memory(
        volumes=slots * (1 + (workers if lags else 0)),
        decoding=readers * (decoders * (3 * chunk + _together(atoms, block) * MADE_ATOM) + footers),
        served=readers * _served(plan, streams, held, counts, atoms),
        drawing=readers * (2 if decode_threads() else 1) * _drawing(plan, int(atoms.max(initial=0))),
        batches=batch[0] * (workers * RING_BATCHES if workers else batch[1] + 1),
    )


def _together(atoms: npt.NDArray[np.int64], block: int) -> int:
    """Most label points whose tables are read together, for the maps of a block."""
    return max(int(atoms.max(initial=0)), min(TOGETHER, _largest(atoms, block)))


def _footers(files: list[int], decoders: int) -> int:
    """Footers of atoms files: those that are kept, and one that each decoder parses. files: maps of each."""
    parsed = sorted((maps * FOOTER_MAP for maps in files), reverse=True)
    kept = [size for size in parsed if size <= KEPT_FOOTER * FOOTER_PARSED]
    return sum(kept[:KEPT_FOOTERS]) + sum(parsed[:1]) * decoders


def _served(
    plan: StreamPlan, streams: int, held: int, counts: npt.NDArray[np.int64], atoms: npt.NDArray[np.int64]
) -> int:
    """Held label points, and blocks: those of each stream that are held, and one that is made."""
    source, block = plan.source, plan.pool_volumes // plan.streams
    labels = len(source.arrays) - len(source.density)
    margin = LabelRule.parse(source.rule).margin(1.0, source.box, plan.sampling.rotate == "so3")
    looks = not LabelRule.parse(source.rule).by_voxel or bool(plan.sampling.rotate)
    boxes = math.ceil((source.box + (2 * margin if looks else 0)) / source.core) ** 3
    at_most = _largest(atoms, streams * held * block) * HELD_ATOM
    one = _largest(atoms, block) * boxes * PAIR * labels + _largest(counts, block) * SUBGRID
    balance = plan.sampling.balance
    table = GROUP_VOLUMES * _largest(counts, 1) * 16 * (1 + len(balance.columns)) if balance else 0
    return at_most + (held * streams + 1) * one + table


def _drawing(plan: StreamPlan, atoms: int) -> int:
    source, rule = plan.source, LabelRule.parse(plan.source.rule)
    voxels = source.box**3
    turned = TURNED_VOXEL * voxels if plan.sampling.rotate == "so3" else 0
    if rule.by_voxel:
        return turned
    width = 2 * math.ceil(rule.reach) + 2
    boxes = max(1, DRAWN_VOXELS // voxels)
    points = max(min(DRAWN_POINTS, boxes * atoms), atoms)
    # squared distances of a point along three axes, and as much again while they are computed, twice
    return turned + DRAWN_VOXEL * boxes * voxels + 9 * 8 * width * points


def _shapes(plan: StreamPlan, store: Volumes) -> npt.NDArray[np.int64]:
    return vectors(store.entries["shape_zyx"])[plan.source.volumes].astype(np.int64)


def _largest(values: npt.NDArray[np.int64], number: int) -> int:
    """Sum of the largest few."""
    return int(np.sort(values)[-number:].sum())


def _smallest(values: npt.NDArray[np.int64], number: int) -> int:
    """Sum of the smallest few that are not 0."""
    return int(np.sort(values[values > 0])[:number].sum())
