"""`cryodata trace`: its options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryodata.console import Console
from cryodata.errors import UsageError
from cryodata.options import common

if TYPE_CHECKING:
    from cryodata.baseline.tracing import Traced

DONE = 0
"exit code"

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--sequences",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    metavar="FASTA",
    help="Sequences of the chains; a header of the PDB archive stands for all chains that it names.",
)
@click.option("--out", type=FILE, required=True, metavar="MODEL", help="Where the model goes: .cif or .pdb.")
@click.option("--table", type=FILE, metavar="FILE", help="Also a row per residue: .csv or .parquet.")
@click.option(
    "--method",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="paper: the hidden Markov model of the Cryo2Struct paper, solved exactly.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.3,
    show_default=True,
    metavar="P",
    help="Least probability of an alpha carbon that makes a candidate.",
)
@click.option(
    "--label-offset",
    "offset",
    type=click.FloatRange(-5, 5),
    metavar="A",
    help="Added to positions on each axis. Default: what the prediction says; 0.5 for networks of floor labels.",
)
@click.option(
    "--error",
    type=click.FloatRange(0.1, 2),
    default=0.65,
    show_default=True,
    metavar="A",
    help="By how much candidates miss their atoms on each axis; 0.35 for networks that place them well.",
)
@click.option("--no-link-density", is_flag=True, help="Do not look at the density between candidates.")
@common(remote=False)
def trace(predictions: Path, sequences: Path, out: Path, table: Path | None, as_json: bool, **options: Any) -> int:
    """Trace chains through what `cryodata predict` made of a map, and write a model of alpha carbons.

    Candidates are peaks of the alpha carbon's probability, placed finer than a voxel. Each chain takes the most
    probable way through them: distances, angles and residue types count, residues may be missing, no candidate is used
    twice, and copies of a protein are told apart. The B column holds the confidence, 0 to 100. PREDICTIONS is the
    folder of a prediction, or one of maps atom_CA.mrc and amino_ALA.mrc to amino_VAL.mrc.
    Needs pip install 'cryodata[train]'; the first run compiles for a minute or two.

    \b
    cryodata trace predicted --sequences 7kjr.fasta --out model.cif
    cryodata trace predicted --sequences 7kjr.fasta --out model.pdb --table residues.csv --json
    """
    from importlib.util import find_spec

    if find_spec("numba") is None:
        raise UsageError("this needs numba: pip install 'cryodata[train]'")
    from cryodata.baseline.tracing import Asked, trace_prediction, write_residues, write_traced
    from cryodata.formats.fasta import read_fasta

    console = Console(as_json)
    _check(out, (".cif", ".pdb"), "--out")
    if table is not None:
        _check(table, (".csv", ".parquet"), "--table")
    asked = Asked(
        options["method"], options["threshold"], options["offset"], options["error"], not options["no_link_density"]
    )
    chains = read_fasta(sequences)
    console.say(f"tracing {len(chains)} chains of {sum(len(sequence) for _, sequence in chains):,} residues")
    traced = trace_prediction(predictions, chains, asked)
    write_traced(out, traced)
    if table is not None:
        write_residues(table, traced)
    _show(console, traced, out, table)
    return DONE


def _check(path: Path, endings: tuple[str, ...], option: str) -> None:
    """UsageError before any work for what could not be written after it."""
    if path.suffix not in endings:
        raise UsageError(f"{option} {path.name}: expected a name that ends in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")


def _show(console: Console, traced: Traced, out: Path, table: Path | None) -> None:
    rows = [
        {
            "chain": name,
            "residues": len(path),
            "placed": int((path >= 0).sum()),
            "confidence": round(float(trust[path >= 0].mean()), 3) if (path >= 0).any() else None,
        }
        for name, path, trust in zip(traced.names, traced.paths, traced.confidence, strict=True)
    ]
    if console.as_json:
        files = {"model": str(out.resolve()), "table": str(table.resolve()) if table else None}
        console.show_json({"candidates": len(traced.candidates.xyz), "chains": rows, **files})
        return
    console.print(f"{len(traced.candidates.xyz):,} candidates")
    for row in rows:
        trust = "" if row["confidence"] is None else f", mean confidence {row['confidence']:.2f}"
        console.print(f"chain {row['chain']}: {row['placed']:,} of {row['residues']:,} residues placed{trust}")
    console.print(f"model: {out.resolve()}")
