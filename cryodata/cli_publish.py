"""`cryodata publish`, `pull` and `diff`: their options, and what they call."""

from __future__ import annotations

from pathlib import Path

import click

from cryodata import reports_publish as reports
from cryodata import reports_voxels
from cryodata.console import Console
from cryodata.options import Root, common

DONE = 0


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option("--to", type=Root(remote=True), metavar="URL|DIR", required=True, help="Bucket (s3, gs, az) or folder.")
@click.option(
    "--single-publisher",
    is_flag=True,
    help="Publish to a store that ignores conditions, and promise that nobody else does so meanwhile.",
)
@click.option("--dry-run", is_flag=True, help="Send nothing: list the objects and bytes that the target lacks.")
@common(remote=False)
def publish(dataset: str, to: str, single_publisher: bool, dry_run: bool, root: Path, as_json: bool) -> int:
    """Publish a version: NAME below --root becomes NAME below the target, and readable there by everybody.

    Only what the target lacks is sent; killed anywhere, the same command goes on. Every byte is hashed on its way, so
    nothing damaged is published. The manifest comes last: whoever can open the version finds all of it. A version is
    never replaced, and its number must keep its promise after the one before it: PATCH the same data, MINOR more
    entries (anything, before 1.0.0), MAJOR anything. Credentials come from the environment (AWS_ACCESS_KEY_ID, ...).

    \b
    cryodata publish cryo2struct@1.2.0 --to s3://bucket/maps --dry-run
    cryodata publish cryo2struct@1.2.0 --to s3://bucket/maps
    """  # fmt: skip
    from cryodata.build.publish import publish as do
    from cryodata.formats.places import normal_root
    from cryodata.formats.versions import open_version

    console, target = Console(as_json), normal_root(to)
    opened = open_version(root, dataset)
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    with console.steps(f"{'comparing' if dry_run else 'publishing'} {title}") as observe:
        done = do(opened, target, single_publisher, dry_run, observe)
    reports.published(console, opened.manifest, done, dry_run)
    return DONE


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option("--to", type=Root(remote=False), metavar="DIR", required=True, help="Root that gets the copy.")
@click.option("--split", "splits", multiple=True, metavar="SPLIT", help="Only the volumes of a split; may be repeated.")
@click.option("--split-by", "scheme", metavar="SCHEME", default="", help="Scheme of the splits, such as id.")
@click.option(
    "--ids",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Only the volumes of the entries whose ids the file lists, one a line.",
)
@common(remote=True)
def pull(
    dataset: str, to: Path, splits: tuple[str, ...], scheme: str, ids: Path | None, root: str, as_json: bool
) -> int:
    """Copy a version from a folder or URL into DIR: every byte verified; killed anywhere, the same command goes on.

    With --split or --ids the copy is partial: the same version, with all its tables, but only the volumes that were
    asked for. Splits that are there whole are read as ever; a volume that is not there is named with an error when it
    is read; `cryodata verify` checks what the copy should hold; and another `pull` adds to it.

    \b
    cryodata pull cryo2struct@1.2.0 --root s3://bucket/maps --to /data
    cryodata pull cryo2struct --root s3://bucket/maps --to /data --split validation
    """  # fmt: skip
    from cryodata.build.pull import pull as do
    from cryodata.build.subset import Subset
    from cryodata.formats.versions import open_dataset

    console = Console(as_json)
    opened = open_dataset(dataset, None, root)
    with console.steps(f"pulling {opened.manifest.name}@{opened.manifest.version}") as observe:
        done = do(opened, to.expanduser().resolve(), Subset(splits, scheme, ids), observe)
    reports.pulled(console, opened.manifest, done)
    return DONE


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--other-root", type=Root(remote=True), metavar="ROOT", help="Root of B; --root if not given.")
@click.option("--voxels", is_flag=True, help="Decode the volumes and compare their voxels instead of the tables.")
@click.option(
    "--ids",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="With --voxels: only the entries whose ids the file lists, one a line.",
)
@common(remote=True)
def diff(
    first: str, second: str, other_root: str | None, voxels: bool, ids: Path | None, root: str, as_json: bool
) -> int:
    """What changed from version A to version B: entries added, removed and changed, and why.

    A and B are NAME[@V], or the path or URL of a dataset's folder with @V. Tables are compared, no volume is opened.
    With --voxels it is the volumes that are: difference and correlation of the densities, voxels of each label class
    in A, in B and in both, and how far labels moved. Builder and recipe do not matter then, so that a build can be held
    against the published folders.

    \b
    cryodata diff cryo2struct@1.1.0 cryo2struct@1.2.0
    cryodata diff cryo2struct s3://bucket/maps/cryo2struct
    cryodata build published --source /data/root/full_dataset --as theirs; cryodata diff cryo2struct theirs --voxels
    """
    from cryodata.build.differences import compare
    from cryodata.build.subset import Subset
    from cryodata.build.voxel_differences import compare_voxels
    from cryodata.formats.versions import open_dataset

    if ids is not None and not voxels:
        raise click.UsageError("--ids goes with --voxels: the tables are compared as a whole")
    console, one, other = (
        Console(as_json),
        open_dataset(first, None, root),
        open_dataset(second, None, other_root or root),
    )
    if not voxels:
        reports.difference(console, one, other, compare(one, other))
        return DONE
    with console.steps("comparing volumes") as observe:
        found = compare_voxels(one, other, observe, Subset(ids=ids))
    reports_voxels.voxel_difference(console, one, other, found)
    return DONE
