"""Imports point down only, also inside functions; each outside format library has one home; importing is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

BELOW = {
    "errors": set(),
    "compiled": set(),
    "core": {"errors"},
    "prepare": {"compiled", "core", "errors"},
    "formats": {"compiled", "core", "errors"},
    "build": {"prepare", "formats", "core", "errors"},
    "serve": {"formats", "core", "errors"},
    "read": {"prepare", "formats", "compiled", "core", "errors"},
    "baseline": {"build", "read", "prepare", "formats", "core", "errors"},
    "review": {"build", "read", "prepare", "formats", "core", "errors"},
}
"what each layer may import of cryodata besides itself; everything else (cli, console, demo) is above and free"

HOMES = {
    "mrcfile": {"formats/mrc.py", "formats/mrc_header.py"},
    "isal": {"formats/inflate.py", "formats/mrc.py"},
    "gemmi": {
        "formats/assembly.py",
        "formats/calphas.py",
        "formats/components.py",
        "formats/model_writer.py",
        "formats/records.py",
        "formats/sequences.py",
        "formats/structure.py",
        "prepare/potential.py",
    },
    "zarr": {"formats/volumes.py"},
    "obstore": {"formats/bucket.py", "formats/store.py"},
    "numcodecs": {"formats/codecs.py"},
    "datasets": {"read/features.py", "read/hf.py", "read/hf_examples.py"},
    "numba": {
        "baseline/chains/best.py",
        "baseline/chains/copies.py",
        "baseline/chains/graph.py",
        "baseline/chains/hidden_markov.py",
        "baseline/chains/lattice.py",
        "baseline/chains/owners.py",
        "baseline/chains/path.py",
        "baseline/chains/scan.py",
        "baseline/chains/windows.py",
        "compiled/moves.py",
        "formats/steps_kernels.py",
        "prepare/around_kernels.py",
        "prepare/sampling_kernels.py",
        "prepare/volume_kernels.py",
    },
    "dask": {"build/clusters.py", "build/run.py"},
    "distributed": {"build/clusters.py", "build/run.py"},
    "torch": {
        "baseline/learning/feed.py",
        "baseline/learning/group.py",
        "baseline/learning/heads.py",
        "baseline/learning/journal.py",
        "baseline/learning/judge.py",
        "baseline/learning/learner.py",
        "baseline/learning/losses.py",
        "baseline/learning/runs.py",
        "baseline/learning/unetr.py",
        "baseline/learning/windows.py",
        "baseline/network.py",
        "baseline/predict.py",
        "baseline/report/pipeline.py",
        "baseline/train.py",
        "cli_evaluate.py",
        "cli_train.py",
        "demo.py",
        "read/torch_device.py",
        "read/torch_ring.py",
        "read/torch_stream.py",
    },
    "parasail": {"prepare/alignment.py"},
    "monai": {"baseline/network.py"},
    "safetensors": {"baseline/learning/runs.py"},
    "llvmlite": {
        "compiled/__init__.py",
        "compiled/moves.py",
        "formats/steps_kernels.py",
        "prepare/volume_kernels.py",
    },
    "matplotlib": {
        "baseline/learning/journal.py",
        "baseline/scoring/plot.py",
        "build/kinship/plot.py",
        "demo.py",
        "review/picture.py",
    },
    "click": {
        "cli.py",
        "cli_build.py",
        "cli_doors.py",
        "cli_evaluate.py",
        "cli_publish.py",
        "cli_review.py",
        "cli_splits.py",
        "cli_trace.py",
        "cli_train.py",
        "options.py",
    },
    "rich": {
        "cli_train.py",
        "console.py",
        "reports.py",
        "reports_evaluate.py",
        "reports_publish.py",
        "reports_splits.py",
        "reports_voxels.py",
    },
    "biotite": {"baseline/evaluate.py", "baseline/scoring/sequences.py"},
    "scipy": {"baseline/evaluate.py", "baseline/scoring/matching.py"},
}

CORE_MAY_IMPORT = {"numpy", "cryodata"} | set(sys.stdlib_module_names)


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports anywhere, function bodies and type-checking blocks too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def sources() -> list[Path]:
    return sorted((PROJECT / "cryodata").rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PROJECT / "cryodata").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_layer_imports_only_what_lies_below_it(path: Path) -> None:
    layer = layer_of(path)
    if layer not in BELOW:
        return
    inside = {name.split(".")[1] for name in imports_of(path) if name.startswith("cryodata.") and name.count(".")}
    packages = {name for name in inside if name in BELOW or (PROJECT / "cryodata" / f"{name}.py").exists()}

    assert packages - {layer} <= BELOW[layer]


def test_no_layer_imports_a_builder() -> None:
    guilty = [str(path) for path in sources() if any(name.startswith("cryodata_builders") for name in imports_of(path))]

    assert guilty == []


@pytest.mark.parametrize("path", sorted((PROJECT / "cryodata" / "core").glob("*.py")), ids=lambda path: path.name)
def test_core_needs_numpy_and_the_standard_library_alone(path: Path) -> None:
    assert {name.split(".")[0] for name in imports_of(path)} - CORE_MAY_IMPORT == set()


@pytest.mark.parametrize("library", sorted(HOMES))
def test_an_outside_library_is_imported_where_it_lives(library: str) -> None:
    found = {
        str(path.relative_to(PROJECT / "cryodata"))
        for path in sources()
        if any(name.split(".")[0] == library for name in imports_of(path))
    }

    assert found == HOMES[library]


def test_importing_cryodata_loads_nothing_heavy() -> None:
    heavy = "torch obstore dask distributed datasets zarr pyarrow gemmi mrcfile numpy matplotlib"
    code = f"import sys, cryodata; print([name for name in '{heavy}'.split() if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("path", [*sources(), *sorted((PROJECT / "builders").glob("*.py"))], ids=lambda path: path.name)
def test_no_file_is_longer_than_a_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 270
