"""Windows over a whole volume: the stitched result is what the network says of each voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryodata.baseline.learning.heads import heads_of
from cryodata.baseline.learning.windows import Predictor, Windows, predict_tiles, windows_of
from cryodata.baseline.network import NetworkSpec, make_network
from cryodata.core.subgrids import SubgridGrid

HEADS = heads_of({"atom": ("CA",)}, conditional=False)
SPEC = NetworkSpec("residual", 2, filters=8, blocks=(1, 1), scales=1)


class Copies(nn.Module):
    """Says of each voxel that it is a C-alpha with odds e^density."""

    def forward(self, density: Tensor, sequence: Tensor | None = None) -> list[Tensor]:
        return [torch.cat([torch.zeros_like(density), density], dim=1)]


def predicted(network: nn.Module, density: np.ndarray, windows: Windows, **asked: int) -> np.ndarray:
    whole = np.full((2, *density.shape), np.nan, dtype=np.float32)
    predictor = Predictor(network, HEADS, torch.device("cpu"), "auto")
    for where, found in predict_tiles(predictor, density, windows, **asked):
        assert np.isnan(whole[where]).all()  # no voxel twice
        whole[where] = found["atom"]
    return whole


@pytest.mark.parametrize("shape", [(9, 30, 17), (20, 5, 26), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("rotations", [1, 24], ids=["plain", "rotated"])
def test_the_cores_tile_a_volume_of_any_shape(shape: tuple[int, int, int], rotations: int) -> None:
    density = np.random.Generator(np.random.PCG64(1)).random(shape, dtype=np.float32)
    windows = Windows(SubgridGrid.uniform(shape, 12, 8), 16)

    found = predicted(Copies(), density, windows, rotations=rotations, batch_size=3)

    expected = 1 / (1 + np.exp(-density))
    np.testing.assert_allclose(found[1], expected, atol=5e-4)  # half a step of float16
    np.testing.assert_allclose(found[0], 1 - expected, atol=5e-4)


def test_the_number_of_windows_in_a_batch_changes_nothing_that_is_stored() -> None:
    torch.manual_seed(0)
    network = make_network(SPEC)
    density = np.random.Generator(np.random.PCG64(2)).random((40, 21, 33), dtype=np.float32)
    windows = Windows(SubgridGrid.uniform(density.shape, 16, 12), 24)

    one, many = (predicted(network, density, windows, batch_size=size) for size in (1, 5))

    # the arithmetic may be ordered otherwise: the last bit of a float16 below 1
    np.testing.assert_allclose(one, many, atol=5e-4)


def test_rotations_are_undone() -> None:
    """The mean over all 24 of a network that is not symmetric turns with the map."""
    torch.manual_seed(0)
    network = make_network(SPEC)
    density = np.random.Generator(np.random.PCG64(3)).random((16, 16, 16), dtype=np.float32)
    windows = Windows(SubgridGrid.uniform(density.shape, 16, 16), 16)

    def turned(values: np.ndarray) -> np.ndarray:
        return np.rot90(values, axes=(-3, -1)).copy()

    mean, mean_turned = (predicted(network, values, windows, rotations=24) for values in (density, turned(density)))
    once, once_turned = (predicted(network, values, windows) for values in (density, turned(density)))

    np.testing.assert_allclose(turned(mean), mean_turned, atol=1e-3)
    assert np.abs(turned(once) - once_turned).max() > 0.01


def test_windows_are_as_large_as_pays_and_those_of_the_unetr_as_in_training() -> None:
    unetr = windows_of((218, 218, 218), NetworkSpec("unetr", 21), 32, 20)
    small, large = (windows_of((side, side, side), NetworkSpec("residual", 27), 32, 20) for side in (20, 218))

    assert (unetr.grid.box, unetr.grid.core, len(unetr.grid), unetr.tile) == (32, 20, 1331, 80)
    assert (small.grid.box, small.grid.core) == (32, 20)
    assert large.grid.box == 88
    assert large.grid.box - large.grid.core == 12
    assert len(large.grid) * large.grid.box**3 < 0.5 * 1331 * 32**3
