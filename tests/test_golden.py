"""A tiny dataset of format 1 is kept: it must always be read, and its source must give its bytes again.

If the second test fails, the recipe makes other bytes than it did: raise its revision and keep a new golden dataset
beside the old one, made by

    cryodata build simulated --root tests/data/format-2 --set maps=2 --set residues=16 --set voxel_size=2 --set noise=0
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.build.dataset import Request, build
from cryodata.build.export import export_version
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files

GOLDEN = Path(__file__).parent / "data" / "format-1"

EXPECTED = {"examples": 96, "label sums": {"atom": 904, "amino": 1252, "secondary": 146}, "density sum": 11199.15}
"of the training split, as format 1 was released"


def test_the_golden_dataset_verifies() -> None:
    assert verify_version(open_version(GOLDEN, "simulated"), deep=True).faults == ()


def test_the_golden_dataset_gives_the_examples_that_it_gave() -> None:
    stream = load_dataset("simulated", split="train", streaming=True, root=GOLDEN)

    examples = list(stream)

    assert len(examples) == EXPECTED["examples"]
    totals = {
        name: int(sum(int(item[name].astype(np.int64).sum()) for item in examples))
        for name in ("atom", "amino", "secondary")
    }
    assert totals == EXPECTED["label sums"]
    assert round(float(sum(item["density"].sum(dtype=np.float64) for item in examples)), 2) == EXPECTED["density sum"]


def test_the_card_of_the_golden_dataset_is_shown_and_leads_the_hub_to_its_tables(tmp_path: Path) -> None:
    opened = open_version(GOLDEN, "simulated")

    shown = CliRunner().invoke(app, ["info", "simulated", "--card", "--root", str(GOLDEN)])
    export_version(opened, tmp_path, "hub", lambda done, total: None)

    assert shown.stdout.startswith("# simulated 0.1.0\n")
    assert open_version(tmp_path, "simulated").sha256 == opened.sha256
    path = f"path: simulated/{opened.manifest.tables}/subgrids-train-*.parquet"
    assert path in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    (source,) = (GOLDEN / "simulated" / "source").iterdir()
    rows = [
        f"{path.name.removesuffix('.map.gz')},{path},{source / path.name.replace('.map.gz', '.cif')},3.0"
        for path in sorted(source.glob("*.map.gz"))
    ]
    (tmp_path / "entries.csv").write_text("\n".join(["entry_id,map,model,resolution", *rows]) + "\n", encoding="utf-8")

    report = build(Request("cryo2struct", tmp_path, tmp_path))

    def shards(folder: Path) -> list[tuple[str, str]]:
        """Content of the arrays; the metadata name the builder, which differs here."""
        return sorted(
            (path.split("/")[1].rpartition("-")[0] + path.partition(".zarr")[2], sha256)
            for path, _, sha256 in folder_files(folder / "volumes")
            if "/c/" in path
        )

    assert shards(report.folder) == shards(GOLDEN / "simulated")
