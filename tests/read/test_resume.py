"""Interrupted training goes on where it stopped: after any kill, with other workers, under torchrun."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from cryodata.build.dataset import Report
from cryodata.errors import UsageError
from cryodata.torch import SubgridStream
from tests.read.torch_stream.batches import Key, keys

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create:UserWarning",
    "ignore:'set_vital' is deprecated:UserWarning",  # torchdata's own
    "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning",
)

OPTIONS = {"split": "train", "batch_size": 8, "seed": 3, "streams": 4, "remainder": "keep"}


def stream_of(folder: Path, **changes: Any) -> SubgridStream:
    return SubgridStream(folder, **{**OPTIONS, **changes})


TRAINING = """
import json, os, sys, time
from torch.utils.data import DataLoader
from cryodata.torch import SubgridStream

folder, log, workers, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
lines = open(log).read().split("\\n")[:-1] if os.path.exists(log) else []
stream = SubgridStream(folder, **options)
if lines:
    stream.load_state_dict(json.loads(lines[-1])["state"])
with open(log, "a") as out:
    out.truncate(sum(len(line) + 1 for line in lines))
    for epoch in range(json.loads(lines[-1])["state"]["epoch"] if lines else 0, 4):
        stream.set_epoch(epoch)
        for batch in DataLoader(stream, batch_size=None, num_workers=workers):
            starts = batch["start_zyx"].tolist()
            keys = [(i, *start) for i, start in zip(batch["entry_id"], starts)]
            state = stream.state_at(batch["epoch"], batch["batch"] + 1)
            out.write(json.dumps({"keys": keys, "state": state}) + "\\n")  # one write: the line is whole or missing
            out.flush()
            time.sleep(0.002)
"""


def test_every_sub_grid_comes_exactly_once_whenever_training_is_killed(
    simulated: Report, tmp_path: Path, series: Callable[[str, int], list[int]]
) -> None:
    script, log = tmp_path / "training.py", tmp_path / "log.jsonl"
    script.write_text(TRAINING)
    kills = series("kills of a training", 50)
    moment = random.Random(0)
    for number in [*kills, None]:
        command = [sys.executable, script, simulated.folder, log, str((number or 0) % 3), json.dumps(OPTIONS)]
        if number is None:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            continue
        with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
            before = log.stat().st_size if log.exists() else 0
            begun, pause = time.monotonic(), moment.random() * 0.02
            # some die before their first batch, most within the next few
            while number % 5 and process.poll() is None and time.monotonic() < begun + 60:
                if log.exists() and log.stat().st_size > before:
                    break
                time.sleep(0.001)
            time.sleep(pause)
            process.kill()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    served = [[tuple(key) for key in line["keys"]] for line in lines]
    alone = stream_of(simulated.folder)
    expected = []
    for epoch in range(4):
        alone.set_epoch(epoch)
        expected += [keys(batch) for batch in alone]

    assert served == expected


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("taken", [1, 4, 11])
def test_a_stateful_loader_goes_on_with_as_many_workers(simulated: Report, workers: int, taken: int) -> None:
    def loader() -> StatefulDataLoader[Any]:
        return StatefulDataLoader(stream_of(simulated.folder), batch_size=None, num_workers=workers)

    alone = [keys(batch) for batch in stream_of(simulated.folder)]
    first = loader()
    before = [keys(batch) for _, batch in zip(range(taken), first, strict=False)]
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)

    assert before == alone[:taken]
    assert [keys(batch) for batch in second] == alone[taken:]


def test_with_other_workers_a_fresh_loader_goes_on_from_state_at(simulated: Report) -> None:
    alone = [keys(batch) for batch in stream_of(simulated.folder)]
    served: list[list[Key]] = []
    for workers, take in ((3, 5), (0, 4), (1, 6), (2, 1000)):
        opened = stream_of(simulated.folder)
        opened.load_state_dict(opened.state_at(0, len(served)))
        loader = torch.utils.data.DataLoader(opened, batch_size=None, num_workers=workers)
        served += [keys(batch) for _, batch in zip(range(take), loader, strict=False)]

    assert served == alone


@pytest.mark.parametrize("persistent", [False, True], ids=["new workers", "workers that live on"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_after_the_rest_of_an_epoch_the_next_pass_is_whole(simulated: Report, workers: int, persistent: bool) -> None:
    opened = stream_of(simulated.folder)
    whole, lives_on = len(opened), persistent and workers > 0
    kept = torch.utils.data.DataLoader(opened, batch_size=None, num_workers=workers, persistent_workers=lives_on)

    for _ in range(2):
        opened.load_state_dict(opened.state_at(0, whole - 2))
        assert [len(list(kept)) for _ in range(3)] == [2, whole, whole]


@pytest.mark.parametrize(("changes", "message"), [
    pytest.param({"next_batch": -1}, "epoch=0, next_batch=-1", id="negative"),
    pytest.param({"next_batch": 2.5}, "epoch=0, next_batch=2.5", id="between batches"),
    pytest.param({"epoch": None}, "epoch=None, next_batch=1", id="no epoch"),
])  # fmt: skip
def test_a_state_of_no_place_is_refused(simulated: Report, changes: dict[str, Any], message: str) -> None:
    opened = stream_of(simulated.folder)

    with pytest.raises(UsageError) as error:
        opened.load_state_dict({**opened.state_at(0, 1), **changes})

    assert str(error.value) == f"the state has {message}; expected whole numbers, a batch from 0"


def test_a_seed_of_numpy_gives_the_same_order_and_a_state_that_json_can_store(simulated: Report) -> None:
    opened = stream_of(simulated.folder, seed=np.int64(3), batch_size=np.int64(8))

    assert json.loads(json.dumps(opened.state_dict())) == stream_of(simulated.folder).state_dict()
    assert keys(next(iter(opened))) == keys(next(iter(stream_of(simulated.folder))))


RANK = """
import json, sys
import torch.distributed as dist
from torch.utils.data import DataLoader
from cryodata.torch import SubgridStream

folder, out, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
dist.init_process_group("gloo")
stream = SubgridStream(folder, **options)
served = []
for batch in DataLoader(stream, batch_size=None, num_workers=1):
    starts = batch["start_zyx"].tolist()
    served.append([(i, *start) for i, start in zip(batch["entry_id"], starts)])
with open(f"{out}/{dist.get_rank()}.json", "w") as file:
    json.dump(served, file)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_torchrun_ranks_find_their_parts_by_themselves(simulated: Report, tmp_path: Path, ranks: int) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = [*launch, script, simulated.folder, tmp_path, json.dumps({**OPTIONS, "remainder": "drop"})]

    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(ranks)]
    whole = [[tuple(key) for part in step for key in part] for step in zip(*parts, strict=True)]
    assert whole == [keys(batch) for batch in stream_of(simulated.folder, remainder="drop")]
