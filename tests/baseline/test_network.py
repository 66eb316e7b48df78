"""The networks: their weights counted, and what their outputs mean."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cryodata.baseline.learning.heads import Head, heads_of, inner, probabilities, split_channels
from cryodata.baseline.learning.unetr import SEQUENCE, UNETR
from cryodata.baseline.network import NetworkSpec, make_network
from cryodata.errors import UsageError


def weights_of(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize(
    ("depth", "classes", "sequence", "expected"),
    [
        pytest.param(4, 21, False, 35_603_493, id="4 layers, residue types"),
        pytest.param(4, 4, False, 35_603_204, id="4 layers, atoms"),
        pytest.param(12, 21, False, 92_281_893, id="12 layers, residue types"),
        pytest.param(12, 4, False, 92_281_604, id="12 layers, atoms"),
        pytest.param(24, 21, True, 179_463_717, id="24 layers, residue types, with sequence"),
    ],
)
def test_unetr_has_as_many_weights_as_the_paper_says(depth: int, classes: int, sequence: bool, expected: int) -> None:
    with torch.device("meta"):  # counted without making them
        network = UNETR(depth, classes, sequence=sequence)

    assert weights_of(network) == expected


def test_unetr_gives_logits_for_every_voxel_and_sees_the_sequence() -> None:
    torch.manual_seed(0)
    network = UNETR(4, 5, sequence=True).eval()
    density, vector = torch.rand(1, 1, 32, 32, 32), torch.rand(1, SEQUENCE)

    with torch.inference_mode():
        (first,) = network(density, vector)
        (other,) = network(density, 2 * vector)

    assert first.shape == (1, 5, 32, 32, 32)
    assert not torch.equal(first, other)
    with pytest.raises(UsageError, match=r"takes a sequence vector of 1,280 numbers for each sample; found none"):
        network(density)


def test_unetr_refuses_other_depths_and_boxes() -> None:
    with pytest.raises(UsageError, match=r"depth is 5; expected one of 4, 12, 24"):
        UNETR(5, 4)
    with (
        torch.device("meta"),
        pytest.raises(UsageError, match=r"boxes of 32 voxels a side, found shape \(1, 1, 16, 16, 16\)"),
    ):
        UNETR(4, 4)(torch.zeros(1, 1, 16, 16, 16))


@pytest.mark.parametrize("fold", [1, 2])
def test_the_residual_network_is_trained_at_scales_half_as_fine_each(fold: int) -> None:
    network = make_network(NetworkSpec("residual", 7, filters=8, blocks=(1, 1, 1), fold=fold, scales=2))
    density = torch.rand(2, 1, 16, 16, 16)

    trained = [tuple(level.shape) for level in network.train()(density)]
    judged = [tuple(level.shape) for level in network.eval()(density)]

    assert trained == [(2, 7, 16, 16, 16), (2, 7, 8, 8, 8)]
    assert judged == [(2, 7, 16, 16, 16)]


def test_the_residual_network_sees_a_voxel_alike_wherever_its_box_begins() -> None:
    """Far from the faces: what makes windows of prediction larger than those of training."""
    torch.manual_seed(0)
    network = make_network(NetworkSpec("residual", 4, filters=8, blocks=(1, 1), scales=1)).eval()
    density = torch.rand(1, 1, 40, 40, 40)

    with torch.inference_mode():
        whole = inner(network(density)[0], 4)
        part = inner(network(inner(density, 32))[0], 4)

    torch.testing.assert_close(whole, part, rtol=1e-4, atol=1e-5)


HEADS = heads_of({"secondary": ("coil", "helix"), "atom": ("CA", "N")}, conditional=True)


def test_the_atoms_come_first_and_the_others_depend_on_them() -> None:
    assert (Head("atom", ("none", "CA", "N"), False), Head("secondary", ("none", "coil", "helix"), True)) == HEADS
    assert [head.channels for head in HEADS] == [3, 2]
    assert [head.conditional for head in heads_of({"amino": ("ALA",)}, conditional=True)] == [False]


def test_a_conditional_class_is_as_probable_as_a_c_alpha_of_that_class() -> None:
    atom = torch.tensor([0.2, 0.5, 0.3]).log()
    secondary = torch.tensor([0.9, 0.1]).log()
    logits = torch.cat([atom, secondary]).reshape(1, 5, 1, 1, 1)

    found = probabilities(logits, HEADS)

    assert list(found) == ["atom", "secondary"]
    torch.testing.assert_close(found["atom"].flatten(), torch.tensor([0.2, 0.5, 0.3]))
    # 1 - 0.5, 0.5 x 0.9, 0.5 x 0.1
    torch.testing.assert_close(found["secondary"].flatten(), torch.tensor([0.5, 0.45, 0.05]))
    assert [part.shape[1] for part in split_channels(logits, HEADS).values()] == [3, 2]
