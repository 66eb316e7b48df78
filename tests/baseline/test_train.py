"""Training: stopped and gone on with, it is the same training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cryodata.baseline.learning.config import TrainConfig, resolve_config
from cryodata.baseline.learning.feed import Feed, heads_in, train_stream
from cryodata.baseline.learning.group import Group
from cryodata.baseline.learning.heads import split_channels
from cryodata.baseline.learning.journal import read_log
from cryodata.baseline.learning.learner import Learner
from cryodata.baseline.network import NetworkSpec
from cryodata.baseline.train import train
from cryodata.build.dataset import Report
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.versions import DatasetVersion, open_version

CPU = Group(0, 1, torch.device("cpu"))


def numbers(folder: Path) -> list[dict[str, float]]:
    """The log without its times, as text, in which no score is equal to itself."""
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in read_log(folder)]


def test_a_run_keeps_what_was_promised(run: Path) -> None:
    found = {path.name for path in run.iterdir()}

    kept = "config.toml run.json weights.safetensors checkpoint.pt log.csv scores.json tensorboard curves.png"
    assert found == {*kept.split(), "confusion.png"}
    assert [row["step"] for row in read_log(run)] == [4, 8, 9]
    assert json.loads((run / "scores.json").read_text())["heads"]["amino"]["classes"].keys() >= {"none", "ALA", "VAL"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_stopped_and_gone_on_with_the_losses_are_the_same_bit_for_bit(
    number: signal.Signals, run: Path, simulated: Report, small: TrainConfig, tmp_path: Path
) -> None:
    root, begun = str(simulated.folder.parent), []

    def interrupt(done: int, total: int) -> None:
        if done in (2, 6) and done not in begun:  # before the first validation, and between two
            begun.append(done)
            os.kill(os.getpid(), number)

    reports = [train("simulated", small, tmp_path / "run", root=root, observe=interrupt) for _ in range(3)]

    assert [report.step for report in reports] == [2, 6, 9]
    assert [report.signal for report in reports] == [number, number, 0]
    assert numbers(tmp_path / "run") == numbers(run)
    assert (tmp_path / "run/weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()


def test_a_finished_run_is_not_trained_again(run: Path, simulated: Report, small: TrainConfig) -> None:
    before = (run / "weights.safetensors").read_bytes()

    report = train("simulated", small, run, root=str(simulated.folder.parent))

    assert report.finished
    assert report.row["step"] == 9
    assert (run / "weights.safetensors").read_bytes() == before


def test_a_folder_with_other_settings_or_another_dataset_is_refused(
    run: Path, simulated: Report, small: TrainConfig
) -> None:
    root = str(simulated.folder.parent)

    with pytest.raises(UsageError, match=r"holds a run of other settings: filters was 8 and is 16; use another --out"):
        train("simulated", replace(small, filters=16), run, root=root)
    with pytest.raises(UsageError, match=r"holds a run on simulated@0.1.0, not on other; use another --out"):
        train("other", small, run, root=root)


def test_a_checkpoint_that_is_none_is_named(simulated: Report, small: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a command

    with pytest.raises(DatasetError, match=r"checkpoint.pt: can't be read"):
        train("simulated", small, tmp_path, root=str(simulated.folder.parent))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"heads": "atom,water"}, "has labels atom, amino, secondary", id="head"),
        pytest.param({"batch_size": 4000}, r"batch_size=4000: .* make no whole batch", id="batch"),
        pytest.param({"train_split": "test"}, "the split 'test' has no sub-grids to train on", id="empty split"),
        pytest.param({"network": "unetr"}, "box is 16; this network takes multiples of 32", id="box"),
        pytest.param({"train_split": "other"}, "no split 'other'", id="split"),
    ],
)
def test_what_can_not_be_trained_is_said_before_it_begins(
    changes: dict[str, object], message: str, simulated: Report, small: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        train("simulated", replace(small, **changes), tmp_path / "run", root=str(simulated.folder.parent))

    assert not (tmp_path / "run").exists()


def learner_of(opened: DatasetVersion, config: TrainConfig, steps: int) -> Learner:
    heads = heads_in(opened, config)
    spec = NetworkSpec(
        config.network, sum(head.channels for head in heads), config.filters, config.levels, scales=config.scales,
        depth=config.depth, dropout=config.dropout,
    )  # fmt: skip
    return Learner(config, spec, heads, CPU, (steps, steps))


def c_alpha_f1(learner: Learner, batch: dict[str, torch.Tensor]) -> float:
    learner.network.eval()
    with torch.inference_mode():
        logits = learner.logits(batch)[0]
    found = split_channels(logits, learner.heads)["atom"].argmax(dim=1) == 1
    there = batch["atom"] == 1
    return float(2 * (found & there).sum() / (found.sum() + there.sum()))


def fullest(opened: DatasetVersion, config: TrainConfig) -> dict[str, torch.Tensor]:
    """The batch with most C-alphas among the first of an epoch."""
    batches = islice(Feed(config, CPU.device).batches(train_stream(opened, config)), 30)
    return max(batches, key=lambda batch: int((batch["atom"] == 1).sum()))


def overfitted(simulated: Report, config: TrainConfig, steps: int) -> float:
    """F1 of the C-alpha voxels of one box that was learnt over and over."""
    opened = open_version(simulated.folder.parent, "simulated")
    batch = fullest(opened, config)
    learner = learner_of(opened, config, steps)
    assert (batch["atom"] == 1).any()
    assert c_alpha_f1(learner, batch) < 0.2
    for step in range(steps):
        learner.learn(batch, step)
    return c_alpha_f1(learner, batch)


BY_HEART = {"labels": "nearest", "balance": "map", "rotate": "none", "loss": "plain", "learning_rate": 1e-2}
"one voxel for each C-alpha, and always the same box"


def test_the_residual_network_learns_a_small_box_by_heart(simulated: Report, small: TrainConfig) -> None:
    config = replace(small, **BY_HEART, core=16, batch_size=1, filters=16, warmup=10)

    assert overfitted(simulated, config, steps=60) > 0.95


@pytest.mark.full
def test_the_residual_network_learns_a_map_of_64_voxels_a_side_by_heart(simulated: Report, small: TrainConfig) -> None:
    shape = {"box": 64, "core": 64, "filters": 16, "blocks": "1,1,1", "scales": 2}
    # 60 voxels among 262,144: Dice weighs them as much as all others together
    changes = {**BY_HEART, **shape, "loss": "dice", "learning_rate": 5e-3, "batch_size": 1, "warmup": 10}

    assert overfitted(simulated, replace(small, **changes), steps=450) > 0.95


@pytest.mark.full
def test_depth_4_lowers_its_loss_steadily_over_200_steps(simulated: Report) -> None:
    config = resolve_config("paper-atom", None, {"depth": 4, "batch_size": 2, "streams": 1, "device": "cpu"})
    opened = open_version(simulated.folder.parent, "simulated")
    batch = fullest(opened, config)
    learner = learner_of(opened, config, 200)
    means = []
    for _ in range(10):
        for step in range(20):
            learner.learn(batch, step)
        means.append(learner.mean_losses()["train_loss"])

    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.7 * means[0]


@pytest.mark.full
def test_two_processes_train_together_and_go_on_alike(simulated: Report, small: TrainConfig, tmp_path: Path) -> None:
    names = "filters blocks scales box core batch_size balance device threads".split()
    settings = {name: getattr(small, name) for name in names}
    settings |= {"streams": 2, "pool_volumes": 2, "steps": 6, "evaluate_every": 3, "validation_batches": 2}
    given = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29611"]
    command = [*torchrun, "-m", "cryodata", "train", "simulated", "--root", str(simulated.folder.parent), *given]

    for name in ("first", "second"):
        done = subprocess.run([*command, "--out", str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    assert numbers(tmp_path / "first") == numbers(tmp_path / "second")
    assert [row["step"] for row in read_log(tmp_path / "first")] == [3, 6]
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
