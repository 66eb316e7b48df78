"""`cryodata inspect` and `cryodata report`: what was built, for eyes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryodata import reports_review
from cryodata.console import Console
from cryodata.errors import UsageError
from cryodata.options import Picture, common

if TYPE_CHECKING:
    from cryodata.formats.versions import DatasetVersion

DONE = 0
"exit code"

MAX_ALIGNED = 1000
"entries whose sequences are aligned without being asked for: 25,000 take up to an hour"


@click.command()
@click.argument("entry", metavar="ENTRY")
@click.option("--of", "dataset", metavar="NAME[@V]", help="Default: the dataset below the root that has the entry.")
@click.option(
    "--out",
    type=Picture(),
    metavar="FILE.png",
    help="Where the picture goes. Default: ENTRY.png",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Folder with entries.csv that it was built from, for the histogram of the deposited map.",
)
@common(remote=True)
def inspect(entry: str, dataset: str | None, out: Path | None, source: Path | None, root: str, as_json: bool) -> int:
    """Draw one entry: slices with labels, projections, histograms before and after, fit and Q along the chains.

    The picture shows what a network will see. A trace of atoms beside the density, a chain whose Q-score falls to 0,
    a histogram with most voxels at 1: such entries are worth a second look before a training.

    \b
    cryodata inspect EMD-3488
    cryodata inspect EMD-3488 --of cryo2struct@0.2.0 --source maps --out haemoglobin.png
    """
    from cryodata.review.along import open_entry
    from cryodata.review.deposited import deposited_map
    from cryodata.review.picture import draw_entry, pyplot

    console = Console(as_json)
    pyplot()  # says what is missing before any work is done
    opened = _version_of(root, entry, dataset)
    found = open_entry(opened, entry)
    before = None if source is None else deposited_map(source, found.row)
    png = (out or Path(f"{entry}.png")).resolve()
    draw_entry(found, before, png)
    reports_review.inspected(console, opened, found, png)
    return DONE


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the page goes. Default: NAME-VERSION.html",
)
@click.option(
    "--thumbnails",
    type=click.IntRange(0, 2000),
    default=48,
    show_default=True,
    metavar="N",
    help="Maps that are shown, evenly spread over the ids.",
)
@click.option(
    "--leakage/--no-leakage",
    default=None,
    help="Measure what the splits let through, which aligns all sequences. Default: of up to 1,000 entries.",
)
@common(remote=True)
def report(dataset: str, out: Path | None, thumbnails: int, leakage: bool | None, root: str, as_json: bool) -> int:
    """Write one HTML page about a version: distributions, thresholds, rejections, splits, duplicates, thumbnails.

    The page holds all that it shows: no script, nothing fetched from elsewhere. It tells how many entries each
    threshold of quality would refuse, so that one can be chosen before the next build (--set min_correlation=0.5).

    \b
    cryodata report cryo2struct
    cryodata report cryo2struct@0.2.0 --out page.html --thumbnails 200
    """
    from cryodata.build.kinship.report import report_splits
    from cryodata.build.run import available_cores
    from cryodata.formats.versions import open_version
    from cryodata.review.page import write_page

    console = Console(as_json)
    opened = open_version(root, dataset)
    title = f"{opened.manifest.name}-{opened.manifest.version}"
    page = (out or Path(f"{title}.html")).resolve()
    found = None
    if leakage or (leakage is None and opened.manifest.counts["entries"] <= MAX_ALIGNED):
        with console.steps("comparing sequences") as observe:
            found = report_splits(opened, hands=available_cores(), observe=observe)
    with console.steps(f"thumbnails of {title}") as observe:
        summary = write_page(opened, page, thumbnails, found, observe)
    reports_review.reported(console, opened, page, summary)
    return DONE


def _version_of(root: str, entry: str, dataset: str | None) -> DatasetVersion:
    """The version that is named, or the highest of the only dataset that has the entry."""
    from cryodata.formats.absent import refusal
    from cryodata.formats.places import list_datasets, normal_root
    from cryodata.formats.tables import read_table
    from cryodata.formats.versions import open_version

    if dataset is not None:
        return open_version(root, dataset)
    try:
        names = list(list_datasets(normal_root(root)))
    except UsageError as error:  # an http address has no list
        raise UsageError(f"{str(error).partition(';')[0]}; name the dataset: --of NAME") from None
    versions = [open_version(root, name) for name in names]
    having = [
        opened
        for opened in versions
        if entry in read_table(opened.table("entries.parquet"), columns=["entry_id"])["entry_id"].to_pylist()
    ]
    if len(having) == 1:
        return having[0]
    found = ", ".join(opened.manifest.name for opened in having or versions) or "none"
    if having:
        raise UsageError(f"several datasets in {root} have an entry '{entry}': {found}; name one: --of NAME")
    refused = [
        f"; {opened.manifest.name} refused it as {why}" for opened in versions if (why := refusal(opened, entry))
    ]
    told = "".join(refused)
    raise UsageError(f"no dataset in {root} has an entry '{entry}' in its latest version; looked in: {found}{told}")
