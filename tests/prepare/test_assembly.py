"""Whether an assembly is used: all of its copies or none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryodata.core.model import AtomicModel, ChainCopy
from cryodata.core.volume import Volume
from cryodata.prepare import assembly
from cryodata.prepare.assembly import Verdict, copied, judge
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import moments
from cryodata.prepare.residues import is_backbone
from cryodata.prepare.simulate import random_protein

TURN = ChainCopy(("A",), np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([44.0, 0.0, 0.0]))
TURNED_TWICE = ChainCopy(("A",), TURN.rotation @ TURN.rotation, TURN.moved(TURN.shift_xyz[None])[0])


@pytest.fixture(scope="module")
def model() -> AtomicModel:
    return random_protein(3, chains=1, residues=20, radius=16.0)


@pytest.fixture(scope="module")
def volume(model: AtomicModel) -> Volume:
    """A map of the model and of its first copy."""
    whole = [model.xyz, TURN.moved(model.xyz)]
    both = AtomicModel(
        **{name: np.concatenate([getattr(model, name)] * 2) for name in model.__slots__ if name != "xyz"},
        xyz=np.concatenate(whole),
    )
    return density_of(both, resolution=3.5, voxel_size=1.2, margin=6.0, noise=0.1, seed=1)


def verdict(model: AtomicModel, volume: Volume, *copies: ChainCopy) -> Verdict:
    return judge(volume, moments(volume.data), model, copies, [model.xyz[is_backbone(model, ("CA",))]])


def test_copies_that_the_map_shows_are_used(model: AtomicModel, volume: Volume) -> None:
    found = verdict(model, volume, TURN)

    assert (found.copies, found.reason) == ((TURN,), "used")
    assert found.lowest_fit is not None and found.lowest_fit > 1.0


def test_one_that_it_does_not_show_refuses_all(model: AtomicModel, volume: Volume) -> None:
    found = verdict(model, volume, TURN, replace(TURN, shift_xyz=np.array([44.0, 0.0, 9.0])))

    assert (found.copies, found.reason) == ((), "does_not_fit")


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        pytest.param(replace(TURN, shift_xyz=np.array([0.0, 0.0, 500.0])), "outside", id="beyond the map"),
        pytest.param(ChainCopy(("A",), np.eye(3), np.array([0.1, 0.0, 0.0])), "overlaps", id="where it is already"),
        pytest.param(replace(TURN, rotation=TURN.rotation * 1.01), "not_rigid", id="stretched"),
        pytest.param(replace(TURN, rotation=-np.eye(3)), "not_rigid", id="mirrored"),
        pytest.param(replace(TURN, rotation=np.full((3, 3), np.nan)), "not_rigid", id="no number"),
        pytest.param(replace(TURN, shift_xyz=np.array([np.inf, 0.0, 0.0])), "not_rigid", id="infinite"),
    ],
)
def test_an_assembly_is_refused_with_the_reason(
    model: AtomicModel, volume: Volume, copy: ChainCopy, reason: str
) -> None:
    assert verdict(model, volume, copy).reason == reason


def test_two_copies_at_one_place_are_refused(model: AtomicModel, volume: Volume) -> None:
    assert verdict(model, volume, TURN, TURN).reason == "overlaps"


def test_an_assembly_is_bounded(model: AtomicModel, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_RESIDUES", 39)

    assert verdict(model, volume, TURN).reason == "too_large"  # 20 and 20


def test_a_copy_without_protein_is_left_out(model: AtomicModel, volume: Volume) -> None:
    assert verdict(model, volume, replace(TURN, chains=("B",))) == Verdict((), "adds_nothing", None)


def test_a_copy_moves_the_chains_that_it_names(model: AtomicModel) -> None:
    assert len(copied(model, replace(TURN, chains=("B",)))) == 0
    np.testing.assert_allclose(copied(model, TURN).xyz[0], [44.0 - model.xyz[0, 1], model.xyz[0, 0], model.xyz[0, 2]])
    np.testing.assert_allclose(TURN.moved(TURN.moved(model.xyz)), TURNED_TWICE.moved(model.xyz))
