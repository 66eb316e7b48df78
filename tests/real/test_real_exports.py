"""Real maps in the published folders, and back: nothing is lost on the way."""

from __future__ import annotations

import re
from pathlib import Path

import mrcfile
import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.export import export_version
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.voxel_differences import compare_voxels
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version

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
