"""DataLoader workers: they share decoded maps and send batches without copies, and nobody can tell."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cryodata.build.dataset import Report
from cryodata.errors import DatasetError
from cryodata.read.torch_ring import SLOTS
from cryodata.torch import SubgridStream

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create:UserWarning",
    "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning",
)

Make = Callable[..., SubgridStream]


@pytest.fixture
def stream(simulated: Report) -> Make:
    """A stream of whole sub-grids of the training maps; arguments may be overridden."""

    def make(**changes: Any) -> SubgridStream:
        arguments = {"split": "train", "batch_size": 16, "seed": 1, "streams": 4, "remainder": "keep"}
        return SubgridStream("simulated", root=simulated.folder.parent, **{**arguments, **changes})

    return make


def loader(stream: SubgridStream, workers: int, context: str = "fork", **options: Any) -> DataLoader[Any]:
    return DataLoader(
        stream, batch_size=None, num_workers=workers, multiprocessing_context=context if workers else None, **options
    )


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return list(left) == list(right) and all(
        torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        for name, value in left.items()
    )


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_any_number_of_ranks_and_workers_sees_the_same_global_batches(stream: Make, world: int, workers: int) -> None:
    check_matrix(stream, world, workers, "fork")


def test_so_do_spawned_workers(stream: Make, series: Callable[[str, int], list[int]]) -> None:
    for case in series("ranks and spawned workers", 9):
        check_matrix(stream, world=(1, 2, 4)[case % 3], workers=(0, 1, 3)[case // 3], context="spawn")


def check_matrix(stream: Make, world: int, workers: int, context: str) -> None:
    alone = list(stream())
    streams = [stream(rank=rank, world_size=world) for rank in range(world)]

    ranks = [list(loader(one, workers, context)) for one in streams]

    assert len(alone) == len(ranks[0]) > 10
    for number, whole in enumerate(alone):
        parts = [rank[number] for rank in ranks]
        for name in ("density", "atom", "amino", "secondary", "start_zyx"):
            assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])
        assert [entry_id for part in parts for entry_id in part["entry_id"]] == whole["entry_id"]
    # 3 maps, and one more for each cut between the 4 streams
    assert sum(one.decodes for one in streams) <= 3 + 3


def test_a_kept_batch_never_changes(stream: Make) -> None:
    kept = list(loader(stream(batch_size=8), 1))

    assert len(kept) > 2 * SLOTS
    assert all(same(ours, alone) for ours, alone in zip(kept, stream(batch_size=8), strict=True))


def test_a_slot_waits_for_a_slow_reader(stream: Make) -> None:
    taken = []
    for number, batch in enumerate(loader(stream(batch_size=8), 2)):
        if number % 5 == 0:
            time.sleep(0.02)  # the workers run into what is not read yet
        taken.append({**batch, "density": batch["density"].clone()} if number % 2 else batch)

    assert all(same(ours, alone) for ours, alone in zip(taken, stream(batch_size=8), strict=True))


def test_a_view_of_a_tensor_keeps_its_batch(stream: Make) -> None:
    views = [batch["density"][3, 5:9] for batch in loader(stream(batch_size=8, remainder="drop"), 1)]
    gc.collect()

    alone = [batch["density"][3, 5:9] for batch in stream(batch_size=8, remainder="drop")]

    assert all(torch.equal(view, other) for view, other in zip(views, alone, strict=True))


def test_batches_travel_in_shared_slots_and_not_as_copies(stream: Make) -> None:
    opened = stream(batch_size=8)
    places = set()
    for batch in loader(opened, 1):
        places.add(batch["density"].data_ptr())
        del batch

    # 20 batches and more through a handful of slots
    assert len(places) <= SLOTS < 20 < len(opened)


class Doubled(torch.utils.data.IterableDataset[dict[str, Any]]):
    """A user's own dataset around a stream."""

    def __init__(self, stream: SubgridStream, keep: list[Any] | None = None) -> None:
        self.stream, self.keep = stream, keep

    def __iter__(self) -> Any:
        for batch in self.stream:
            if self.keep is not None:
                self.keep.append(batch)
            batch["density"] = batch["density"] * 2
            batch["note"] = "doubled"
            yield batch


@pytest.mark.parametrize("keep", [None, []], ids=["passes on", "keeps in the worker"])
def test_what_a_wrapper_puts_into_a_batch_arrives(stream: Make, keep: list[Any] | None) -> None:
    taken = list(loader(Doubled(stream(batch_size=8), keep), 1))

    for ours, alone in zip(taken, stream(batch_size=8), strict=True):
        assert ours["note"] == "doubled"
        assert torch.equal(ours["density"], alone["density"] * 2)
        assert torch.equal(ours["atom"], alone["atom"])


def test_two_loaders_over_one_stream_do_not_meet(stream: Make) -> None:
    opened = stream(batch_size=8)

    pairs = list(zip(loader(opened, 1), loader(opened, 2), strict=True))

    assert all(same(left, right) for left, right in pairs)


def test_a_loader_left_in_the_middle_leaves_the_next_its_slots(stream: Make) -> None:
    opened = stream(batch_size=8)
    for _ in range(2 * SLOTS):
        next(iter(loader(opened, 1)))
    places = set()
    for batch in loader(opened, 1):
        places.add(batch["density"].data_ptr())
        del batch

    assert len(places) <= SLOTS


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_workers_error_names_the_entry_and_the_file(simulated: Report, tmp_path: Path, context: str) -> None:
    shutil.copytree(simulated.folder, tmp_path / "simulated")
    path = next((tmp_path / "simulated").glob("volumes/*/SIM-00002*/density/c/0/0/0"))
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    opened = SubgridStream("simulated", split="train", batch_size=8, root=tmp_path)

    with pytest.raises(DatasetError, match="entry SIM-00002: volumes/.*: damaged shard of .* crc32c"):
        list(loader(opened, 2, context))


TRAINING = """
import os, sys, time
from torch.utils.data import DataLoader
from cryodata.torch import SubgridStream
if __name__ == "__main__":
    stream = SubgridStream(sys.argv[1], split="train", batch_size=8)
    kept = []
    for batch in DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=sys.argv[2]):
        kept.append(batch)
        print(batch["batch"], flush=True)
        time.sleep(0.05)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and /dev/shm")
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("ends_by", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_an_end_in_the_middle_leaves_no_processes_and_no_memory(
    simulated: Report, tmp_path: Path, context: str, ends_by: signal.Signals
) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    process = subprocess.Popen(
        [sys.executable, str(script), str(simulated.folder), context],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    os.killpg(process.pid, ends_by) if ends_by == signal.SIGINT else process.send_signal(ends_by)
    process.wait(timeout=60)
    process.stdout.close()

    def members() -> list[str]:
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                if status.read_text().rsplit(")", 1)[1].split()[3] == str(process.pid):
                    found.append(status.parent.name)
            except OSError:
                continue
        return found

    until = time.monotonic() + 30
    while members() and time.monotonic() < until:
        time.sleep(0.05)

    assert members() == []


def test_numpy_arrays_are_the_callers_own(stream: Make) -> None:
    batch = next(iter(loader(stream(), 1)))

    batch["density"].mul_(0)

    assert not np.any(batch["density"].numpy())
