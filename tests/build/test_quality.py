"""Quality in a build: what is measured, what it refuses, and labels that say `ignore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.core.schema import IGNORE
from cryodata.core.volume import Volume
from cryodata.formats.mrc import read_volume, write_map
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import read_structure
from cryodata.formats.tables import REJECTED, read_table
from cryodata.formats.versions import open_version
from cryodata.prepare.assessment import FACTS
from cryodata.prepare.qscore import q_scores

ALWAYS = (
    "map_contour",
    "map_contour_source",
    "atom_inclusion",
    "resolved",
    "fit_mirrored",
    "mirrored_axis",
    "best_scale",
)

MAP, MODEL = "entries/EMD-3488/emd_3488.map.gz", "entries/EMD-3488/5ni1.pdb"

SHIFT = np.array([9.0, 17.0, 40.0])
"A; haemoglobin is nearly its own mirror image about the middle of its map"

Builds = Callable[..., Report]


@pytest.fixture(scope="module")
def haemoglobin(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Builds:
    """Builds of EMD-3488 alone, in one root: settings to report."""
    folder = tmp_path_factory.mktemp("haemoglobin")
    line = f"EMD-3488,{shared_data / MAP},{shared_data / MODEL},3.2,0.1"
    (folder / "entries.csv").write_text(f"entry_id,map,model,resolution,contour_level\n{line}\n", encoding="utf-8")

    def make(version: str, *settings: str) -> Report:
        return build(Request("cryo2struct", folder / "root", folder, version=version, settings=settings))

    return make


def row_of(report: Report) -> dict[str, Any]:
    opened = open_version(report.folder.parent, "cryo2struct", report.manifest.version)
    row: dict[str, Any] = read_table(opened.table("entries.parquet")).to_pylist()[0]
    return row


def atoms_of(report: Report) -> dict[str, np.ndarray]:
    opened = open_version(report.folder.parent, "cryo2struct", report.manifest.version)
    table = read_table(opened.table(opened.tables("atoms-")[0]))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in ("atom", "kind", "part", "chain", "q_score")}


def test_without_being_asked_a_build_measures_what_costs_little(haemoglobin: Builds) -> None:
    report = haemoglobin("0.1.0")
    row = row_of(report)

    assert all(row[name] is not None for name in ALWAYS)
    assert all(row[fact.name] is None for fact in FACTS if fact.name not in ALWAYS)
    assert (row["map_contour"], row["map_contour_source"]) == (0.1, "entry")
    assert 0.6 < row["atom_inclusion"] < 0.9
    assert 0.8 < row["resolved"] < 0.9
    assert row["best_scale"] == pytest.approx(1.0, abs=0.005)
    assert row["fit_mirrored"] < 0.3 * row["fit"]
    assert np.isnan(atoms_of(report)["q_score"]).all()


def test_asked_for_a_build_has_the_q_score_of_every_residue_on_its_atoms(
    haemoglobin: Builds, shared_data: Path
) -> None:
    report = haemoglobin("0.2.0", "quality=yes")
    row, atoms = row_of(report), atoms_of(report)
    model = read_structure(shared_data / MODEL).model
    volume = read_volume(shared_data / MAP, read_header(shared_data / MAP))
    scores = q_scores(volume, model.xyz)
    first = (model.chain == "A") & (model.auth_seq_id == 1) & (model.entity_kind == "peptide")

    assert row["q_mean"] == pytest.approx(0.690, abs=0.005)
    assert row["q_sigma"] == 0.6
    assert row["correlation"] == pytest.approx(0.772, abs=0.005)
    assert row["hand_margin"] > 1.5
    assert np.isfinite(atoms["q_score"]).all()
    mine = (atoms["chain"] == "A") & (atoms["kind"] == "protein")
    assert first.sum() > 5
    np.testing.assert_allclose(atoms["q_score"][mine][: first.sum()], scores[first].mean(), atol=1e-6)
    assert row["q_mean"] == pytest.approx(np.mean(atoms["q_score"][(atoms["atom"] == "CA") & mine]), abs=0.1)


def test_the_width_of_the_reference_is_a_setting_and_is_recorded(haemoglobin: Builds) -> None:
    row = row_of(haemoglobin("0.3.0", "quality=yes", "q_sigma=0.4"))

    assert row["q_sigma"] == 0.4
    assert row["q_mean"] == pytest.approx(0.579, abs=0.005)


def test_residues_that_the_map_does_not_show_are_ignored_in_every_kind_of_label(haemoglobin: Builds) -> None:
    report = haemoglobin("0.4.0", "min_q=0.6")
    root, atoms = report.folder.parent, atoms_of(report)
    opened = open_version(root, "cryo2struct", "0.4.0")
    plain = open_version(root, "cryo2struct", haemoglobin("0.1.0").manifest.version)
    low = (atoms["kind"] == "protein") & (atoms["atom"] == "CA") & (atoms["q_score"] < 0.6)

    assert verify_version(opened, True).faults == ()
    assert all(array.ignore_below == 0.6 for array in opened.manifest.schema.labels)
    assert all("255" in array.description for array in opened.manifest.schema.labels)
    assert row_of(report)["q_low"] == pytest.approx(low.sum() / 574, abs=0.01)
    (stored,) = load_dataset("cryo2struct", "volumes", split="train", root=root, revision="0.4.0")
    (before,) = load_dataset("cryo2struct", "volumes", split="train", root=root, revision=plain.manifest.version)
    for name in ("atom", "amino", "secondary"):
        found, was = np.asarray(stored[name]), np.asarray(before[name])
        assert 20 < np.count_nonzero(found == IGNORE) < 0.5 * np.count_nonzero(was)
        np.testing.assert_array_equal(found > 0, was > 0)
        np.testing.assert_array_equal(found[found != IGNORE], was[found != IGNORE])
    assert np.count_nonzero(np.asarray(stored["amino"]) == IGNORE) == pytest.approx(low.sum(), abs=3)


@pytest.mark.parametrize("labels", ["nearest", "sphere:2", "gaussian:1.5", "offset"])
def test_rules_at_load_time_ignore_the_same_residues(haemoglobin: Builds, labels: str) -> None:
    root = haemoglobin("0.4.0", "min_q=0.6").folder.parent
    (found,) = load_dataset("cryo2struct", "volumes", split="train", root=root, revision="0.4.0", labels=labels)
    (plain,) = load_dataset("cryo2struct", "volumes", split="train", root=root, revision="0.1.0", labels=labels)

    atom, was = np.asarray(found["atom"]), np.asarray(plain["atom"])
    if labels.startswith("gaussian"):  # an ignored atom has no channel
        assert atom.max() <= 1.0
        assert 0.3 * was.sum() < atom.sum() < 0.95 * was.sum()
        return
    assert np.count_nonzero(atom == IGNORE) > 20
    np.testing.assert_array_equal(atom > 0, was > 0)
    if labels == "offset":
        mask = np.asarray(found["offset_mask"])
        np.testing.assert_array_equal(mask > 0, (atom > 0) & (atom != IGNORE))


def test_a_label_volume_that_does_not_ignore_what_its_atoms_say_is_a_fault(haemoglobin: Builds) -> None:
    from cryodata.prepare.labels import class_values
    from cryodata.prepare.validate import label_faults

    opened = open_version(haemoglobin("0.4.0", "min_q=0.6").folder.parent, "cryo2struct", "0.4.0")
    schema = opened.manifest.schema
    table = read_table(opened.table(opened.tables("atoms-")[0]))
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.schema.names}
    voxel = np.stack(columns["voxel_zyx"])
    array = schema.labels[0]
    stored = np.zeros(row_of(haemoglobin("0.4.0", "min_q=0.6"))["shape_zyx"], dtype=np.uint8)
    written = columns["state"] == 0
    stored[tuple(voxel[written].T)] = class_values(array, columns)[written]
    assert list(label_faults(stored, "atom", voxel, columns, schema)) == []

    stored[stored == IGNORE] = 1

    (fault,) = label_faults(stored, "atom", voxel, columns, schema)
    assert "differ from their atoms" in fault


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("min_inclusion=0.99", "low_inclusion", "share of atoms inside the contour is 0."),
        ("min_resolved=1.0", "low_resolved", "share of the sequence that is modelled and shown is 0."),
        ("min_correlation=0.95", "low_correlation", "correlation of map and model in the mask is 0.7"),
        ("min_q_mean=0.8", "low_q_score", "mean Q-score of the residues is 0."),
    ],
)
def test_an_entry_below_a_threshold_is_refused_with_what_was_found(
    haemoglobin: Builds, setting: str, code: str, said: str
) -> None:
    report = haemoglobin(f"1.{len(setting)}.0", setting)

    opened = open_version(report.folder.parent, "cryo2struct", report.manifest.version)
    (row,) = read_table(opened.table("rejected.parquet"), REJECTED).to_pylist()
    assert row["code"] == code
    assert row["message"].startswith(said)
    assert row["message"].endswith(
        f"expected {float(setting.partition('=')[2]):g} at least ({setting.partition('=')[0]})"
    )


def test_a_map_whose_hand_was_changed_after_the_model_was_fitted_is_refused_with_a_hint(
    tmp_path: Path, shared_data: Path
) -> None:
    volume = read_volume(shared_data / MAP, read_header(shared_data / MAP))
    turned = Volume(np.ascontiguousarray(volume.data[::-1]), volume.voxel_size_xyz, volume.origin_xyz + SHIFT)
    write_map(tmp_path / "turned.map", turned)
    shifted = tmp_path / "shifted.pdb"
    lines = []
    for line in (shared_data / MODEL).read_text(encoding="ascii").splitlines():
        if line.startswith(("ATOM", "HETATM")):
            x, y, z = (float(line[i : i + 8]) + d for i, d in zip((30, 38, 46), SHIFT, strict=True))
            line = f"{line[:30]}{x:8.3f}{y:8.3f}{z:8.3f}{line[54:]}"
        lines.append(line)
    shifted.write_text("\n".join(lines) + "\n", encoding="ascii")
    (tmp_path / "entries.csv").write_text(
        f"entry_id,map,model,resolution\nX,{tmp_path}/turned.map,{shifted},3.2\n", encoding="utf-8"
    )

    settings = ("min_fit=2", "min_fit_shift=1.1")
    report = build(Request("cryo2struct", tmp_path / "root", tmp_path, version="0.1.0", settings=settings))

    opened = open_version(report.folder.parent, "cryo2struct", "0.1.0")
    (row,) = read_table(opened.table("rejected.parquet"), REJECTED).to_pylist()
    assert row["code"] == "model_does_not_fit"
    assert "the map turned round along z has 7." in row["message"]
