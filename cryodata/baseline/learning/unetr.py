"""UNETR as the paper of Cryo2StructData describes it, written anew from that description.

A box of 32 voxels is 8 patches of 16 a side, each a token of 768 numbers; transformer layers mix them, and a
convolutional decoder goes back to voxels with skips from three layers on the way and from the density itself.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryodata.errors import UsageError

BOX, PATCH = 32, 16
"voxels a side (Cryo2StructData paper)"

WIDTH, MLP, BASE = 768, 3072, 16
"numbers a token, hidden units of a layer, channels of the finest convolutions (Cryo2StructData paper)"

TOKENS = (BOX // PATCH) ** 3
HEADS = 6
"of attention, as in the released training scripts; the number of weights does not depend on it"

SKIPS = {4: (1, 2, 3), 12: (3, 6, 9), 24: (3, 6, 12)}
"layers whose tokens go to the decoder, besides the last, for each depth of the paper"

SEQUENCE = 1280
"numbers of a sequence vector: mean of the residues' in ESM-2 of 650 M parameters"


class UNETR(nn.Module):
    """Transformer encoder, convolutional decoder.

    depth: 4, 12 or 24 layers. classes: outputs. sequence: takes a vector of 1,280 numbers for each sample besides.
    35,603,493 weights at depth 4 and 92,281,893 at depth 12 for 21 classes; 179,463,717 at depth 24 with sequence.
    """

    def __init__(self, depth: int, classes: int, *, dropout: float = 0.1, sequence: bool = False) -> None:
        super().__init__()
        if depth not in SKIPS:
            raise UsageError(f"depth is {depth}; expected one of {', '.join(map(str, SKIPS))}")
        self.skips = SKIPS[depth]
        self.patches = nn.Conv3d(1, WIDTH, PATCH, stride=PATCH, bias=False)
        self.places = nn.Parameter(torch.empty(TOKENS, WIDTH).normal_(std=0.02))
        self.fusion = SequenceFusion() if sequence else None
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(depth))
        self.skip_density = ConvBlock(1, BASE)
        self.skip_first = _risen(WIDTH, 2 * BASE, steps=3)
        self.skip_second = _risen(WIDTH, 4 * BASE, steps=2)
        self.skip_third = _risen(WIDTH, 8 * BASE, steps=1)
        self.bottom = _risen(WIDTH, 8 * BASE, steps=1)
        self.joins = nn.ModuleList(ConvBlock(2 * n * BASE, n * BASE) for n in (8, 4, 2, 1))
        self.rises = nn.ModuleList(_risen(2 * n * BASE, n * BASE, steps=1) for n in (4, 2, 1))
        self.head = nn.Conv3d(BASE, classes, 1)

    def forward(self, density: Tensor, sequence: Tensor | None = None) -> list[Tensor]:
        """Logits (n, classes, 32, 32, 32), alone in a list. density: (n, 1, 32, 32, 32); sequence: (n, 1280)."""
        if density.shape[1:] != (1, BOX, BOX, BOX):
            raise UsageError(f"UNETR takes boxes of {BOX} voxels a side, found shape {tuple(density.shape)}")
        tokens = self.patches(density).flatten(2).transpose(1, 2) + self.places
        if self.fusion is not None:
            if sequence is None:
                raise UsageError("this UNETR takes a sequence vector of 1,280 numbers for each sample; found none")
            tokens = self.fusion(tokens, sequence)
        kept = []
        for number, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens)
            if number in self.skips:
                kept.append(_cube(tokens))
        first, second, third = kept
        x = self.joins[0](torch.cat([self.bottom(_cube(tokens)), self.skip_third(third)], dim=1))
        x = self.joins[1](torch.cat([self.rises[0](x), self.skip_second(second)], dim=1))
        x = self.joins[2](torch.cat([self.rises[1](x), self.skip_first(first)], dim=1))
        x = self.joins[3](torch.cat([self.rises[2](x), self.skip_density(density)], dim=1))
        return [self.head(x)]


class SequenceFusion(nn.Module):
    """The sequence vector, brought to a token's width, goes to every token: 2,164,224 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(SEQUENCE, WIDTH)
        self.join = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, tokens: Tensor, sequence: Tensor) -> Tensor:
        """Tokens (n, 8, 768) that know the sequence (n, 1280)."""
        copies = self.narrow(sequence)[:, None].expand(-1, tokens.shape[1], -1)
        joined: Tensor = self.join(torch.cat([tokens, copies], dim=2))
        return joined


class Layer(nn.Module):
    """A transformer layer with normalisation before attention and before the two-layer network: 7,084,800 weights."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.before_attention, self.before_network = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.network = nn.Sequential(
            nn.Linear(WIDTH, MLP), nn.GELU(), nn.Dropout(dropout), nn.Linear(MLP, WIDTH), nn.Dropout(dropout)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (n, 8, 768)."""
        count = tokens.shape[1]
        mixed = self.queries_keys_values(self.before_attention(tokens))
        # (3, n, heads, tokens, width of a head)
        queries, keys, values = mixed.reshape(-1, count, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        share = self.dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(queries, keys, values, dropout_p=share)
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(-1, count, WIDTH))
        mixed_tokens: Tensor = tokens + self.network(self.before_network(tokens))
        return mixed_tokens


class ConvBlock(nn.Module):
    """Two convolutions beside a shortcut of one voxel, each with instance normalisation."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv3d(before, after, 3, padding=1), nn.Conv3d(after, after, 3, padding=1)
        self.shortcut = nn.Conv3d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, z, y, x) to (n, after, z, y, x)."""
        inner = functional.leaky_relu(functional.instance_norm(self.first(x)), 0.01)
        outer = functional.instance_norm(self.second(inner)) + functional.instance_norm(self.shortcut(x))
        rectified: Tensor = functional.leaky_relu(outer, 0.01)
        return rectified


def _risen(before: int, after: int, steps: int) -> nn.Sequential:
    """Twice as fine at each step."""
    sizes = [before, *[after] * steps]
    return nn.Sequential(*(nn.ConvTranspose3d(a, b, 2, stride=2, bias=False) for a, b in pairwise(sizes)))


def _cube(tokens: Tensor) -> Tensor:
    """Tokens (n, 8, 768) as a cube of channels (n, 768, 2, 2, 2)."""
    side = BOX // PATCH
    return tokens.transpose(1, 2).reshape(-1, WIDTH, side, side, side)
