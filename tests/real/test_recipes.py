"""The recipes `released` and `refined` on the real maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.spatial import cKDTree

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.core.volume import Volume
from cryodata.formats.mrc import read_volume, write_map
from cryodata.formats.mrc_header import read_header
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.reference import scripts
from tests.reference.maps import place, read_map, resample
from tests.reference.models import ca_positions, protein_residues, read_structure
from tests.reference.secondary import secondary_structure
from tests.stored import values

from .test_real_maps import ACCEPTED, rows_of, source_rows

EXACT = 1e-6
"stored as float32: the last bits of sums in another order"


def made(shared_data: Path, root: Path, recipe: str) -> Report:
    settings = ("max_resolution=8", "density=float32")
    return build(Request("cryo2struct", root, shared_data, version="0.1.0", recipe=recipe, settings=settings))


@pytest.fixture(scope="module")
def released(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(shared_data, tmp_path_factory.mktemp("released"), "released")


@pytest.fixture(scope="module")
def refined(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(shared_data, tmp_path_factory.mktemp("refined"), "refined")


def arrays_of(report: Report, entry_id: str) -> dict[str, np.ndarray]:
    """Density and label volumes as they are stored."""
    group: Any = zarr.open_group(report.folder / str(rows_of(report, "entries.parquet")[entry_id]["volume"]), mode="r")
    labels = {array.name: group[f"labels/{array.name}/0"][...] for array in report.manifest.schema.labels}
    return {"density": values(group["density"]).astype(np.float32), **labels}


def counts_of(report: Report, entry_id: str, label: str) -> dict[str, dict[str, int]]:
    """Atoms in the model, written, lost and outside by class."""
    rows: Any = rows_of(report, "entries.parquet")[entry_id]["label_counts"]
    return {item["name"]: item for item in rows if item["label"] == label}


# released


@pytest.mark.parametrize("entry_id", ACCEPTED)
def test_released_equals_the_scripts_voxel_for_voxel(released: Report, shared_data: Path, entry_id: str) -> None:
    source = source_rows(shared_data)[entry_id]
    plain, structure = read_map(shared_data / source["map"]), read_structure(shared_data / source["model"])
    residues = protein_residues(structure)
    origin = place(plain, ca_positions(residues)).origin_xyz
    classes, _ = secondary_structure(shared_data / source["model"], structure, residues)
    density = scripts.normalise(resample(plain))
    secondary = {
        (residue.chain, residue.number, residue.icode): value for residue, value in zip(residues, classes, strict=True)
    }
    expected = scripts.make_labels(scripts.residues_of(shared_data / source["model"]), secondary, density.shape, origin)

    found = arrays_of(released, entry_id)

    assert np.abs(found["density"] - density).max() <= EXACT
    for name in ("atom", "amino", "secondary"):
        wrong = np.count_nonzero(found[name] != getattr(expected, name))
        assert wrong == 0, f"{wrong} voxels of {name} differ"
    outside = sum(item["outside"] for item in counts_of(released, entry_id, "atom").values())
    assert outside == expected.dropped


def test_two_calcium_ions_are_c_alphas_of_released_and_of_no_other_recipe(
    released: Report, refined: Report, real: Report
) -> None:
    found = {
        report.manifest.recipe: counts_of(report, "EMD-6272-zone", "atom")["CA"]["model"]
        for report in (released, refined, real)
    }

    assert found == {"published": 397, "refined": 397, "released": 399}
    # HETATM records of 3j9s.ent: two CA, one CL, one ZN, no other that is not water
    assert counts_of(refined, "EMD-6272-zone", "ligand")["ion"]["written"] == 4


def test_a_map_whose_percentile_is_not_positive_is_refused_by_released(shared_data: Path, tmp_path: Path) -> None:
    source = source_rows(shared_data)["EMD-5830-box"]
    path = shared_data / source["map"]
    volume = read_volume(path, read_header(path))
    low = volume.data - np.float32(np.percentile(volume.data, 99))
    write_map(tmp_path / "low.map.gz", Volume(low, volume.voxel_size_xyz, volume.origin_xyz))
    rows = f"entry_id,map,model,resolution\nlow,low.map.gz,{shared_data / source['model']},3.8\n"
    (tmp_path / "entries.csv").write_text(rows, encoding="utf-8")

    report = build(Request("cryo2struct", tmp_path / "root", tmp_path, recipe="released"))

    assert rows_of(report, "rejected.parquet")["low"]["code"] == "no_positive_percentile"


# refined


def c_alphas(report: Report) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By entry, fractional indices z, y, x of the C-alphas that were written, and their voxels; 1 A each."""
    rows: Any = rows_of(report, "entries.parquet")
    (path,) = (report.folder / report.manifest.tables).glob("atoms-*")
    written = [row for row in read_table(path).to_pylist() if row["state_ca"] == 0]
    found = {}
    for number, entry_id in enumerate(sorted(rows)):
        mine = [row for row in written if row["volume"] == number]
        place = np.array([row["xyz"] for row in mine]) - rows[entry_id]["origin_xyz"]
        found[entry_id] = place[:, ::-1], np.array([row["voxel_zyx"] for row in mine])
    return found


def label_rmsd(report: Report) -> dict[str, float]:
    """By entry, from the C-alphas to the centres of the voxels that carry them, A."""
    away = {entry_id: place - voxel for entry_id, (place, voxel) in c_alphas(report).items()}
    return {entry_id: float(np.sqrt(np.square(gap).sum(axis=1).mean())) for entry_id, gap in away.items()}


def contrast(report: Report, entry_id: str, place: np.ndarray) -> tuple[float, float]:
    """Mean density at the C-alpha voxels over the mean 3 to 5 A from the nearest C-alpha, and share of those voxels at
    exactly 1. place: of the C-alphas."""
    arrays = arrays_of(report, entry_id)
    is_ca = arrays["atom"] == 1
    apart = cKDTree(place).query(np.argwhere(np.ones(is_ca.shape)), distance_upper_bound=5.001)[0].reshape(is_ca.shape)
    at_ca = arrays["density"][is_ca].astype(np.float64)
    shell = arrays["density"][(apart >= 3) & (apart <= 5)].astype(np.float64)
    return float(at_ca.mean() / shell.mean()), float((at_ca == 1).mean())


def test_refined_labels_lie_half_as_far_from_their_atoms(refined: Report, real: Report) -> None:
    before, after = label_rmsd(real), label_rmsd(refined)

    assert 0.96 < min(before.values()) < max(before.values()) < 1.03
    # a point anywhere in a voxel of 1 A is sqrt(3 / 12) = 0.5 A from its centre, as a root mean square
    assert 0.49 < min(after.values()) < max(after.values()) < 0.515
    assert sum(value < 0.5 for value in after.values()) == 9


def test_refined_hardly_saturates_and_has_more_contrast(refined: Report, real: Report) -> None:
    places = {entry_id: place for entry_id, (place, _) in c_alphas(real).items()}
    before = {entry_id: contrast(real, entry_id, places[entry_id]) for entry_id in ACCEPTED}
    after = {entry_id: contrast(refined, entry_id, places[entry_id]) for entry_id in ACCEPTED}

    assert min(share for _, share in before.values()) > 0.16
    assert max(share for _, share in after.values()) < 0.02
    gains = [after[entry_id][0] / before[entry_id][0] for entry_id in ACCEPTED]
    assert np.median(gains) > 1.6
    assert sum(gain > 1.5 for gain in gains) == 11
    assert min(gains) > 1.2


def test_refined_has_labels_for_all_of_the_molecule(refined: Report) -> None:
    names = [array.name for array in refined.manifest.schema.labels]

    assert names == ["atom", "amino", "secondary", "backbone", "sidechain", "nucleic", "base", "ligand"]
    assert verify_version(open_version(refined.folder.parent, "cryo2struct"), deep=True).faults == ()


def test_the_contour_of_the_entry_decides_where_there_is_one(shared_data: Path, tmp_path: Path) -> None:
    source = source_rows(shared_data)["EMD-5830-box"]
    files = f"{shared_data / source['map']},{shared_data / source['model']},3.8"
    lines = ["entry_id,map,model,resolution,contour_level", f"a,{files},", f"b,{files},2.0", f"c,{files},1e9"]
    (tmp_path / "entries.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    facts: dict[str, Any] = {}
    for entry_id in "abc":  # one at a time: the same map thrice is a duplicate
        (tmp_path / "ids").write_text(entry_id, encoding="utf-8")
        report = build(Request("cryo2struct", tmp_path / entry_id, tmp_path, recipe="refined", ids=tmp_path / "ids"))
        facts[entry_id] = rows_of(report, "entries.parquet")[entry_id]

    assert [facts[entry_id]["contour_source"] for entry_id in "abc"] == ["map", "entry", "map"]
    assert facts["b"]["contour"] == 2.0
    assert facts["a"]["contour"] == facts["c"]["contour"] != 2.0
    assert len({facts[entry_id]["recipe_digest"] for entry_id in "abc"}) == 3
