"""What a plan holds out, and which settings it takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cryodata.baseline.report.places import fold_splits, parts_of
from cryodata.baseline.report.plan import FOLDS, FULL, QUICK, plan_for
from cryodata.baseline.report.summary import COLUMNS, mean_row, slope_of
from cryodata.errors import UsageError


@pytest.mark.parametrize("maps", [4, 5, 16, 64])
def test_each_simulated_map_is_held_out_by_one_fold(maps: int) -> None:
    folds = [fold_splits(maps, fold) for fold in range(1, FOLDS + 1)]

    for entry_id in folds[0]:
        assert [fold[entry_id] for fold in folds].count("test") == 1
    for fold in folds:
        counts = Counter(fold.values())
        assert len(fold) == maps
        assert counts["validation"] >= 1 and counts["train"] >= counts["test"]


def test_sixteen_maps_are_eleven_to_learn_one_to_choose_four_to_judge() -> None:
    assert Counter(fold_splits(16, 1).values()) == {"train": 11, "validation": 1, "test": 4}


def test_settings_change_the_plan_or_the_training() -> None:
    plan = plan_for("quick", ["maps=8", "noise=0.2", "steps=10", "learning_rate=1", "network=unetr"], cuda=False)

    assert (plan.maps, plan.noise, plan.folds) == (8, 0.2, QUICK.folds)
    assert (plan.config("real").steps, plan.config("simulated").steps) == (10, 10)
    assert (plan.config("simulated").learning_rate, plan.config("simulated").network) == (1.0, "unetr")


def test_a_gpu_decides_the_size_of_a_full_plan() -> None:
    on_gpu, on_cpu = plan_for("full", [], cuda=True), plan_for("full", [], cuda=False)

    assert on_gpu == FULL
    assert on_cpu.maps < on_gpu.maps
    assert on_cpu.config("simulated").filters < on_gpu.config("simulated").filters


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("maps", "--set maps: expected KEY=VALUE"),
        ("maps=many", "--set maps=many: expected a whole number"),
        ("noise=high", "--set noise=high: expected a number"),
        ("folds=5", "folds is 5; expected 1 to 4"),
        ("maps=3", "maps is 3; expected at least 4, so that every fold holds one out"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        plan_for("quick", [setting], cuda=False)

    assert str(error.value) == message


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        plan_for("quick", ["epoch=3"], cuda=False)

    assert str(error.value).startswith("--set epoch=3: no setting 'epoch'; expected one of maps, residues, resolution")
    assert "epochs" in str(error.value)


def test_datasets_are_named_by_their_maps_so_that_trainings_share_them() -> None:
    names = [
        parts_of(plan_for("quick", [text], cuda=False), Path("out"), False)[0].dataset
        for text in ("steps=1", "steps=2", "maps=8")
    ]

    assert names[0] == names[1] != names[2]


def test_a_mean_leaves_out_what_has_no_number() -> None:
    rows = [{**dict.fromkeys(COLUMNS, 1.0), "rmsd": None}, {**dict.fromkeys(COLUMNS, 2.0), "rmsd": 3.0}]
    mean = mean_row(rows)

    assert (mean["f1_2"], mean["rmsd"]) == (1.5, 3.0)
    assert mean_row([rows[0]])["rmsd"] is None


def test_the_slope_is_that_of_the_last_half() -> None:
    log = [{"step": float(100 * i), "f1": min(i, 5) * 0.1} for i in range(11)]

    assert slope_of(log[:3], "f1") == pytest.approx(1.0)
    assert slope_of(log, "f1") == pytest.approx(0.0)
    assert slope_of(log[:2], "f1") is None
    assert slope_of(log, "other") is None
