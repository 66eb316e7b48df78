"""The batches of a run: a dataset opened as its settings say, and tensors where the network is."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cryodata.baseline.learning.config import TrainConfig
from cryodata.baseline.learning.heads import Head, heads_of
from cryodata.baseline.learning.runs import read_sequences
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.versions import DatasetVersion
from cryodata.read.torch_stream import SubgridStream

ROTATIONS: Mapping[str, bool | str] = {"cube": True, "so3": "so3", "none": False}


def heads_in(opened: DatasetVersion, config: TrainConfig) -> tuple[Head, ...]:
    """The heads that a run learns, with the classes that the dataset declares. UsageError for a label it has not."""
    there = {array.name: tuple(item.name for item in array.classes) for array in opened.manifest.schema.labels}
    missing = [name for name in config.names if name not in there]
    if missing or not config.names:
        raise UsageError(f"heads: found '{config.heads}'; {opened.manifest.name} has labels {', '.join(there)}")
    found = heads_of({name: there[name] for name in config.names}, conditional=config.network == "residual")
    order = {name: number for number, name in enumerate(config.names)}
    return tuple(sorted(found, key=lambda head: order[head.name]))


def train_stream(opened: DatasetVersion, config: TrainConfig) -> SubgridStream:
    """The training split: shuffled, balanced and rotated as the settings say."""
    return SubgridStream(
        f"{opened.manifest.name}@{opened.manifest.version}",
        split=config.train_split,
        batch_size=config.batch_size,
        seed=config.seed,
        streams=config.streams,
        pool_volumes=_pool(opened, config),
        root=opened.root,
        split_by=config.split_by or None,
        labels=config.labels,
        box=config.box,
        core=config.core,
        columns=["density", *config.names, "entry_id"],
        balance=None if config.balance == "none" else config.balance,
        rotate=ROTATIONS[config.rotate],
    )


def validation_stream(opened: DatasetVersion, config: TrainConfig) -> SubgridStream | None:
    """The validation split, in an order of its own that is always the same; None if there is none to judge by.

    Every sub-grid as it is stored, once: neither balanced nor rotated.
    """
    split = config.validation_split
    if not split or not (config.split_by or opened.manifest.counts["subgrids"].get(split)):
        return None
    return SubgridStream(
        f"{opened.manifest.name}@{opened.manifest.version}",
        split=split,
        batch_size=config.batch_size,
        seed=config.seed,
        streams=config.streams,
        remainder="keep",
        root=opened.root,
        split_by=config.split_by or None,
        labels=config.labels,
        box=config.box,
        core=config.core,
        columns=["density", *config.names, "entry_id"],
    )


class Feed:
    """Moves batches to the device, and adds the sequence vectors."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._workers, self._device = config.workers, device
        self._names = config.names
        self._sequences = read_sequences(Path(config.sequences)) if config.sequences else None

    def batches(self, stream: SubgridStream) -> Iterable[dict[str, Any]]:
        """The rest of the epoch that the stream is set to: density (n, 1, z, y, x), labels, perhaps `sequence`."""
        source: Iterable[dict[str, Any]] = stream
        if self._workers:
            source = DataLoader(stream, batch_size=None, num_workers=self._workers, worker_init_fn=_leave_interrupts)
        for batch in source:
            moved: dict[str, Any] = {name: self._there(batch[name]) for name in self._names}
            moved["density"] = self._there(batch["density"])[:, None]
            moved["epoch"], moved["batch"] = batch["epoch"], batch["batch"]
            if self._sequences is not None:
                moved["sequence"] = self._there(torch.stack([self._sequence(name) for name in batch["entry_id"]]))
            yield moved

    def _there(self, values: Tensor) -> Tensor:
        return values.to(self._device, non_blocking=True)

    def _sequence(self, entry_id: str) -> Tensor:
        assert self._sequences is not None
        if entry_id not in self._sequences:
            raise DatasetError(f"no sequence vector for entry {entry_id}; the file must hold one for each entry_id")
        return self._sequences[entry_id]


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C goes to all processes of a terminal; the training process comes to a good place, and then ends these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pool(opened: DatasetVersion, config: TrainConfig) -> int:
    """Maps mixed at a time: as many as are asked for, and no more than there are, a multiple of the streams."""
    volumes: int = max(1, opened.manifest.counts["entries_by_split"].get(config.train_split, 1))
    wanted = min(config.pool_volumes or config.streams, -(-volumes // config.streams) * config.streams)
    if wanted % config.streams:
        raise UsageError(f"pool_volumes is {config.pool_volumes}; expected a multiple of streams, {config.streams}")
    return wanted
