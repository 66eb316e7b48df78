"""Tiny datasets of every format are kept: they must always be read, and their source must give their bytes again.

`format-1` is of the first days, when the atoms table held the labelled atoms alone; `format-1-refined` holds all of the
molecule, by the recipe `refined`, from the same source. Both have density in all steps of float16, by zstd; `-steps`
are the same in steps of 1/1024, by lz4hc; `format-2` are these as numbers of steps, by lz4. If the last test fails, a
recipe makes other bytes than it did: raise its revision and keep new golden datasets beside the old ones, made by

    cryodata build simulated --root tests/data/format-3 --set maps=2 --set residues=16 --set voxel_size=2 --set noise=0

(and `--recipe refined --set labels=atom,amino,secondary,sidechain`), without sources, receipts and provenance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.build.dataset import Request, build
from cryodata.build.export import export_version
from cryodata.build.verify import verify_version
from cryodata.build.voxel_differences import compare_voxels
from cryodata.cli import app
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files

DATA = Path(__file__).parent / "data"
GOLDEN, REFINED = DATA / "format-1", DATA / "format-1-refined"
STEPS, REFINED_STEPS = DATA / "format-1-steps", DATA / "format-1-refined-steps"
COUNTED, REFINED_COUNTED = DATA / "format-2", DATA / "format-2-refined"

LABELS = ("atom", "amino", "secondary", "sidechain")

EXPECTED = {
    GOLDEN: ((904, 1252, 146), 11199.15),
    REFINED: ((804, 1236, 142, 4578), 4878.88),
    STEPS: ((904, 1252, 146), 11198.13),
    REFINED_STEPS: ((804, 1236, 142, 4578), 4878.61),
    COUNTED: ((904, 1252, 146), 11198.13),
    REFINED_COUNTED: ((804, 1236, 142, 4578), 4878.61),
}
"sums of the labels and of the density over 96 examples of the training split, as they were released"

EACH = pytest.mark.parametrize("root", list(EXPECTED), ids=lambda root: root.name)
OF_TODAY = pytest.mark.parametrize("root", [COUNTED, REFINED_COUNTED], ids=lambda root: root.name)


@EACH
def test_a_golden_dataset_verifies(root: Path) -> None:
    assert verify_version(open_version(root, "simulated"), deep=True).faults == ()


@EACH
def test_a_golden_dataset_gives_the_examples_that_it_gave(root: Path) -> None:
    labels, density = EXPECTED[root]
    stream = load_dataset("simulated", split="train", streaming=True, root=root)

    examples = list(stream)

    assert len(examples) == 96
    totals = [sum(int(item[name].astype(np.int64).sum()) for item in examples) for name in LABELS[: len(labels)]]
    assert tuple(totals) == labels
    assert round(float(sum(item["density"].sum(dtype=np.float64) for item in examples)), 2) == density


@pytest.mark.parametrize(("before", "root"), [(GOLDEN, STEPS), (REFINED, REFINED_STEPS)], ids=lambda root: root.name)
def test_the_steps_of_density_are_all_that_differs_from_before(before: Path, root: Path) -> None:
    found = compare_voxels(*(open_version(one, "simulated") for one in (before, root)), lambda done, total: None)

    largest = [entry.density.largest for entry in found.entries if entry.density is not None]
    assert (len(largest), max(largest)) == (2, pytest.approx(2**-11, rel=1e-2))
    assert found.same


@pytest.mark.parametrize(("before", "root"), [(STEPS, COUNTED), (REFINED_STEPS, REFINED_COUNTED)])
def test_a_density_is_the_same_as_numbers_of_steps(before: Path, root: Path) -> None:
    one, other = (load_dataset("simulated", "volumes", split="train", root=path) for path in (before, root))

    assert len(one) == len(other) == 2
    assert all(np.array_equal(a["density"], b["density"]) for a, b in zip(one, other, strict=True))


@EACH
def test_its_atoms_are_read_with_the_columns_of_today(root: Path) -> None:
    atoms = load_dataset("simulated", "atoms", split="train", root=root).to_pandas()

    assert atoms["kind"].unique().tolist() == ["protein"]
    assert set(atoms["part"]) == ({"backbone"} if root == GOLDEN else {"backbone", "sidechain"})
    assert (atoms["parent"] == atoms["residue"]).all()
    assert (atoms["element"] == atoms["atom"].str[:1]).all()
    assert atoms["q_score"].isna().all()


def test_the_card_of_the_golden_dataset_is_shown_and_leads_the_hub_to_its_tables(tmp_path: Path) -> None:
    opened = open_version(GOLDEN, "simulated")

    shown = CliRunner().invoke(app, ["info", "simulated", "--card", "--root", str(GOLDEN)])
    export_version(opened, tmp_path, "hub", lambda done, total: None)

    assert shown.stdout.startswith("# simulated 0.1.0\n")
    assert open_version(tmp_path, "simulated").sha256 == opened.sha256
    path = f"path: simulated/{opened.manifest.tables}/subgrids-train-*.parquet"
    assert path in (tmp_path / "README.md").read_text(encoding="utf-8")


@OF_TODAY
def test_the_same_source_gives_the_same_bytes(tmp_path: Path, root: Path) -> None:
    (source,) = (GOLDEN / "simulated" / "source").iterdir()
    made = open_version(root, "simulated").manifest
    rows = [
        f"{path.name.removesuffix('.map.gz')},{path},{source / path.name.replace('.map.gz', '.cif')},3.0"
        for path in sorted(source.glob("*.map.gz"))
    ]
    (tmp_path / "entries.csv").write_text("\n".join(["entry_id,map,model,resolution", *rows]) + "\n", encoding="utf-8")

    settings = (f"labels={made.parameters.get('labels', 'default')}",)
    report = build(Request("cryo2struct", tmp_path, tmp_path, recipe=made.recipe, settings=settings))

    def files(folder: Path) -> list[tuple[str, str]]:
        """All files but the metadata of the volume as a whole, which name the builder: that differs here."""
        return sorted(
            (path.split("/")[1].rpartition("-")[0] + path.partition(".zarr")[2], sha256)
            for path, _, sha256 in folder_files(folder / "volumes")
            if not path.endswith(".zarr/zarr.json")
        )

    assert files(report.folder) == files(root / "simulated")
