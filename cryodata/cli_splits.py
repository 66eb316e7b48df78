"""`cryodata splits` and `cryodata sequences`: their options, and what they call."""

from __future__ import annotations

from pathlib import Path

import click

from cryodata import reports_splits as reports
from cryodata.console import Console
from cryodata.options import Picture, common

DONE = 0


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option("--report", "wanted", is_flag=True, help="Measure what they let through; the other options imply it.")
@click.option("--by", "schemes", multiple=True, metavar="SCHEME", help="Scheme to measure; may be repeated.")
@click.option(
    "--list",
    "split_list",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Measure a list of your own: CSV with the columns id and split.",
)
@click.option(
    "--out",
    type=Picture(),
    metavar="FILE.png",
    help="Draw it as well; needs matplotlib.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Alignments at a time. Default: one a core.")
@common(remote=True)
def splits(
    dataset: str,
    wanted: bool,
    schemes: tuple[str, ...],
    split_list: Path | None,
    out: Path | None,
    workers: int | None,
    root: str,
    as_json: bool,
) -> int:
    """Show how a version is split, and with --report what its splits let through: proteins that stand on both sides.

    For validation and test: the share of their residues whose chain has a chain of training alike to it, above 30, 50
    and 90 % identity of the best local alignment over half of the shorter chain; archive ids on both sides; and, chain
    by chain, what training shows as well. --json lists every chain. Folds (--by id) are held each against all others.

    \b
    cryodata splits cryo2struct --report --out leakage.png
    cryodata splits cryo2struct --list published.csv --json
    """
    from cryodata.build.kinship.plot import draw, pyplot
    from cryodata.build.kinship.report import count_splits, report_splits
    from cryodata.build.run import available_cores
    from cryodata.formats.versions import open_version

    console = Console(as_json)
    opened = open_version(root, dataset)
    if not (wanted or schemes or split_list or out):
        reports.counted(console, opened.manifest, count_splits(opened))
        return DONE
    if out is not None:
        pyplot()  # says what is missing before any work is done
    with console.steps("comparing sequences") as observe:
        found = report_splits(opened, schemes, split_list, workers or available_cores(), observe)
    if out is not None:
        draw(out, f"{opened.manifest.name}@{opened.manifest.version}", found.leakage)
    reports.measured(console, opened.manifest, found, out)
    return DONE


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Folder to write into."
)
@click.option("--entry", "entry_ids", multiple=True, metavar="ID", help="Only this entry; may be repeated.")
@common(remote=True)
def sequences(dataset: str, to: Path, entry_ids: tuple[str, ...], root: str, as_json: bool) -> int:
    """Write the sequences of a version as FASTA: full.fasta, modelled.fasta and aligned.fasta.

    A chain each, named ENTRY_CHAIN: the whole molecule as deposited, the residues that have atoms, and the two one
    above the other, with `-` where a residue has no atoms. A chain without a full sequence is in modelled.fasta alone.

    \b
    cryodata sequences cryo2struct --to fasta
    cryodata sequences cryo2struct --entry EMD-3488 --to fasta
    """
    from cryodata.build.fasta import write_sequences
    from cryodata.formats.versions import open_version

    opened = open_version(root, dataset)
    reports.written(Console(as_json), to, write_sequences(opened, to, entry_ids))
    return DONE
