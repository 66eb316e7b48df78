"""All figures of an entry together: by hand on small models, and for real models of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata.core.entry import LabelPoints
from cryodata.core.model import ChainSequence
from cryodata.core.parameters import resolve
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError, UsageError
from cryodata.formats.structure import read_structure
from cryodata.prepare.assessment import FACTS, SETTINGS, THRESHOLDS, Claims, assess
from cryodata.prepare.molecule import molecule, named_points
from cryodata.prepare.neighbours import near_rows
from cryodata.prepare.potential import density_of
from cryodata.prepare.quality import moments
from cryodata.prepare.simulate import random_protein

ALL = resolve(SETTINGS, ["quality=yes"])

KINDS = {
    "1cbn.cif": ("protein", (0.8, 1.0)),
    "1gid.cif": ("RNA alone", (0.8, 1.0)),
    "1lzh.pdb.gz": ("C-alphas alone", (0.8, 1.0)),
    "1pfe.cif.gz": ("D-amino acids and modified DNA", (0.8, 1.0)),
    "4wvp.cif.gz": ("glycans and insertion codes", (0.8, 1.0)),
}
"models of ../shared/data by file, and the bounds of their mean Q-score in their own density at 3 A"


@pytest.fixture(scope="module")
def made() -> tuple[Volume, LabelPoints]:
    """A protein of 40 residues and its density at 3 A."""
    model = random_protein(2, chains=1, residues=40, radius=22.0)
    return density_of(model, resolution=3.0, voxel_size=1.1), named_points(model)


def facts(volume: Volume, points: LabelPoints, *settings: str, full: str = "", contour: float | None = None) -> Any:
    sequences = (ChainSequence("A", "peptide", "A" * 40, full),)
    claims = Claims(3.0, contour, sequences)
    return assess(volume, points, claims, moments(volume.data), resolve(SETTINGS, settings)).facts


def test_every_fact_is_told_and_none_besides(made: tuple[Volume, LabelPoints]) -> None:
    assert set(facts(*made)) == set(facts(*made, "quality=yes")) == {fact.name for fact in FACTS}


def test_residues_that_are_not_modelled_count_as_not_resolved(made: tuple[Volume, LabelPoints]) -> None:
    volume, points = made
    low = float(volume.data.min())

    assert facts(volume, points, contour=low)["resolved"] == 1.0
    assert facts(volume, points, contour=low, full="A" * 160)["resolved"] == pytest.approx(0.25)
    assert facts(volume, points, contour=float(volume.data.max()) * 2)["resolved"] == 0.0


def test_a_residue_that_lies_beside_its_density_has_a_low_score_and_is_not_resolved(
    made: tuple[Volume, LabelPoints],
) -> None:
    volume, points = made
    xyz = points.model.xyz.copy()
    away = points.model.label_seq_id > 30
    xyz[away] += 200.0
    moved = replace(points, model=replace(points.model, xyz=xyz))
    claims = Claims(3.0, None, (ChainSequence("A", "peptide", "A" * 40, "A" * 40),))

    found = assess(volume, moved, claims, moments(volume.data), {**ALL, "min_q": 0.5})

    assert np.all(np.abs(found.q_score[away]) < 0.05)
    assert found.q_score[~away].min() > 0.5
    assert found.facts["q_low"] == pytest.approx(0.25)
    assert found.facts["resolved"] <= 0.75


def test_hydrogens_have_the_score_of_their_residue_and_no_say_in_it(made: tuple[Volume, LabelPoints]) -> None:
    volume, points = made
    claims = Claims(3.0, None, ())
    part = points.part.copy()
    hidden = np.flatnonzero((points.model.atom == "O") & (points.model.label_seq_id == 7))
    part[hidden] = "hydrogen"

    found = assess(volume, replace(points, part=part), claims, moments(volume.data), ALL)

    mine = points.model.label_seq_id == 7
    assert len(np.unique(found.q_score[mine])) == 1


@pytest.mark.parametrize("setting", THRESHOLDS)
def test_what_could_not_be_measured_is_below_any_threshold(made: tuple[Volume, LabelPoints], setting: str) -> None:
    volume, points = made
    waters = replace(points, kind=np.full(len(points.model), "water"))

    with pytest.raises(RejectedError, match=r"is unknown; expected 0\.1 at least"):
        assess(volume, waters, Claims(None, None, ()), moments(volume.data), {**ALL, setting: 0.1})


@pytest.mark.parametrize("name", KINDS)
def test_models_of_every_kind_are_held_against_their_own_density(shared_data: Path, name: str) -> None:
    structure = read_structure(shared_data / "models" / name)
    model = molecule(structure.model)
    volume = density_of(model, resolution=3.0, voxel_size=1.2, margin=5)

    found = assess(volume, named_points(model), Claims(3.0, None, structure.sequences), moments(volume.data), ALL)

    low, high = KINDS[name][1]
    assert low < found.facts["q_mean"] < high
    assert np.isfinite(found.q_score).all()
    assert all(value is None or isinstance(value, str) or np.isfinite(value) for value in found.facts.values())


def test_atoms_on_top_of_each_other_are_refused() -> None:
    with pytest.raises(RejectedError, match="lie on top of each other") as caught:
        near_rows(np.zeros((1500, 3)), np.arange(1500), 4.0)
    assert caught.value.code == "unreadable_model"


@pytest.mark.parametrize("setting", ["min_q=1.1", "min_correlation=2", "q_sigma=0", "q_sigma=-1", "min_q=nan"])
def test_settings_that_no_figure_can_reach_are_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"--set {setting}: found"):
        resolve(SETTINGS, [setting])
