"""What a network says of each voxel: heads, their channels, and the probabilities that they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ATOM, CA = "atom", 1
"the head and the class that conditional heads depend on"


@dataclass(frozen=True, slots=True)
class Head:
    """One label that a network predicts."""

    name: str
    "array of the dataset, such as `amino`"

    classes: tuple[str, ...]
    "names of the classes, the background first"

    conditional: bool
    "whether it predicts the class given that a C-alpha is there: it has no channel for the background"

    @property
    def channels(self) -> int:
        """Outputs of the network that belong to it."""
        return len(self.classes) - self.conditional


def split_channels(logits: Tensor, heads: Sequence[Head]) -> dict[str, Tensor]:
    """The logits of each head, of (n, channels, z, y, x)."""
    parts = torch.split(logits, [head.channels for head in heads], dim=1)
    return {head.name: part for head, part in zip(heads, parts, strict=True)}


def probabilities(logits: Tensor, heads: Sequence[Head]) -> dict[str, Tensor]:
    """Probabilities (n, classes, z, y, x) of each head, float32; they sum to 1 over the classes.

    Those of a conditional head are its own times the probability of a C-alpha; the rest is background.
    """
    parts = split_channels(logits, heads)
    found: dict[str, Tensor] = {}
    for head in sorted(heads, key=lambda head: head.conditional):
        shares = torch.softmax(parts[head.name].float(), dim=1)
        if head.conditional:
            ca = found[ATOM][:, CA : CA + 1]
            shares = torch.cat([1.0 - ca, shares.mul_(ca)], dim=1)
        found[head.name] = shares
    return {head.name: found[head.name] for head in heads}


def inner(values: Tensor, core: int) -> Tensor:
    """The middle cube of so many voxels a side, of the last three axes; a view."""
    cut = slice((values.shape[-1] - core) // 2, (values.shape[-1] + core) // 2)
    return values[..., cut, cut, cut]


def heads_of(classes: Mapping[str, Sequence[str]], conditional: bool) -> tuple[Head, ...]:
    """Heads for labels and their class names (background left out), the atoms first.

    conditional: whether all but the atoms are predicted given a C-alpha; they are not if there is no head of atoms.
    """
    names = sorted(classes, key=lambda name: name != ATOM)
    return tuple(
        Head(name, ("none", *classes[name]), conditional and ATOM in classes and name != ATOM) for name in names
    )
