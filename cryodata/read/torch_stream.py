"""The fast path: whole batches as PyTorch tensors, in the keyed order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from cryodata.errors import UsageError
from cryodata.formats.versions import open_dataset
from cryodata.read import kernels, shared
from cryodata.read.buffers import Layout, placed
from cryodata.read.decode import volumes_of
from cryodata.read.memory import Memory
from cryodata.read.plan import StreamPlan, check_whole, checked_state
from cryodata.read.selection import checked_balance, checked_selection, source_of, volumes_of_split
from cryodata.read.shared import SharedMemory
from cryodata.read.slots import fills_of
from cryodata.read.sources import Sampling, SubgridSource
from cryodata.read.stream import BatchReader
from cryodata.read.torch_device import DeviceCutter
from cryodata.read.torch_ring import Lease, Ring, SharedBatch, tensors_of


class SubgridStream(IterableDataset[dict[str, Any]]):
    """Batches of sub-grids for training: shuffled over all maps, each map decoded once an epoch.

    Use it as it is, or in a `DataLoader(stream, batch_size=None)`: it makes the batches itself. The order follows from
    (seed, epoch) alone and is the same for every number of ranks and workers.

    name, split, revision, root, split_by, labels, box, core, columns, filter: as in `load_dataset`. batch_size: samples
    of a global batch, over all ranks. seed: of the order. shuffle: without, the order of the table. streams: parts of
    an epoch that are read side by side; they divide the batch, and the world size divides them. pool_volumes: maps
    mixed at a time, a multiple of `streams` (the default is `streams`). rank, world_size: of
    `torch.distributed` if it is initialised, else those that torchrun tells, else 0 of 1. remainder: `drop` makes whole
    batches only, `keep` serves every sub-grid exactly once. balance: draws sub-grids of the maps that are
    mixed at a time with replacement, an epoch as long as before:
    `map` each map equally often, `atoms` in proportion to the C-alphas in the core, {column of
    the table of sub-grids: factor} to the sum of factor x value (5 % of the draws are spread evenly). rotate: True
    for one of the 24 rotations of a cube, "so3" for any, another for each sample and epoch; atoms are rotated and the
    label rule comes after, so no label is moved or interpolated. device: volumes are moved there once and
    sub-grids cut there; with num_workers=0.

    A batch holds `density` float32 (n, box, box, box), label arrays of the same shape (uint8; with channels for some
    rules), `start_zyx` int32 (n, 3), `resolution`, lists of ids, and its own `epoch` and `batch`; if balanced
    `probability` (n,), the number of draws that was to be expected of each sample; if rotated `rotation` (n, 3, 3), the
    matrix that takes z, y, x offsets from the centre of the box before it to those after.

    Raises UsageError for what is not there or does not divide. `pool_bytes` is the most memory that reading takes in
    this process, `memory(num_workers)` the same in its parts; `dropped` the sub-grids that an epoch leaves out.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        split: str,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        streams: int = 8,
        pool_volumes: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        remainder: str = "drop",
        revision: str | None = None,
        root: str | os.PathLike[str] | None = None,
        split_by: str | None = None,
        labels: str = "stored",
        box: int | None = None,
        core: int | None = None,
        columns: Sequence[str] | str | None = None,
        filter: Any = None,
        balance: Any = None,
        rotate: bool | str = False,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        opened = open_dataset(os.fspath(name), revision, root)
        columns = [columns] if isinstance(columns, str) else columns
        selection = checked_selection(opened, "subgrids", labels, box, core, columns, filter)
        volumes = volumes_of_split(opened, selection, split_by, str(split))
        source = source_of(volumes_of(selection.key), selection, volumes)
        if not isinstance(source, SubgridSource):
            raise UsageError("a stream serves sub-grids")
        self._found: tuple[int, int] | None = None
        "rank and world size that nobody told, but that were found"

        if rank is None and world_size is None:
            rank, world_size = self._found = _distributed()
        elif rank is None or world_size is None:
            raise UsageError(f"rank={rank}, world_size={world_size}; expected both, or neither")
        sampling = Sampling(rotate, checked_balance(opened, selection, balance))
        pool = streams if pool_volumes is None else pool_volumes
        plan = StreamPlan(source, batch_size, seed, shuffle, streams, pool, remainder, sampling)
        self._reader = BatchReader.of_rank(plan, rank, world_size)
        self._device = _checked_device(device)
        # epoch, first batch, how often they were set, and the pass of a loader that came to the end from there: shared,
        # as workers that live on are to hear of set_epoch
        self._begin = torch.zeros(4, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._next = 0
        self._loaded: tuple[int, int] | None = None
        "where a worker goes on, if it was told itself"

        self._ring = Ring(placed(self._reader.layouts(self._reader.largest_batch))[1]) if shared.AVAILABLE else None
        self._decoded = SharedMemory() if shared.AVAILABLE else None
        kernels.warm_up()

    def __repr__(self) -> str:
        """What it serves, and how: for a log."""
        plan, key = self._reader.plan, self._reader.plan.source.key
        served = f"{len(self):,} batches of {plan.batch_size:,} from {int(self._reader.counts.sum()):,} sub-grids"
        order = f"seed={plan.seed}, streams={plan.streams}, pool_volumes={plan.pool_volumes}"
        maps = f"{len(plan.source.volumes):,} maps"
        return f"<SubgridStream {key.name}@{key.version}: {served} of {maps}, {self.dropped:,} left out; {order}>"

    def __len__(self) -> int:
        """Batches of an epoch, the same on every rank."""
        return len(self._reader)

    @property
    def dropped(self) -> int:
        """Sub-grids that an epoch leaves out, over all ranks."""
        return self._reader.dropped

    @property
    def pool_bytes(self) -> int:
        """Most bytes that reading adds to this process over any number of epochs: `memory()`, all of it."""
        return self.memory().total

    def memory(self, num_workers: int = 0) -> Memory:
        """Most bytes that reading adds on this rank, by what takes them; num_workers: of a DataLoader.

        With workers it is the sum over all processes (shared memory once), above what they take without a reader.
        """
        return self._reader.memory(num_workers)

    @property
    def decodes(self) -> int:
        """Volumes decoded since the stream was opened, by this process and the workers of its DataLoaders.

        Where epochs are read in a row, the first ones of the next epoch are among them.
        """
        return self._reader.decodes + (fills_of(self._decoded) if self._decoded is not None else 0)

    def set_epoch(self, epoch: int) -> None:
        """Serve this epoch from now on, from its first batch; the epoch of a loaded state goes on where it stopped."""
        check_whole("epoch", epoch)
        if epoch != int(self._begin[0]):
            self._go_to(epoch, 0)

    def state_at(self, epoch: int, batch: int) -> dict[str, Any]:
        """The state from which a stream goes on with this batch: what a training loop stores beside its weights."""
        return {**self._reader.plan.identity(), "epoch": epoch, "next_batch": batch}

    def state_dict(self) -> dict[str, Any]:
        """The state after the last batch that was taken, in this process.

        In one of n workers it counts rounds of n batches: it leads this worker to its own next batch, and is of use
        to the same worker of as many.
        """
        return self.state_at(int(self._begin[0]), self._next)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, with any number of ranks or workers. UsageError if it is of another stream."""
        place = checked_state(state, self._reader.plan)
        if get_worker_info() is None:
            self._go_to(*place)
        else:  # the others go on elsewhere
            self._loaded = place

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of the epoch that `set_epoch` named, or the rest of it after `load_state_dict`.

        Once that rest was served to its end the epoch is whole again. Worker w of n takes every n-th batch.
        """
        self._check_rank()
        worker = get_worker_info()
        offset, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        epoch, first = self._place(worker.seed - worker.id if worker is not None else 0)
        self._loaded, self._next, begun = None, first, int(self._begin[2])
        if self._device is not None:
            yield from self._on_device(self._device, epoch, first)
            return
        slots = self._reader.shared_slots(self._decoded) if step > 1 and self._decoded is not None else None
        leases: list[Lease | None] = [None]

        def new(layouts: Mapping[str, Layout]) -> dict[str, Any]:
            leases[0] = self._ring.lease(layouts) if self._ring is not None else None
            return leases[0].arrays if leases[0] is not None else self._reader.new_arrays(layouts)

        making = new if worker is not None else None
        for number, batch in self._reader.batches(epoch, first, offset, step, slots, making):
            self._next = number - offset + step
            told = {**tensors_of(batch), "epoch": epoch, "batch": number}
            yield SharedBatch.of(leases[0], told) if leases[0] is not None else told
        # iterated once more, the epoch is whole
        if worker is None:
            self._begin[1] = 0
        elif first and begun == int(self._begin[2]):  # workers of this very pass may not have begun yet
            self._passed, self._begin[3] = begun, worker.seed - worker.id

    _passed = -1
    "in a worker: the last place to go on from that it has come to the end from"

    def _check_rank(self) -> None:
        """UsageError if the group came after the stream and says otherwise: all ranks would read the same."""
        if self._found is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, ranks = _distributed()
            if (rank, ranks) != self._found:
                raise UsageError(
                    f"the stream was opened as rank {self._found[0]} of {self._found[1]}, before the group of "
                    f"torch.distributed, in which this is rank {rank} of {ranks}; open it in each process after "
                    "init_process_group, or give rank= and world_size="
                )

    def _place(self, loader: int) -> tuple[int, int]:
        """Where a pass begins: epoch and batch. loader: which pass of a DataLoader asks; workers of one all say it."""
        epoch, first, begun, passed = self._begin.tolist()
        if self._loaded is not None:
            return self._loaded
        return epoch, 0 if begun == self._passed or passed not in (0, loader) else first

    def _on_device(self, device: torch.device, epoch: int, first: int) -> Iterator[dict[str, Any]]:
        if get_worker_info() is not None:
            raise UsageError(f"device={str(device)!r} moves and cuts volumes in the training process: num_workers=0")
        number, size, dtype = self._reader.slots
        cutter = DeviceCutter(device, number * size, dtype)
        for place, batch in self._reader.batches(epoch, first, new=cutter.new, fill=cutter.fill):
            self._next = place + 1
            there = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in tensors_of(batch).items()}
            yield {**there, "epoch": epoch, "batch": place}
        self._begin[1] = 0

    def _go_to(self, epoch: int, batch: int) -> None:
        self._begin[:] = torch.tensor([epoch, batch, int(self._begin[2]) + 1, 0])
        self._next = batch

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin.share_memory_()  # a copy of shared memory is not shared itself


def _checked_device(device: str | torch.device | None) -> torch.device | None:
    """None for the CPU. UsageError for a device that PyTorch does not know or has not."""
    try:
        found = torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError):
        raise UsageError(f"device={device!r}; expected one that PyTorch knows, such as 'cuda' or 'cuda:1'") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device={str(device)!r}: PyTorch {torch.__version__} finds no GPU; leave it out for the CPU")
    return None if found.type == "cpu" else found


def _distributed() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    # torchrun has started this process, and the group comes later: as rank 0 of 1 it would read what all others read
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
