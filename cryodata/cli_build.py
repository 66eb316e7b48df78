"""`cryodata build`: its options, and what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryodata import reports
from cryodata.console import Console
from cryodata.errors import UsageError
from cryodata.options import Part, SourceFolder, common

DONE, FAILED = 0, 1
"exit codes"


@click.command()
@click.argument("name")
@click.option("--as", "alias", metavar="NAME", default="", help="Name of the dataset; the builder's if not given.")
@click.option(
    "--source",
    type=SourceFolder(),
    metavar="DIR|URL",
    help="Folder with entries.csv, its maps and models, or its http address. Default: what EMDB and PDB have.",
)
@click.option("--version", metavar="V", help="Version to make, such as 0.2.0; 0.1.0 if there is none yet.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    help="Processes at most; 0 works in this one. Default: one a core.",
)
@click.option(
    "--memory", metavar="SIZE", default="", help="Memory for them together, such as 32GB. Default: most there is."
)
@click.option("--scheduler", metavar="ADDRESS", default="", help="Dask scheduler to work on, such as tcp://host:8786.")
@click.option("--parts", type=Part(), metavar="I/N", help="Work on the I-th of N parts only, and make no version yet.")
@click.option("--finish", is_flag=True, help="Work on nothing: make the version of what the parts have made.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Take the first N entries only.")
@click.option(
    "--ids",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Take only the entries whose ids the file lists, one a line.",
)
@click.option(
    "--catalog",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Take the entries that a catalogue lists, and what it says of them: the table of --dry-run, edited.",
)
@click.option("--recipe", metavar="NAME", default="", help="Recipe of the builder; its first if not given.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the builder; `--set help` lists them.",
)
@click.option("--keep-raw", is_flag=True, help="Keep fetched maps and models; by default they go when they were used.")
@click.option("--no-disk-check", is_flag=True, help="Begin even if the disk seems to have too little room.")
@click.option("--dry-run", is_flag=True, help="Build nothing: write the catalogue as Parquet, say what it takes.")
@click.option("--strict", is_flag=True, help="Exit with 1 if any entry was rejected.")
@common(remote=False)
def build(**options: Any) -> int:
    """Build a version of a dataset: NAME is a builder (cryo2struct, simulated) or a dotted path of your own.

    Each entry becomes a volume and table rows, or a rejection with its reason. Killed anywhere, the same command goes
    on where it stopped and gives the same bytes. Many machines may work on one ROOT that they share, each on a part or
    all on a Dask cluster, in any mixture; --finish then makes the version.

    \b
    cryodata build cryo2struct --limit 10
    cryodata build cryo2struct --source maps --set max_resolution=8
    cryodata build simulated --set maps=4 --workers 2
    cryodata build cryo2struct --parts 3/100; cryodata build cryo2struct --finish
    """  # fmt: skip
    from cryodata.build import dataset
    from cryodata.build.builder import find_builder
    from cryodata.build.plan import plan
    from cryodata.build.request import Request
    from cryodata.build.run import Crew, available_cores

    console = Console(options["as_json"])
    if "help" in options["settings"]:
        reports.parameters(console, find_builder(options["name"]))
        return DONE
    _exclusive(
        options,
        ("scheduler", "workers"),
        ("scheduler", "memory"),
        ("parts", "finish"),
        ("parts", "dry_run"),
        ("finish", "dry_run"),
    )
    workers = available_cores() if options["workers"] is None else options["workers"]
    request = Request(
        builder=options["name"],
        root=options["root"],
        source=options["source"],
        name=options["alias"],
        version=options["version"],
        recipe=options["recipe"],
        settings=options["settings"],
        crew=Crew(workers, options["scheduler"], options["memory"]),
        part=options["parts"],
        finish=options["finish"],
        limit=options["limit"],
        ids=options["ids"],
        catalog=options["catalog"],
        keep_raw=options["keep_raw"],
        disk_check=not options["no_disk_check"],
    )
    if options["dry_run"]:
        reports.plan(console, plan(request))
        return DONE
    with console.progress(f"building {options['alias'] or options['name']}") as observe:
        report = (dataset.build_part if request.part else dataset.build)(request, observe, console.say)
    if isinstance(report, dataset.PartReport):
        reports.part(console, report)
    else:
        reports.built(console, report)
    return FAILED if options["strict"] and report.rejected else DONE


def _exclusive(options: dict[str, Any], *pairs: tuple[str, str]) -> None:
    """UsageError if two options were given that say different things."""
    for pair in pairs:
        if all(options[name] not in (None, False, "") for name in pair):
            raise UsageError(" and ".join(f"--{name.replace('_', '-')}" for name in pair) + ": expected one of them")
