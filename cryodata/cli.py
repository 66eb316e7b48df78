"""The command line: thin wiring from options to functions, and from results to text."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryodata import __version__, reports
from cryodata.cli_build import DONE, FAILED, build
from cryodata.cli_doors import export, serve
from cryodata.cli_evaluate import baseline, evaluate
from cryodata.cli_publish import diff, publish, pull
from cryodata.cli_review import inspect, report
from cryodata.cli_splits import sequences, splits
from cryodata.cli_trace import trace
from cryodata.cli_train import predict, train
from cryodata.console import MAX_ROWS, Console
from cryodata.errors import CryodataError, SourceError, UsageError
from cryodata.options import Picture, common

if TYPE_CHECKING:
    from cryodata.build.verify import Verification
    from cryodata.formats.versions import DatasetVersion

WRONG_USAGE, INTERRUPTED = 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryodata")
def app() -> None:
    """Cryo-EM maps and fitted models in, versioned training data out.

    \b
    Try it, no data needed:         cryodata demo
    Build from EMDB and PDB:        cryodata build cryo2struct --limit 10
    Build from your maps:           cryodata build cryo2struct --source DIR
    Look at what there is:          cryodata list; cryodata info cryo2struct
    Train from it, in Python:       from cryodata import load_dataset
    """


for command in (build, publish, pull, diff, serve, export, evaluate, trace, train, predict, baseline, inspect, report):
    app.add_command(command)
for command in (splits, sequences):
    app.add_command(command)


@app.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option("--deep", is_flag=True, help="Also hash every byte of every object.")
@click.option("--repair", is_flag=True, help="Make again what is damaged, from the sources; then check once more.")
@common(remote=True)
def verify(dataset: str, deep: bool, repair: bool, root: str, as_json: bool) -> int:
    """Check a version against its manifest and its tables, and repeat the technical validation of the paper.

    Tables are hashed; volumes are decoded (every chunk carries a checksum), and every label voxel is recounted from
    the label points. Exits with 1 if anything is wrong, each fault on a line of its own. Below a URL, whatever is
    looked into is fetched into the cache. --repair needs the folder in which the version was built, and its sources.
    """
    from cryodata.build.verify import verify_version
    from cryodata.formats.versions import open_version

    console = Console(as_json)
    opened = open_version(root, dataset)
    with console.steps(f"verifying {opened.manifest.name}@{opened.manifest.version}") as observe:
        result = verify_version(opened, deep, observe)
    if repair and result.faults:
        result = _repaired(console, opened, result.faults)
    reports.verification(console, result)
    return FAILED if result.faults else DONE


@app.command()
@click.argument("dataset", metavar="NAME")
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common(remote=False)
def gc(dataset: str, dry_run: bool, yes: bool, root: Path, as_json: bool) -> int:
    """List, then remove, what no version and no receipt of a dataset refers to.

    Such as volumes of a version that was never finished. Nothing of the last hour is touched, and nothing while
    somebody builds in the dataset. On a terminal it asks first.
    """
    from cryodata.build.garbage import find_garbage, remove_garbage
    from cryodata.formats.versions import open_version

    console = Console(as_json)
    if not (root / dataset).is_dir():
        open_version(root, dataset)  # says what there is
    found = find_garbage(root / dataset)
    reports.garbage(console, root / dataset, found, removed=not dry_run)
    if dry_run or not found:
        return DONE
    if not yes and not as_json and sys.stdin.isatty():
        click.confirm("Remove all of it?", abort=True, err=True)
    left = len(found) - len(remove_garbage(root / dataset, found))
    if left:
        console.say(f"{left:,} of them stay: by now something refers to them")
    return DONE


@app.command("list")
@common(remote=True)
def list_(root: str, as_json: bool) -> int:
    """List the datasets below the root, with their versions."""
    from cryodata.formats.places import list_datasets, normal_root

    root = normal_root(root)
    reports.datasets(Console(as_json), root, list_datasets(root))
    return DONE


@app.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option("--card", is_flag=True, help="Show the whole dataset card instead.")
@common(remote=True)
def info(dataset: str, card: bool, root: str, as_json: bool) -> int:
    """Show what a version holds: entries, splits, arrays, rejections, recipe.

    --card has more: figures of the validation, faults of the recipe, what changed since the parent version, what every
    column means, and what to cite. On a terminal it is set; elsewhere it comes as Markdown.
    """
    from cryodata.formats.versions import open_version

    reports.info(Console(as_json), open_version(root, dataset), card)
    return DONE


@app.command()
@click.option(
    "--png",
    type=Picture(),
    default=Path("cryodata-demo.png"),
    show_default=True,
    help="Where the picture goes.",
)
@click.option("--workers", type=click.IntRange(0), metavar="N", help="Worker processes. Default: one a core.")
@common(remote=False)
def demo(png: Path, workers: int | None, root: Path, as_json: bool) -> int:
    """The whole way on simulated maps: build, verify, stream batches, draw a picture. No data needed."""  # fmt: skip
    from cryodata.build.run import available_cores
    from cryodata.demo import run_demo

    run_demo(root, png, available_cores() if workers is None else workers, Console(as_json))
    return DONE


def _repaired(console: Console, opened: DatasetVersion, faults: Sequence[str]) -> Verification:
    """Make again what is damaged, and look once more, at every byte."""
    from cryodata.build.repair import repair
    from cryodata.build.run import Crew, available_cores
    from cryodata.build.verify import verify_version
    from cryodata.formats.places import is_remote
    from cryodata.formats.versions import open_version

    if is_remote(opened.root):
        raise UsageError(f"--repair: {opened.root} is a URL; a version is made again in the folder where it was built")
    for fault in faults[:MAX_ROWS]:
        console.say(f"found: {fault}")
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    with console.progress(f"repairing {title}") as observe:
        repair(opened, Crew(available_cores()), observe, console.say)
    again = open_version(opened.root, title)
    with console.steps(f"verifying {title}") as step:
        return verify_version(again, True, step)


def main() -> None:
    """Entry point: every error that a user can act on is one line on stderr."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    as_json = "--json" in sys.argv
    try:
        code = app.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _fail("interrupted; the same command goes on where it stopped", INTERRUPTED, as_json)
    except click.ClickException as error:
        if not as_json:
            error.show()
        code = _fail(error.format_message(), error.exit_code, True) if as_json else error.exit_code
    except (UsageError, SourceError) as error:
        code = _fail(str(error), WRONG_USAGE, as_json)
    except _Terminated as error:
        code = _fail("terminated; the same command goes on where it stopped", int(error.args[0]), as_json)
    except (CryodataError, OSError) as error:
        code = _fail(str(error), FAILED, as_json)
    except MemoryError as error:
        code = _fail(f"memory ran out ({str(error) or 'there is no more'})", FAILED, as_json)
    sys.exit(code or DONE)


def _fail(message: str, code: int, as_json: bool) -> int:
    Console(as_json).show_error(message)
    return code


class _Terminated(BaseException):
    """Asked to end; no code that guards against a faulty builder catches it."""


def _terminate(number: int, frame: object) -> None:
    """The signal unwinds the stack, so that temporary folders and workers go."""
    raise _Terminated(128 + number)
