"""One network being trained: its optimiser, learning rate and arithmetic, and all of their state."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cryodata.baseline.learning.config import TrainConfig
from cryodata.baseline.learning.group import Group
from cryodata.baseline.learning.heads import Head
from cryodata.baseline.learning.losses import total_loss
from cryodata.baseline.network import NetworkSpec, make_network

PATIENCE, FACTOR = 10, 0.1
"epochs without a lower training loss before the learning rate is multiplied (Cryo2StructData's training code)"


class Learner:
    """Learns batch after batch. What a batch does depends on the state and the batch alone."""

    def __init__(
        self, config: TrainConfig, spec: NetworkSpec, heads: Sequence[Head], group: Group, length: tuple[int, int]
    ) -> None:
        """length: steps in all, and of an epoch."""
        torch.manual_seed(config.seed)
        self.config, self.heads, self.group = config, heads, group
        self._steps, self._each = length
        layout = torch.channels_last_3d if spec.kind == "residual" else torch.contiguous_format
        self.network = make_network(spec).to(group.device)
        self.network.to(memory_format=layout)  # type: ignore[call-overload]  # torch's types know no layouts of modules
        self._shared = group.share(self.network)
        self.optimiser = _optimiser(config, self.network)
        self._losses: dict[str, Tensor] = {}
        self._count = 0
        self._plateau = {"best": math.inf, "since": 0, "scale": 1.0}
        self._epoch_loss = {"sum": 0.0, "count": 0}
        # dropout of each rank draws its own; a GPU has a generator of its own too
        torch.manual_seed(config.seed + 1 + group.rank)

    @property
    def precision(self) -> str:
        """Of the arithmetic."""
        if self.config.precision != "auto":
            return self.config.precision
        return "bfloat16" if self.group.device.type == "cuda" else "float32"

    def logits(self, batch: Mapping[str, Any], network: nn.Module | None = None) -> list[Tensor]:
        """What the network says of a batch, at every scale."""
        half = self.precision == "bfloat16"
        mixed = torch.autocast(self.group.device.type, torch.bfloat16) if half else contextlib.nullcontext()
        with mixed:
            found: list[Tensor] = (network or self.network)(batch["density"], batch.get("sequence"))
        return found

    def learn(self, batch: Mapping[str, Any], step: int) -> None:
        """One step."""
        self._shared.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(step)
        levels = self.logits(batch, self._shared)
        loss, parts = total_loss(levels, batch, self.heads, self.config.loss, self.config.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimiser.step()
        found = {"loss": loss.detach(), **{f"loss_{name}": part for name, part in parts.items()}}
        for name, value in found.items():  # summed where they are: reading one waits for a GPU
            self._losses[name] = self._losses.get(name, torch.zeros((), device=value.device)) + value.float()
        self._count += 1

    def learning_rate(self, step: int) -> float:
        """Of one step: rises over the warm-up, then as the schedule says."""
        config = self.config
        rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
        if config.schedule == "cosine":
            return config.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / self._steps))
        return config.learning_rate * rise * (self._plateau["scale"] if config.schedule == "plateau" else 1.0)

    def mean_losses(self) -> dict[str, float]:
        """Means since they were last asked for, over all ranks."""
        names = list(self._losses)
        means = torch.stack([self._losses[name] for name in names]) / self._count
        values = (self.group.sum(means) / self.group.size).tolist()
        self._losses, self._count = {}, 0
        return {f"train_{name}": value for name, value in zip(names, values, strict=True)}

    def note(self, loss: float) -> None:
        """Tell the plateau schedule of an evaluation's mean training loss."""
        plateau = self._plateau
        plateau["since"] = 0 if loss < plateau["best"] else plateau["since"] + 1
        plateau["best"] = min(plateau["best"], loss)
        if plateau["since"] > PATIENCE:
            plateau["scale"], plateau["since"] = plateau["scale"] * FACTOR, 0

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        cuda = torch.cuda.get_rng_state(self.group.device) if self.group.device.type == "cuda" else None
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "losses": self._losses,
            "count": self._count,
            "plateau": self._plateau,
            "random": torch.get_rng_state(),
            "random_cuda": cuda,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._losses = {name: value.to(self.group.device) for name, value in state["losses"].items()}
        self._count, self._plateau = state["count"], dict(state["plateau"])
        # the state is of rank 0; the others draw on from where they would never meet it
        if self.group.rank == 0:
            torch.set_rng_state(state["random"])
            if state["random_cuda"] is not None and self.group.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"], self.group.device)


def _optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    if config.optimiser == "nadam":
        return torch.optim.NAdam(network.parameters(), lr=config.learning_rate)
    return torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
