"""`cryodata evaluate` and `cryodata baseline`: their options, and what they call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryodata import reports_evaluate
from cryodata.console import Console
from cryodata.errors import UsageError
from cryodata.options import Picture, common

if TYPE_CHECKING:
    from cryodata.baseline.scoring.thresholds import ThresholdCurve

DONE = 0
"exit code"

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


class Shift(click.ParamType[tuple[float, float, float]]):
    """A vector in A: three numbers between commas, or one for all three axes."""

    name = "shift"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Three numbers."""
        try:
            numbers = [float(item) for item in str(value).split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3) or not all(abs(item) < 1e6 for item in numbers):
            self.fail(f"'{value}': expected A along x,y,z, such as 0.5,0.5,0.5, or one number for all", param, ctx)
        return tuple(numbers * 3)[:3] if len(numbers) == 1 else tuple(numbers)


@click.command()
@click.argument("model", type=FILE)
@click.argument("reference", type=FILE)
@click.option(
    "--shift-xyz",
    type=Shift(),
    default="0",
    show_default=True,
    metavar="X,Y,Z",
    help="Move the model by so much first, A. 0.5 cures models of networks that were trained on floor labels.",
)
@click.option(
    "--probability",
    type=click.Path(path_type=Path, exists=True),
    metavar="MAP|DIR",
    help="Predicted probabilities of an alpha carbon, a map or what `cryodata predict` made: adds precision, recall "
    "and F1 of voxels against the threshold.",
)
@click.option(
    "--labels",
    "rule",
    default="",
    metavar="RULE",
    help="With --probability: how labels were written in training: nearest, floor, stored or sphere:R. Default: what "
    "the prediction says, nearest for a map.",
)
@click.option("--no-symmetry", is_flag=True, help="Compare chains without the crystal symmetry that the files name.")
@click.option("--png", type=Picture(), metavar="FILE.png", help="Draw a picture.")
@common(remote=True)
def evaluate(**options: Any) -> int:
    """Compare the protein MODEL with REFERENCE (PDB or mmCIF), alpha carbon by alpha carbon, as they stand in the map.

    Gives the numbers of phenix.chain_comparison (greedy, within 3 A, by the unique part of the reference); precision,
    recall and F1 within 1, 2 and 3 A by the best one-to-one matching; TM-score and lDDT, and how many residues are in
    register with the sequence. Nothing is superposed. Needs pip install 'cryodata[train]'.

    \b
    cryodata evaluate traced.cif deposited.cif
    cryodata evaluate traced.cif deposited.cif --png score.png
    cryodata evaluate traced.cif deposited.cif --probability predicted --json
    """  # fmt: skip
    from cryodata.baseline.evaluate import as_json
    from cryodata.baseline.evaluate import evaluate as measure
    from cryodata.formats.calphas import read_calphas

    console = Console(options["as_json"])
    _need("biotite", "scipy", *(["matplotlib"] if options["png"] else []))
    model, model_crystal = read_calphas(options["model"])
    reference, crystal = read_calphas(options["reference"])
    model = model.moved(options["shift_xyz"])
    found = measure(model, reference, None if options["no_symmetry"] else model_crystal or crystal)
    curve = None
    if options["probability"]:
        curve = _curve(options["probability"], options["rule"], options["reference"])
    if console.as_json:
        console.show_json(as_json(found, curve))
    else:
        reports_evaluate.evaluation(console, found, curve)
    if options["png"]:
        from cryodata.baseline.scoring.plot import draw

        draw(options["png"], model, reference, found, curve)
        console.say(f"picture: {options['png'].resolve()}")
    return DONE


@click.command()
@click.option("--quick", "name", flag_value="quick", help="Simulated maps and a small network: minutes on two cores.")
@click.option("--full", "name", flag_value="full", help="Four folds of simulated maps, and real ones from --source.")
@click.option(
    "--source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="With --full: folder with entries.csv of real maps.",
)
@click.option(
    "--splits",
    type=FILE,
    metavar="FILE",
    help="CSV file with columns id,split for them (train, validation, test); or a column split in entries.csv.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Folder. [baseline-quick]")
@click.option("--workers", type=click.IntRange(0), metavar="N", help="Processes that build. Default: one a core.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a number of the plan (maps, residues, folds, rotations, ...) or a setting of `cryodata train`.",
)
@common(remote=False)
def baseline(**options: Any) -> int:
    """Build, train, predict, trace and evaluate with one command; a page with the result beside the paper's.

    Every stage is done once: stopped anywhere, the same command goes on. --quick takes minutes on two cores; --full is
    for a GPU, and on a CPU trains a smaller network for about two hours. The page is report.html in --out, all numbers
    are in report.json beside it. Needs pip install 'cryodata[train]'.

    \b
    cryodata baseline --quick
    cryodata baseline --quick --set steps=200 --set maps=8
    cryodata baseline --full --source maps --splits splits.csv --out full
    """  # fmt: skip
    if not options["name"]:
        raise UsageError("expected --quick or --full")
    if options["source"] and options["name"] == "quick":
        raise UsageError("--quick takes simulated maps only; real ones need --full")
    _need("biotite", "matplotlib", "monai", "numba", "safetensors", "scipy", "tensorboard", "torch")
    import torch

    from cryodata.baseline.report.pipeline import run_baseline
    from cryodata.baseline.report.plan import plan_for
    from cryodata.baseline.report.site import Site, Watch
    from cryodata.build.run import available_cores

    console = Console(options["as_json"])
    site = Site(
        plan=plan_for(options["name"], options["settings"], torch.cuda.is_available()),
        root=options["root"],
        source=options["source"],
        splits=options["splits"],
        workers=available_cores() if options["workers"] is None else options["workers"],
        watch=Watch(console.say, console.steps),
    )
    out = (options["out"] or Path(f"baseline-{options['name']}")).resolve()
    report = run_baseline(site, out)
    if console.as_json:
        console.show_json({**report, "folder": str(out)})
    else:
        reports_evaluate.baseline(console, report, out)
    return DONE


def _curve(path: Path, rule: str, reference: Path) -> ThresholdCurve:
    from cryodata.baseline.predictions import open_prediction
    from cryodata.baseline.scoring.thresholds import predicted_curve, reference_curve
    from cryodata.formats.mrc import read_volume
    from cryodata.formats.mrc_header import read_header

    if path.is_dir():
        return predicted_curve(open_prediction(path), reference, rule)
    return reference_curve(read_volume(path, read_header(path)), reference, rule or "nearest")


def _need(*libraries: str) -> None:
    """UsageError if a library is not installed."""
    from importlib.util import find_spec

    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise UsageError(f"this needs {', '.join(missing)}: pip install 'cryodata[train]'")
