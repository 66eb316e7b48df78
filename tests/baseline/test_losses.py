"""Losses and scores, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryodata.baseline.learning.config import LOSSES
from cryodata.baseline.learning.heads import heads_of
from cryodata.baseline.learning.losses import class_weights, total_loss
from cryodata.baseline.learning.scores import confusion_of, scores_of
from cryodata.core.schema import IGNORE

HEADS = heads_of({"atom": ("CA", "N", "C"), "secondary": ("coil", "helix", "strand")}, conditional=True)


def labels_of(*atoms: int, secondary: int = 0) -> dict[str, torch.Tensor]:
    """A box of 2 voxels a side with these atoms, and secondary structure at its C-alphas."""
    atom = torch.tensor([*atoms, *[0] * (8 - len(atoms))], dtype=torch.uint8).reshape(1, 2, 2, 2)
    return {"atom": atom, "secondary": (atom == 1).to(torch.uint8) * secondary}


def test_a_class_weighs_what_the_others_have_of_the_voxels() -> None:
    weights = class_weights(labels_of(1, 1)["atom"].long(), 4)

    # 1 - 6/8, 1 - 2/8, and 1 for those that are not there; 1e-5 more each
    torch.testing.assert_close(weights, torch.tensor([0.25, 0.75, 1.0, 1.0]) + 1e-5)


@pytest.mark.parametrize("kind", LOSSES)
def test_what_is_right_costs_less_than_what_is_not(kind: str) -> None:
    labels = labels_of(1, 2, secondary=2)
    right = torch.full((1, 7, 2, 2, 2), -9.0)
    right.scatter_(1, labels["atom"].long()[:, None], 9.0)
    right[:, 5] = 9.0  # helix
    wrong = right.flip(2)

    costs = [total_loss([logits], labels, HEADS, kind, (1.0, 1.0))[0].item() for logits in (right, wrong)]

    # of 8 voxels Dice leaves 1 - (2 + 1) / (2 + 1) = 0 where all is right, as the others do; class C is not there
    assert costs[0] == pytest.approx(0.0, abs=1e-5)
    assert costs[1] > 1.0


def test_a_conditional_head_is_judged_where_its_label_is_and_nowhere_else() -> None:
    logits = torch.zeros(1, 7, 2, 2, 2)
    with_label = total_loss([logits], labels_of(1, secondary=1), HEADS, "plain", (1.0, 1.0))[1]
    without = total_loss([logits], labels_of(2), HEADS, "plain", (1.0, 1.0))[1]

    assert with_label["secondary"].item() == pytest.approx(math.log(3))
    assert without["secondary"].item() == 0.0
    assert with_label["atom"].item() == pytest.approx(math.log(4))


def test_a_coarser_scale_is_asked_for_the_c_alpha_among_its_voxels() -> None:
    fine = torch.zeros(1, 7, 2, 2, 2)
    coarse = torch.full((1, 7, 1, 1, 1), -9.0)
    coarse[:, 1] = 9.0

    alone = total_loss([fine], labels_of(0, 3, 2, 1), HEADS, "plain", (1.0, 0.0))[0].item()
    both = total_loss([fine, coarse], labels_of(0, 3, 2, 1), HEADS, "plain", (1.0, 0.0))[0].item()

    # (1 x log 4 + 0.5 x 0) / 1.5
    assert alone == pytest.approx(math.log(4))
    assert both == pytest.approx(math.log(4) / 1.5, abs=1e-5)


def test_scores_follow_from_the_confusion() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    found = np.array([0, 0, 1, 1, 1, 0, 2, 1])

    confusion = confusion_of(truth, found, 4)
    scores = scores_of(confusion, ("none", "CA", "N", "C"))

    assert confusion.tolist() == [[2, 1, 0, 0], [1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    # CA: 2 of 4 that were told, 2 of 3 that are there; N: 1 of 1, 1 of 2
    assert scores["classes"]["CA"] == {"precision": 0.5, "recall": 2 / 3, "f1": 4 / 7, "voxels": 3}
    assert scores["classes"]["N"]["f1"] == pytest.approx(2 / 3)
    assert scores["classes"]["C"]["f1"] is None
    assert scores["macro_f1"] == pytest.approx((4 / 7 + 2 / 3) / 2)
    assert scores["macro_precision"] == 0.75


@pytest.mark.parametrize("kind", LOSSES)
def test_voxels_to_ignore_cost_nothing_whatever_is_said_of_them(kind: str) -> None:
    labels = labels_of(1, 2, IGNORE, secondary=2)
    labels["secondary"].view(-1)[2] = IGNORE
    coarse = torch.randn(1, 7, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    one = torch.randn(1, 7, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    other = one.clone()
    other.view(1, 7, 8)[:, :, 2] *= -5.0

    costs = [total_loss([logits, coarse], labels, HEADS, kind, (1.0, 1.0))[0].item() for logits in (one, other)]

    assert math.isfinite(costs[0])
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


def test_a_coarser_voxel_of_background_and_voxels_to_ignore_is_ignored() -> None:
    labels = labels_of(IGNORE)
    one, other = (torch.full((1, 7, 1, 1, 1), value) for value in (0.0, 3.0))
    other[:, 0] = -3.0
    fine = torch.zeros(1, 7, 2, 2, 2)

    costs = [total_loss([fine, coarse], labels, HEADS, "plain", (1.0, 1.0))[0].item() for coarse in (one, other)]

    assert costs[0] == pytest.approx(costs[1])
