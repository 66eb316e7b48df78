"""Is the map of the right hand? Its density is held against pieces of the model and against their mirror images."""

from __future__ import annotations

import numpy as np

from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.quality import Moments, sample_trilinear
from cryodata.prepare.secondary import complete_backbone

LENGTH = 13
"residues of a piece: three and a half turns of a helix"

PIECES = 32
"pieces of a model that are looked at, evenly spread"

TURNS = 12
"turns of a piece about its axis"

SLIDES = np.linspace(-2.25, 2.25, 7)
"A along the axis: with the turns, all places of a helix (1.5 A and 100 degrees a residue) on its own screw"


def hand_margin(volume: Volume, residues: AtomicModel, map_moments: Moments) -> float | None:
    """By how many standard deviations of the map pieces of backbone fit better than their mirror images.

    Each piece of 13 bonded residues is mirrored by a plane through its axis, and turned and slid along it; so is the
    piece itself, that both have the same choice. The mean over the pieces of best minus best mirrored is above 0 where
    the density has the hand of the model, about 0 where it tells no hand (low resolution, strands), below 0 for a map
    of the wrong hand into which a model was fitted. None if no piece is long enough.
    """
    _, backbone = complete_backbone(residues)
    atoms = np.stack([backbone.n, backbone.ca, backbone.c, backbone.o], axis=1)
    run = np.cumsum(~backbone.follows)
    starts = np.arange(0, len(run) - LENGTH + 1, LENGTH)
    starts = starts[run[starts] == run[starts + LENGTH - 1]]
    if not len(starts) or not map_moments.sd > 0:
        return None
    chosen = starts[np.unique(np.linspace(0, len(starts) - 1, PIECES).round().astype(int))]
    found = [_margin(volume, atoms[start : start + LENGTH].reshape(-1, 3)) for start in chosen]
    return float(np.mean(found) / map_moments.sd)


def _margin(volume: Volume, xyz: FloatArray) -> float:
    """Best mean density of one piece less that of its mirror image."""
    centre = xyz.mean(axis=0)
    axes = np.linalg.svd(xyz - centre, full_matrices=False)[2]
    along, across, up = (xyz - centre) @ axes.T[:, 0], (xyz - centre) @ axes.T[:, 1], (xyz - centre) @ axes.T[:, 2]
    angle = 2 * np.pi * np.arange(TURNS) / TURNS
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    best = []
    for side in (1.0, -1.0):
        # turned: (turns, slides, atoms), each coordinate along one of the axes of the piece
        turned = np.stack(
            np.broadcast_arrays(
                along + SLIDES[None, :, None], across * cos - side * up * sin, across * sin + side * up * cos
            ),
            axis=-1,
        )
        places = centre + turned.reshape(-1, 3) @ axes
        density = sample_trilinear(volume.data, volume.index_of(places))
        best.append(density.reshape(-1, len(xyz)).mean(axis=1).max())
    return float(best[0] - best[1])
