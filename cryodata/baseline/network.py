"""The networks: the paper's UNETR, and a residual U-Net that learns more in an hour.

Both take density (n, 1, box, box, box) and give logits (n, channels, box, box, box), in training as a list of scales,
each half as fine as the one before. A network is made from a `NetworkSpec` alone, so that weights need nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cryodata.baseline.learning.unetr import BOX, UNETR
from cryodata.errors import UsageError

NETWORKS = ("residual", "unetr")


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a network is built from."""

    kind: str
    "one of NETWORKS"

    channels: int
    "outputs"

    filters: int = 32
    "residual: channels of the finest level, doubled at each coarser one"

    blocks: tuple[int, ...] = (1, 2, 2, 4)
    "residual: blocks of each level on the way down"

    fold: int = 1
    "residual: voxels a side that are folded into channels before the first convolution, and unfolded after the last"

    scales: int = 2
    "residual: outputs that are trained, each half as fine as the one before"

    depth: int = 12
    "unetr: transformer layers"

    dropout: float = 0.1
    "unetr: share of activations that are left out in training"

    sequence: bool = False
    "unetr: takes a vector of 1,280 numbers for each entry besides"

    @property
    def multiple(self) -> int:
        """Boxes must be a multiple of this a side."""
        return BOX if self.kind == "unetr" else self.fold * 2 ** (len(self.blocks) - 1)


def make_network(spec: NetworkSpec) -> nn.Module:
    """A network with fresh weights, drawn from torch's generator. UsageError for what can't be built."""
    if spec.kind == "unetr":
        return UNETR(spec.depth, spec.channels, dropout=spec.dropout, sequence=spec.sequence)
    if spec.kind == "residual":
        return ResidualUNet(spec)
    raise UsageError(f"no network '{spec.kind}'; expected {' or '.join(NETWORKS)}")


class ResidualUNet(nn.Module):
    """A residual 3-D U-Net with one output for all labels, trained at several scales: MONAI's SegResNetDS.

    With `fold` 2 the box is first folded into 8 channels of half its side (nothing is lost) and the outputs are
    unfolded: an eighth of the voxels with more channels each, which processors like far better.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        from monai.networks.nets import SegResNetDS

        super().__init__()
        if not 1 <= spec.scales <= max(1, len(spec.blocks) - 1):
            raise UsageError(f"scales is {spec.scales}; expected 1 to the levels - 1, {len(spec.blocks) - 1}")
        self.fold = spec.fold
        self.body = SegResNetDS(
            init_filters=spec.filters,
            in_channels=spec.fold**3,
            out_channels=spec.channels * spec.fold**3,
            blocks_down=spec.blocks,
            norm="BATCH",  # of the whole training set, not of one box: what is seen around a voxel moves nothing
            dsdepth=spec.scales,
        )

    def forward(self, density: Tensor, sequence: Tensor | None = None) -> list[Tensor]:
        """Logits at each trained scale, the finest first; in evaluation the finest alone."""
        from monai.networks.utils import pixelshuffle, pixelunshuffle

        folded = pixelunshuffle(density, 3, self.fold) if self.fold > 1 else density
        found: Any = self.body(folded.contiguous(memory_format=torch.channels_last_3d))
        levels = found if isinstance(found, list) else [found]
        return [pixelshuffle(level, 3, self.fold) for level in levels] if self.fold > 1 else levels
