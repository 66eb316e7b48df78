"""`cryodata train` and `cryodata predict`: their options, and what they call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from cryodata.baseline.learning.config import PRESETS, TrainConfig
from cryodata.console import Console
from cryodata.errors import UsageError
from cryodata.options import common

if TYPE_CHECKING:
    from cryodata.baseline.predictions import Prediction
    from cryodata.baseline.train import TrainReport

DONE, STOPPED = 0, 128
"exit codes; the number of a signal is added to the second"


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for every setting of a run; None where it was not given."""
    for item in reversed(fields(TrainConfig)):
        choices = item.metadata["choices"]
        default = repr(item.default) if item.default == "" else item.default
        command = click.option(
            f"--{item.name.replace('_', '-')}",
            item.name,
            type=click.Choice(choices) if choices else type(item.default),
            default=None,
            metavar=None if choices else type(item.default).__name__.upper(),
            help=f"{item.metadata['help'][0].upper()}{item.metadata['help'][1:]}. [{default}]",
        )(command)
    return command


@click.command()
@click.argument("name", metavar="NAME[@V]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run. [runs/NAME]")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="reference", show_default=True, help="Settings.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="TOML file of settings.")
@_settings
@common(remote=True)
def train(name: str, out: Path | None, preset: str, config: Path | None, root: str, as_json: bool, **given: Any) -> int:
    """Train a network on a dataset: read whole batches, learn, validate, keep the best weights.

    Settings come from a preset, a TOML file over it (every key is an option below, `_` for `-`), and options over both.
    Ctrl-C or SIGTERM saves a checkpoint; the same command goes on from there, and on a CPU with the same losses as if
    it had never stopped. On several GPUs or processes, start it with torchrun.

    \b
    cryodata train cryo2struct --preset quick
    cryodata train cryo2struct --config my.toml --learning-rate 0.0005
    cryodata train cryo2struct --preset paper-atom --out runs/atom
    torchrun --nproc-per-node 8 -m cryodata train cryo2struct --batch-size 128 --workers 1
    """  # fmt: skip
    _needs_torch()
    from cryodata.baseline.learning.config import resolve_config
    from cryodata.baseline.train import train as train_run

    console = Console(as_json)
    settings = resolve_config(preset, config, {key: value for key, value in given.items() if value is not None})
    folder = out or Path("runs") / Path(name.partition("@")[0]).name
    with console.steps(f"training {folder.name}") as observe:
        report = train_run(name, settings, folder, root=root, observe=observe, say=console.say)
    _report(console, report)
    return STOPPED + report.signal if report.signal else DONE


@click.command()
@click.argument("map_file", metavar="MAP", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    required=True,
    metavar="RUN",
    help="Folder of a run; several if each predicts other labels.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the result.")
@click.option("--mrc", multiple=True, metavar="HEAD:CLASS", help="Also write this channel as an MRC map: atom:CA.")
@click.option(
    "--rotations", type=click.IntRange(1, 24), default=1, show_default=True, help="Mean over rotated windows."
)
@click.option("--batch-size", type=click.IntRange(1), default=1, show_default=True, help="Windows at a time.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto takes a GPU if there is one."
)
@click.option("--precision", type=click.Choice(("auto", "float32", "bfloat16")), default="auto", help="As in training.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Of PyTorch on a CPU; 0 leaves it to PyTorch.")
@click.option(
    "--sequence",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="safetensors file with the sequence vector, for a network that takes one.",
)
@click.option("--overwrite", is_flag=True, help="Replace what the folder holds.")
@common(remote=True)
def predict(map_file: Path, weights: tuple[Path, ...], out: Path, root: str, as_json: bool, **asked: Any) -> int:
    """Predict a map: the probability of every class in every voxel, by the networks of one or several runs.

    MAP may have any shape, axis order, voxel size and frame; it is resampled and normalised as the maps of training
    were. The result is a folder with OME-Zarr arrays for each label (napari and neuroglancer open them), what
    `cryodata trace` builds chains from, and with --mrc maps for ChimeraX and Coot. Memory does not grow with the map
    beyond the map itself.

    \b
    cryodata predict emd_22898.map.gz --weights runs/cryo2struct --out predicted
    cryodata predict emd_22898.map.gz --weights runs/atom --weights runs/amino --out predicted --mrc atom:CA
    """  # fmt: skip
    _needs_torch()
    import torch

    from cryodata.baseline.predict import Asked
    from cryodata.baseline.predict import predict as predict_map

    console, threads = Console(as_json), asked.pop("threads")
    if threads:
        torch.set_num_threads(threads)
    with console.steps(f"predicting {map_file.name}") as observe:
        found = predict_map(map_file, weights, out, Asked(**asked), observe=observe)
    _predicted(console, found)
    return DONE


def _needs_torch() -> None:
    import importlib.util

    for module in ("torch", "monai", "safetensors", "tensorboard", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"this needs {module}: pip install 'cryodata[train]'")


def _report(console: Console, report: TrainReport) -> None:
    """What became of a run."""
    if console.as_json:
        told = {"folder": str(report.folder), "step": report.step, "steps": report.steps, "finished": report.finished}
        console.show_json({**told, "seconds": round(report.seconds, 3), "last": report.row, "scores": report.scores})
        return
    if not report.finished:
        console.print(f"stopped at step {report.step:,} of {report.steps:,}; the same command goes on from there")
        return
    if report.scores:
        table = Table("head", "macro-F1", "precision", "recall", "labelled right", box=None, pad_edge=False)
        for head, found in report.scores.items():
            keys = ("macro_f1", "macro_precision", "macro_recall", "accuracy_labelled")
            table.add_row(head, *(f"{found[key]:.3f}" for key in keys))
        console.table(table)
    console.print(f"{report.steps:,} steps in {report.seconds:,.0f} s; weights, log and curves are in {report.folder}")
    console.print(f"use:  cryodata predict MAP --weights {report.folder} --out DIR")


def _predicted(console: Console, found: Prediction) -> None:
    """What was made of a map."""
    if console.as_json:
        console.show_json({"folder": str(found.folder), **found.told})
        return
    shape = " x ".join(map(str, found.shape_zyx))
    heads = ", ".join(f"{name} ({len(classes)})" for name, classes in found.classes.items())
    windows = sum(run["windows"] for run in found.told["runs"])
    console.print(f"{found.told['map']}: {shape} voxels of 1 A, {windows:,} windows; {heads} in {found.folder}")
