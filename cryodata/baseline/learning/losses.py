"""How wrong a network is, with rare classes: one foreground voxel in thousands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cryodata.baseline.learning.heads import Head, split_channels
from cryodata.core.schema import IGNORE

FLOOR = 1e-5
"least weight of a class (Cryo2StructData's training code)"

FOCUS = 2.0
"power of what is left to learn of a voxel (Lin et al., Focal loss, 2017)"

COARSER = 0.5
"share of each coarser scale, of the one before (deep supervision, as in nnU-Net)"


def total_loss(
    levels: Sequence[Tensor],
    labels: Mapping[str, Tensor],
    heads: Sequence[Head],
    kind: str,
    shares: Sequence[float],
) -> tuple[Tensor, dict[str, Tensor]]:
    """What is minimised, and the loss of each head at the finest scale.

    levels: logits (n, channels, z, y, x), the finest first, each half as fine as the one before. labels: uint8
    (n, z, y, x) of each head. kind: of the unconditional heads; a conditional one is judged where its
    label is, by plain cross entropy. Voxels labelled IGNORE count for nothing.
    """
    total, parts = levels[0].new_zeros(()), dict[str, Tensor]()
    weight = sum(COARSER**number for number in range(len(levels)))
    for number, logits in enumerate(levels):
        found = split_channels(logits.float(), heads)
        for head, share in zip(heads, shares, strict=True):
            target = _coarser(labels[head.name], number).long()
            loss = _of_head(found[head.name], target, head, kind)
            total = total + share * COARSER**number / weight * loss
            parts.setdefault(head.name, loss.detach())
    return total, parts


def class_weights(target: Tensor, classes: int) -> Tensor:
    """1 - n_c / N + 1e-5 of the batch, as the paper's training code has it."""
    counts = torch.bincount(target.flatten(), minlength=classes).float()
    return 1.0 - counts / counts.sum() + FLOOR


def _of_head(logits: Tensor, target: Tensor, head: Head, kind: str) -> Tensor:
    seen = target != IGNORE
    if head.conditional:
        target = torch.where(seen, target, 0)
        # the mean over no voxel at all is not a number, so the sum is divided by hand
        summed = functional.cross_entropy(logits, target - 1, ignore_index=-1, reduction="sum")
        return summed / (target > 0).sum().clamp(min=1)
    if kind == "weighted":
        weights = class_weights(target[seen], logits.shape[1])
        return functional.cross_entropy(logits, target, weight=weights, ignore_index=IGNORE)
    loss = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    if kind == "focal":
        # divided by the labelled voxels: among so much background the mean would be next to nothing
        return ((1.0 - torch.exp(-loss)) ** FOCUS * loss).sum() / ((target > 0) & seen).sum().clamp(min=1)
    return loss.sum() / seen.sum().clamp(min=1) + (_dice(logits, target, seen) if kind == "dice" else 0.0)


def _dice(logits: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """1 - the mean Dice coefficient of the foreground classes over the voxels seen, over the whole batch."""
    shares = torch.softmax(logits, dim=1) * seen[:, None]
    truth = functional.one_hot(torch.where(seen, target, 0), logits.shape[1]).movedim(-1, 1) * seen[:, None]
    voxels = (0, 2, 3, 4)
    both, either = (shares * truth).sum(voxels), shares.sum(voxels) + truth.sum(voxels)
    return 1.0 - ((2.0 * both + 1.0) / (either + 1.0))[1:].mean()


def _coarser(labels: Tensor, number: int) -> Tensor:
    """Labels half as fine so many times: the least class that occurs among 8 voxels, C-alpha before N before C."""
    if not number:
        return labels
    side = 2**number
    # background must lose against every class and against IGNORE, so it comes last
    last = IGNORE + 1
    ranked = torch.where(labels == 0, last, labels.to(torch.int16)).float()
    pooled = -functional.max_pool3d(-ranked[:, None], side)[:, 0]
    return torch.where(pooled == last, 0, pooled).to(labels.dtype)
