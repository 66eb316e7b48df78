"""Training: from a dataset and settings to a run's folder, stopped and gone on with at any batch."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cryodata.baseline.learning import journal, runs
from cryodata.baseline.learning.config import TrainConfig, differences, to_toml
from cryodata.baseline.learning.feed import Feed, heads_in, train_stream, validation_stream
from cryodata.baseline.learning.group import Group, joined
from cryodata.baseline.learning.judge import judge
from cryodata.baseline.learning.learner import Learner
from cryodata.baseline.learning.stop import Stop, noted
from cryodata.baseline.network import NetworkSpec
from cryodata.errors import UsageError
from cryodata.formats.versions import DatasetVersion, open_dataset

Observe = Callable[[int, int], None]
"called with the steps that are done, and all of them"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What became of a run."""

    folder: Path
    step: int
    "steps that are done"

    steps: int
    "steps in all"

    seconds: float
    "of training and validation, over all times it was gone on with"

    signal: int
    "number of the signal that stopped it; 0 if it came to its end"

    row: Mapping[str, float]
    "last row of the log"

    scores: Mapping[str, Any]
    "of the last validation, for each head; empty without a validation split"

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.steps


def train(
    name: str,
    config: TrainConfig,
    folder: Path,
    *,
    root: str,
    observe: Observe = lambda done, total: None,
    say: Say = lambda text: None,
) -> TrainReport:
    """Train a network on NAME[@V], or go on where the run in this folder stopped.

    folder: of the run; made if it is not there. root: that holds the datasets. Under torchrun all processes call it.
    Ctrl-C or SIGTERM ends it after the batch in work, with a checkpoint; the report says so. On a CPU the losses are
    the same, bit for bit, however often it was stopped. Raises UsageError if the folder holds a run of other settings.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    with joined(config.device) as group, noted() as stop:
        state = runs.read_checkpoint(folder)
        opened = open_dataset(name if state is None else _same_dataset(name, state["dataset"], folder), None, root)
        run = _Run(opened, config, folder, group)
        try:
            return run.go(state, stop, observe, say if group.leads else lambda text: None)
        finally:
            run.close()


class _Run:
    """One training, in one process of its group."""

    def __init__(self, opened: DatasetVersion, config: TrainConfig, folder: Path, group: Group) -> None:
        self.config, self.folder, self.group = config, folder, group
        heads = heads_in(opened, config)
        self.card = _card(opened, config, heads)
        self.feed = Feed(config, group.device)
        self.stream = train_stream(opened, config)
        self.judging = validation_stream(opened, config)
        if not len(self.stream):
            raise UsageError(f"the split '{config.train_split}' has no sub-grids to train on")
        self.each = len(self.stream)
        self.steps = config.steps or config.epochs * self.each
        self.learner = Learner(config, self.card.spec, heads, group, (self.steps, self.each))
        self.step, self.best, self.seconds = 0, -1.0, 0.0
        self.journal: journal.Journal | None = None
        self.scores: dict[str, Any] = {}

    def go(self, state: dict[str, Any] | None, stop: Stop, observe: Observe, say: Say) -> TrainReport:
        """All steps that are left."""
        self._begin(state, say)
        began, spent = time.monotonic(), self.seconds
        saved, ended = began, False
        observe(self.step, self.steps)
        while self.step < self.steps and not ended:  # all ranks end together: none looks at its own signal alone
            epoch, first = divmod(self.step, self.each)
            self.stream.load_state_dict(self.stream.state_at(epoch, first))
            for batch in self.feed.batches(self.stream):
                self.learner.learn(batch, self.step)
                self.step += 1
                self.seconds = spent + time.monotonic() - began
                observe(self.step, self.steps)
                if self._is_due():
                    self._evaluate(observe, say)
                    self._save()
                    saved = time.monotonic()
                ended = self.group.any(stop.asked)
                if ended:
                    stop.signal = stop.signal or signal.SIGTERM  # another process was asked
                elif self.group.any(time.monotonic() - saved > 60 * self.config.checkpoint_minutes):
                    self._save()
                    saved = time.monotonic()
                if ended or self.step >= self.steps:
                    break
        if ended and self.step < self.steps:
            self._save()
        elif self.group.leads:
            journal.draw_curves(self.folder, self._rows())
            journal.draw_confusion(self.folder, self.scores)
        row = self._rows()[-1] if self._rows() else {}
        asked = stop.signal if self.step < self.steps else 0
        return TrainReport(self.folder, self.step, self.steps, self.seconds, asked, row, self.scores)

    def close(self) -> None:
        """Let go of the log."""
        if self.journal is not None:
            self.journal.close()

    def _begin(self, state: dict[str, Any] | None, say: Say) -> None:
        if state is not None:
            changed = differences(state["settings"], self.config)
            if changed:
                raise UsageError(
                    f"{self.folder} holds a run of other settings: {'; '.join(changed)}; use another --out"
                )
            self.stream.load_state_dict(state["stream"])  # refuses a dataset that is not the same
            self.learner.load(state)
            self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
            self.scores = state["scores"]
        if self.group.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            if state is None:
                runs.write_card(self.folder, self.card)
            runs.replace_file(self.folder / runs.CONFIG, to_toml(self.config).encode())
            self.journal = journal.Journal(self.folder, self.step)
        weights = sum(value.numel() for value in self.learner.network.parameters())
        plan = f"{self.steps:,} steps, {self.each:,} an epoch, of batches of {self.config.batch_size}"
        going = f"going on at step {self.step:,} of " if self.step else ""
        say(f"{going}{plan}; {self.config.network}, {weights:,} weights, {self.learner.precision}, {self.group.device}")

    def _is_due(self) -> bool:
        every = self.config.evaluate_every or self.each
        return self.step % every == 0 or self.step == self.steps

    def _evaluate(self, observe: Observe, say: Say) -> None:
        row: dict[str, float] = {"step": self.step, "epoch": (self.step - 1) // self.each, "seconds": self.seconds}
        row["learning_rate"] = self.learner.learning_rate(self.step - 1)
        row |= self.learner.mean_losses()
        if self.judging is not None:
            self.judging.load_state_dict(self.judging.state_at(0, 0))
            losses, self.scores = judge(self.learner, self.feed.batches(self.judging), self.config, self.group)
            row |= {**losses, **journal.flat_scores(self.scores)}
        self.learner.note(row["train_loss"])
        found = self._score()
        if found > self.best or self.judging is None:
            self.best = found
            if self.group.leads:
                runs.write_weights(self.folder, self.learner.network)
        if self.journal is not None:
            self.journal.write(row, {"heads": self.scores, "best": self.best})
        say(self._told(row))

    def _score(self) -> float:
        """What tells the best weights: macro-F1 of the first head."""
        return float(self.scores[self.config.names[0]]["macro_f1"]) if self.scores else 0.0

    def _told(self, row: Mapping[str, float]) -> str:
        left = self.seconds / self.step * (self.steps - self.step)
        scores = " ".join(f"{name} {found['macro_f1']:.3f}" for name, found in self.scores.items())
        judged = f"; validation {row['validation_loss']:.4f}, macro-F1 {scores}" if self.scores else ""
        eta = f"; about {left / 60:.1f} min left" if left else ""
        return f"step {self.step:,} of {self.steps:,}: loss {row['train_loss']:.4f}{judged}{eta}"

    def _save(self) -> None:
        place = self.stream.state_at(*divmod(self.step, self.each))
        if self.group.leads:
            told = {"step": self.step, "best": self.best, "seconds": self.seconds, "scores": self.scores}
            same = {"stream": place, "settings": asdict(self.config), "dataset": self.card.dataset}
            runs.write_checkpoint(self.folder, {**self.learner.state(), **told, **same})
        self.group.wait()

    def _rows(self) -> list[dict[str, float]]:
        return self.journal.rows if self.journal is not None else []


def _card(opened: DatasetVersion, config: TrainConfig, heads: Any) -> runs.RunCard:
    manifest = opened.manifest
    spec = NetworkSpec(
        kind=config.network,
        channels=sum(head.channels for head in heads),
        filters=config.filters,
        blocks=config.levels,
        fold=config.fold,
        scales=config.scales,
        depth=config.depth,
        dropout=config.dropout,
        sequence=bool(config.sequences),
    )
    if config.box % spec.multiple:
        raise UsageError(f"box is {config.box}; this network takes multiples of {spec.multiple}")
    return runs.RunCard(
        spec=spec,
        heads=heads,
        recipe=manifest.recipe,
        spacing=1.0,
        labels=config.labels,
        box=config.box,
        core=config.core,
        dataset=f"{manifest.name}@{manifest.version}",
        manifest=opened.sha256,
        settings=asdict(replace(config)),
    )


def _same_dataset(name: str, recorded: str, folder: Path) -> str:
    """The version that a run began with; UsageError if another is asked for."""
    asked, at, version = name.partition("@")
    known, _, before = recorded.partition("@")
    if Path(asked).name != known or (at and version != before):
        raise UsageError(f"{folder} holds a run on {recorded}, not on {name}; use another --out")
    return f"{asked}@{before}"
