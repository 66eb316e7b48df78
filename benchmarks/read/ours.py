"""Our own doors, by the public interface alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.read.harness import Case, Loader, MapStyle, Setup, data_loader
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch
from cryodata import load_dataset
from cryodata.torch import SubgridStream


def options(setup: Setup) -> dict[str, Any]:
    """What every door is asked for."""
    return {"split": "train", "root": setup.input.root, "columns": list(ARRAYS)}


class Stream(Loader):
    """SubgridStream, alone or in a DataLoader."""

    resumes = "state"

    def __init__(self, setup: Setup, **arguments: Any) -> None:
        self.stream = SubgridStream(setup.input.dataset, batch_size=setup.batch, **options(setup), **arguments)
        self.loader = (
            data_loader(self.stream, setup.workers, batch_size=None, persistent_workers=True)
            if setup.workers
            else self.stream
        )

    def epoch(self, number: int) -> Iterator[Batch]:
        """Each map decoded once."""
        self.stream.set_epoch(number)
        return iter(self.loader)

    def state(self, batches: int) -> Any:
        """Made from the place alone."""
        return self.stream.state_at(0, batches)

    def resume(self, state: Any) -> Iterator[Batch]:
        """By the state."""
        self.stream.load_state_dict(state)
        return iter(self.loader)


class Hugging(Loader):
    """`load_dataset(streaming=True)` with a shuffle: whole batches, or samples in torch format."""

    resumes = "state"

    def __init__(self, setup: Setup, whole: bool, streams: int, pool_volumes: int) -> None:
        self.setup, self.whole = setup, whole
        size = {"batch_size": setup.batch} if whole else {}
        order = {"shuffle": 0, "streams": streams, "pool_volumes": pool_volumes}
        self.data = load_dataset(setup.input.dataset, streaming=True, **order, **size, **options(setup))
        if not whole:
            self.data = self.data.with_format("torch")

    def epoch(self, number: int) -> Iterator[Batch]:
        """The whole set."""
        self.data.set_epoch(number)
        if not self.whole:
            return iter(data_loader(self.data, self.setup.workers, batch_size=self.setup.batch, drop_last=True))
        if self.setup.workers:
            batches = iter(data_loader(self.data, self.setup.workers, batch_size=None))
        else:
            batches = iter(self.data)
        return ({key: torch.as_tensor(batch[key]) for key in ARRAYS} for batch in batches)

    def state(self, batches: int) -> Any:
        """What the object says after so many batches."""
        data = iter(self.data)
        for _ in range(batches if self.whole else batches * self.setup.batch):
            next(data)
        return self.data.state_dict()

    def resume(self, state: Any) -> Iterator[Batch]:
        """By the state."""
        self.data.load_state_dict(state)
        return self.epoch(0)


def table(setup: Setup) -> Loader:
    """`load_dataset` with random access, torch format."""
    return MapStyle(load_dataset(setup.input.dataset, **options(setup)).with_format("torch"), setup)


ALL = 1_000_000
"more maps than there are: ours hold every one"


def _case(name: str, door: Callable[[Setup], Loader], workers: tuple[int, ...], pinned: bool = True) -> Case:
    return Case(name, door, maps=ALL, whole=True, workers=workers, pinned=pinned)


def _one_stream(setup: Setup) -> Loader:
    return Stream(setup, streams=1, pool_volumes=6)


CASES = (
    _case("SubgridStream(streams=1, pool_volumes=6)", _one_stream, (0, 1, 2)),
    _case("SubgridStream, defaults (streams=8)", Stream, (0, 1, 2)),
    _case("SubgridStream(streams=1, pool_volumes=6), two cores", _one_stream, (0,), pinned=False),
    _case("SubgridStream, defaults, two cores", Stream, (0,), pinned=False),
    _case("load_dataset(streaming, streams=1, pool_volumes=6), whole batches", lambda s: Hugging(s, True, 1, 6), (0,)),
    _case("load_dataset(streaming), whole batches", lambda s: Hugging(s, True, 8, 8), (0, 1)),
    _case("load_dataset(streaming), by sample, torch", lambda s: Hugging(s, False, 8, 8), (0, 1)),
    Case("load_dataset, map-style, torch", table, maps=ALL, workers=(0, 1), reads="memory"),
)

if __name__ == "__main__":
    main(CASES, ("cryodata", "datasets", "zarr", "numcodecs", "pyarrow"))
