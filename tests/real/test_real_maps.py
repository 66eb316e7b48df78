"""The real maps give what an independent plain reading of the recipe gives, voxel for voxel."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import zarr

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.formats.structure import read_structure
from cryodata.formats.tables import read_table
from cryodata.prepare.residues import is_backbone, protein_residues
from cryodata.prepare.secondary import computed_secondary
from tests.reference.entry import reference_sample
from tests.stored import values

STORAGE_ERROR = 5e-4
"DESIGN 4: largest error of stored density"

ACCEPTED = [
    "EMD-1044-box", "EMD-1461-crop", "EMD-20026-crop", "EMD-2566-chain9", "EMD-3488", "EMD-4118-box", "EMD-5137-box",
    "EMD-5168", "EMD-5185-box", "EMD-5778-chainA", "EMD-5830-box", "EMD-6187-box-A", "EMD-6187-box-K",
    "EMD-6272-zone", "EMD-6770-box",
]  # fmt: skip


def rows_of(report: Report, table: str) -> dict[str, dict[str, object]]:
    path = report.folder / report.manifest.tables / table
    return {row["entry_id"]: row for row in read_table(path).to_pylist()}


def source_rows(shared_data: Path) -> dict[str, dict[str, str]]:
    with open(shared_data / "entries.csv", newline="", encoding="utf-8") as file:
        return {row["entry_id"]: row for row in csv.DictReader(file)}


def test_at_8_A_exactly_the_fifteen_fitting_entries_are_accepted(real: Report) -> None:
    assert sorted(rows_of(real, "entries.parquet")) == ACCEPTED


def test_at_8_A_every_other_entry_is_rejected_with_its_code(real: Report, shared_data: Path) -> None:
    expected = dict.fromkeys(set(source_rows(shared_data)) - set(ACCEPTED), "resolution_out_of_range")
    expected |= {"EMD-3001": "no_model", "EMD-44046": "no_model"}

    assert {key: row["code"] for key, row in rows_of(real, "rejected.parquet").items()} == expected


def test_without_a_bound_the_low_resolution_pairs_join_and_the_misfit_is_found(
    shared_data: Path, tmp_path: Path
) -> None:
    ids = tmp_path / "ids"
    ids.write_text("EMD-8249\nEMD-1883\nEMD-1883-unfitted\nEMD-1080\n", encoding="utf-8")

    report = build(Request("cryo2struct", tmp_path, shared_data, settings=("max_resolution=none",), ids=ids))

    assert sorted(rows_of(report, "entries.parquet")) == ["EMD-1883", "EMD-8249"]
    assert {key: row["code"] for key, row in rows_of(report, "rejected.parquet").items()} == {
        "EMD-1883-unfitted": "model_does_not_fit",
        "EMD-1080": "no_model",
    }


def test_given_any_model_the_skewed_map_and_the_giant_are_refused_by_their_headers(
    shared_data: Path, tmp_path: Path
) -> None:
    rows = source_rows(shared_data)
    model = shared_data / rows["EMD-5830-box"]["model"]
    lines = ["entry_id,map,model"]
    lines += [f"{name},{shared_data / rows[name]['map']},{model}" for name in ("EMD-3001", "EMD-1155")]
    (tmp_path / "entries.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    report = build(Request("cryo2struct", tmp_path, tmp_path, settings=("max_resolution=none",)))

    assert {key: row["code"] for key, row in rows_of(report, "rejected.parquet").items()} == {
        "EMD-3001": "non_orthogonal",
        "EMD-1155": "too_large",
    }


@pytest.mark.parametrize("entry_id", ACCEPTED)
def test_density_and_every_label_voxel_equal_the_plain_reading(real: Report, shared_data: Path, entry_id: str) -> None:
    source = source_rows(shared_data)[entry_id]
    expected = reference_sample(shared_data / source["map"], shared_data / source["model"])

    group = zarr.open_group(real.folder / str(rows_of(real, "entries.parquet")[entry_id]["volume"]), mode="r")

    density = values(group["density"]).astype(np.float32)
    assert density.shape == expected.density.shape
    assert float(np.abs(density - expected.density).max()) <= STORAGE_ERROR
    for name in ("atom", "amino", "secondary"):
        wrong = np.count_nonzero(group[f"labels/{name}/0"][...] != getattr(expected, name))
        assert wrong == 0, f"{wrong} voxels of {name} differ"


@pytest.mark.parametrize("entry_id", ACCEPTED)
def test_facts_and_counts_equal_the_expected_table(real: Report, shared_data: Path, entry_id: str) -> None:
    with open(shared_data / "expected.csv", newline="", encoding="utf-8") as file:
        expected = {row["entry_id"]: row for row in csv.DictReader(file)}[entry_id]

    row = rows_of(real, "entries.parquet")[entry_id]

    assert "x".join(map(str, row["shape_zyx"])) == expected["shape_zyx"]
    assert " ".join(f"{value:.4f}" for value in row["origin_xyz"]) == expected["origin_xyz"]
    assert f"{row['fit']:.3f}" == expected["fit"]
    assert f"{row['density_mean']:.6f}" == expected["density_mean"]
    assert row["saturated"] == int(expected["saturated_voxels"])
    assert float(row["percentile"]) == pytest.approx(float(expected["p95_positive"]), rel=1e-5)
    for item in (item for item in row["label_counts"] if item["label"] == "atom"):
        name = item["name"].lower()
        found = [item[key] for key in ("model", "written", "lost", "outside")]
        assert found == [int(expected[key]) for key in (name, f"{name}_written", f"{name}_lost", f"{name}_outside")]
        assert found[0] == sum(found[1:])
    amino = sum(item["written"] for item in row["label_counts"] if item["label"] == "amino")
    assert amino == int(expected["amino_voxels"])


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("1cbn.cif", 46), ("1en2.cif", 86), ("1en2.pdb", 86), ("3jqh.cif", 23), ("1fdo.cif", 715),
        ("1pfe.cif.gz", 8), ("4oz7.pdb", 20), ("3dl7_v32.pdb", 1069), ("4wvp.cif.gz", 222),
    ],
)  # fmt: skip
def test_hard_models_have_the_known_number_of_protein_residues(shared_data: Path, file: str, expected: int) -> None:
    residues = protein_residues(read_structure(shared_data / "models" / file).model)

    assert int(np.count_nonzero(is_backbone(residues, ("CA",)))) == expected


def model_files(shared_data: Path) -> list[Path]:
    named = {Path(row["model"]) for row in source_rows(shared_data).values() if row["model"]}
    return [*sorted((shared_data / "models").iterdir()), *(shared_data / path for path in sorted(named))]


def test_every_model_is_read(shared_data: Path) -> None:
    counts = {path.name: len(read_structure(path).model) for path in model_files(shared_data)}

    assert len(counts) >= 34
    assert min(counts.values()) > 0


def test_computed_secondary_structure_agrees_with_pydssp_on_97_percent_of_residues(shared_data: Path) -> None:
    pydssp = pytest.importorskip("pydssp")
    same = total = 0
    for path in model_files(shared_data):
        model = protein_residues(read_structure(path).model)
        classes = computed_secondary(model)
        atoms = [
            np.flatnonzero((model.atom == name) & (np.char.upper(model.element) == name[0]))
            for name in ("N", "CA", "C", "O")
        ]
        complete = sorted(set.intersection(*(set(model.position[rows].tolist()) for rows in atoms)))
        if len(complete) < 6:  # pydssp needs a turn
            continue
        first = [dict(zip(model.position[rows][::-1].tolist(), rows[::-1].tolist(), strict=True)) for rows in atoms]
        rows = np.array([[found[place] for found in first] for place in complete])
        proline = model.residue[rows[:, 1]] == "PRO"
        seen = pydssp.assign(model.xyz[rows], donor_mask=(~proline).astype(np.float64), out_type="c3")
        expected = np.select([seen == "H", seen == "E"], [2, 3], default=1)
        same += int(np.count_nonzero(classes[rows[:, 1]] == expected))
        total += len(expected)

    assert total > 29_000
    assert same / total >= 0.97
