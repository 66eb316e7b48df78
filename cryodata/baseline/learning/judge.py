"""Validation: losses and a confusion matrix of each head, over all ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from cryodata.baseline.learning.config import TrainConfig
from cryodata.baseline.learning.group import Group
from cryodata.baseline.learning.heads import inner, probabilities
from cryodata.baseline.learning.learner import Learner
from cryodata.baseline.learning.losses import total_loss
from cryodata.baseline.learning.scores import scores_of
from cryodata.core.schema import IGNORE


@torch.no_grad()
def judge(
    learner: Learner, batches: Iterable[Mapping[str, Any]], config: TrainConfig, group: Group
) -> tuple[dict[str, float], dict[str, Any]]:
    """Mean losses, and for each head what `scores_of` tells of its voxels.

    Only the cores of the sub-grids count, so that no voxel counts twice. Beside the scores `accuracy_labelled`: of the
    voxels that have a label, the share whose class is the most probable one besides background.
    """
    learner.network.eval()
    device = group.device
    sizes = {head.name: len(head.classes) for head in learner.heads}
    confusion = {name: torch.zeros(n * n, dtype=torch.int64, device=device) for name, n in sizes.items()}
    labelled = {name: torch.zeros(2, dtype=torch.int64, device=device) for name in sizes}
    losses = torch.zeros(len(sizes) + 2, dtype=torch.float64, device=device)
    for batch in islice(batches, config.validation_batches or None):
        logits = learner.logits(batch)[0].float()
        loss, parts = total_loss([logits], batch, learner.heads, config.loss, config.weights)
        losses += torch.stack([loss, *(parts[name] for name in sizes), torch.ones_like(loss)]).double()
        for name, shares in probabilities(inner(logits, config.core), learner.heads).items():
            truth = inner(batch[name], config.core).long()
            confusion[name] += _pairs(truth, shares.argmax(dim=1), sizes[name])
            there = (truth > 0) & (truth != IGNORE)
            right = (shares[:, 1:].argmax(dim=1) + 1 == truth) & there
            labelled[name] += torch.stack([right.sum(), there.sum()])
    summed = group.sum(losses).tolist()
    means = [value / max(summed[-1], 1.0) for value in summed[:-1]]
    names = ["validation_loss", *(f"validation_loss_{name}" for name in sizes)]
    return dict(zip(names, means, strict=True)), {
        head.name: {
            **scores_of(group.sum(confusion[head.name]).cpu().numpy().reshape(-1, sizes[head.name]), head.classes),
            "accuracy_labelled": _ratio(group.sum(labelled[head.name])),
        }
        for head in learner.heads
    }


def _pairs(truth: Tensor, found: Tensor, classes: int) -> Tensor:
    pairs = (truth * classes + found)[truth != IGNORE]
    return torch.bincount(pairs, minlength=classes**2)


def _ratio(counts: Tensor) -> float:
    right, there = counts.tolist()
    return right / there if there else 0.0
