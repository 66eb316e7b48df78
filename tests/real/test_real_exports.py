"""Real maps in the published folders, and back: nothing is lost on the way."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.export import export_version
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.voxel_differences import compare_voxels
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.reference import scripts
from tests.reference.maps import place, read_map, resample
from tests.reference.models import ca_positions, protein_residues, read_structure
from tests.reference.secondary import secondary_structure

from .test_real_maps import source_rows

pytestmark = pytest.mark.real

CAPPED = "EMD-6272-zone"
"its chain begins with an acetyl group, which has no C-alpha and so is no residue of the chain when it comes back"


@pytest.fixture(scope="module")
def folders(real: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real maps, exported."""
    folder = tmp_path_factory.mktemp("exports") / "folders"
    export_version(open_version(real.folder.parent, "cryo2struct"), folder, "mrc", lambda done, total: None)
    return folder


def test_every_exported_map_is_valid(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = sorted(folders.glob("maps/*/*.mrc"))

    assert len(maps) == 15 * 5
    for path in maps:
        assert mrcfile.validate(path), capsys.readouterr().out


def test_what_is_exported_and_imported_differs_in_nothing(real: Report, folders: Path, tmp_path: Path) -> None:
    build(Request("published", tmp_path, folders, name="back", crew=Crew(0)))
    before, after = open_version(real.folder.parent, "cryo2struct"), open_version(tmp_path, "back")

    found = compare_voxels(before, after, lambda done, total: None)

    assert found.same
    assert (len(found.entries), found.only_first, found.only_second) == (15, (), ())
    tables = [read_table(opened.table("entries.parquet")).to_pylist() for opened in (before, after)]
    for here, there in zip(*tables, strict=True):
        assert here["origin_xyz"] == there["origin_xyz"]
        assert there["recognised"] == 1.0
        counts = [[item for item in row["label_counts"] if item["label"] != "secondary"] for row in (here, there)]
        assert counts[0] == counts[1]  # the structure of residues that lie outside is in no map, nor in the model
        if here["entry_id"] != CAPPED:
            assert here["sequences"] == there["sequences"]


def test_an_alignment_has_the_modelled_residues_of_every_chain(real: Report, folders: Path) -> None:
    for row in read_table(open_version(real.folder.parent, "cryo2struct").table("entries.parquet")).to_pylist():
        text = (folders / "maps" / row["entry_id"] / "dealign_clustal_output.fasta").read_text()
        original, atom = (part.replace("\n", "") for part in re.findall(r">\w+\n([^>]+)", text))
        assert len(original) == len(atom)
        chains = [chain for chain in row["sequences"] if chain["kind"] == "peptide"]
        assert atom.replace("-", "") == "".join(chain["modelled"] for chain in chains)
        assert original.replace("-", "") == "".join(chain["full"] or chain["modelled"] for chain in chains)


def as_the_scripts_write(shared_data: Path, entry_id: str, folder: Path) -> None:
    """A folder of the published dataset: density and labels by the rules of its scripts, as mrcfile writes them."""
    source = source_rows(shared_data)[entry_id]
    model = shared_data / source["model"]
    plain, structure = read_map(shared_data / source["map"]), read_structure(model)
    residues = protein_residues(structure)
    origin = place(plain, ca_positions(residues)).origin_xyz
    classes, _ = secondary_structure(model, structure, residues)
    density = scripts.normalise(resample(plain))
    secondary = {(item.chain, item.number, item.icode): value for item, value in zip(residues, classes, strict=True)}
    labels = scripts.make_labels(scripts.residues_of(model), secondary, density.shape, origin)
    folder.mkdir(parents=True)
    shutil.copy(model, folder / model.name)
    maps = {"": density, "atom_": labels.atom, "amino_": labels.amino, "sec_struc_": labels.secondary}
    for name, values in maps.items():
        with mrcfile.new(folder / f"{name}emd_normalized_map.mrc") as file:
            file.set_data(values.astype(np.float32))
            file.voxel_size = 1.0
            file.header.origin = tuple(origin)


def test_the_recipe_released_holds_what_folders_of_the_scripts_do(shared_data: Path, tmp_path: Path) -> None:
    chosen = ("EMD-5830-box", "EMD-6272-zone", "EMD-6770-box")
    for entry_id in chosen:
        as_the_scripts_write(shared_data, entry_id, tmp_path / "folders" / entry_id)
    (tmp_path / "ids").write_text("\n".join(chosen), encoding="utf-8")
    settings, crew = ("max_resolution=8", "density=float32"), Crew(0)
    ours = Request("cryo2struct", tmp_path, shared_data, recipe="released", settings=settings, ids=tmp_path / "ids")
    build(replace(ours, crew=crew))
    build(Request("published", tmp_path, tmp_path / "folders", settings=("density=float32",), crew=crew))

    found = compare_voxels(*(open_version(tmp_path, name) for name in ("cryo2struct", "published")), lambda d, t: None)

    assert [entry.entry_id for entry in found.entries] == list(chosen)
    for entry in found.entries:
        assert entry.grid == ""
        assert entry.density is not None and entry.density.largest <= 1e-6  # sums in another order
        assert {label.label: label.same for label in entry.labels} == dict.fromkeys(
            ("atom", "amino", "secondary"), True
        )
    rows = read_table(open_version(tmp_path, "published").table("entries.parquet")).to_pylist()
    # the scripts know places in float32: an atom at the face of a voxel may be on its other side
    assert all(row["recognised"] > 0.995 for row in rows)
    assert [row["n_residues"] for row in rows] == [91, 397 + 2, 172]  # two calcium ions are C-alphas, too
