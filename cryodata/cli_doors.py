"""`cryodata serve` and `cryodata export`: doors to what was built, for viewers, browsers and other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryodata import reports
from cryodata.build.export import FORMATS
from cryodata.console import Console
from cryodata.options import Root, common

DONE = 0
"exit code"


@click.command()
@click.argument("folder", required=False, metavar="[ROOT]", type=Root(remote=False))
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 lets other machines read, without any password.",
)
@common(remote=False)
def serve(folder: Path | None, port: int, host: str, root: Path, as_json: bool) -> int:
    """Serve the datasets below a root over http, read only, until Ctrl-C: for browsers, viewers and Python.

    Only what versions are made of is served: not sources, receipts or anything else that lies there. Any web page
    that is open in a browser of this machine can read it, too: viewers need that. The page at the address that is
    printed lists the maps with links into Neuroglancer, which then reads from this machine.

    \b
    cryodata serve
    cryodata serve /data/maps --port 0
    load_dataset("cryo2struct", root="http://127.0.0.1:8000")
    """
    from cryodata.formats.places import list_datasets
    from cryodata.serve.server import serve as listen

    root = (folder or root).resolve()
    if not root.is_dir():
        raise click.BadParameter(f"Directory '{root}' does not exist.", param_hint="ROOT")
    console = Console(as_json)
    with listen(root, host, port) as server:
        reports.serving(console, root, server.url, list_datasets(str(root)))
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.say("stopped")
    return DONE


@click.command()
@click.argument("dataset", metavar="NAME[@V]")
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    required=True,
    help="hub: a repository of the Hugging Face Hub, a file a volume. mrc: folders of maps, as Cryo2StructData has "
    "them. npz, npy: its sub-grids, for training and prediction. parquet, webdataset: sub-grids in shards.",
)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Folder to write into."
)
@click.option("--split", "splits", multiple=True, metavar="SPLIT", help="Only entries of a split; may be repeated.")
@click.option("--split-by", "scheme", metavar="SCHEME", default="", help="Scheme of the splits, such as id.")
@click.option(
    "--ids",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Only the entries whose ids the file lists, one a line.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads at most. Default: one a core.")
@click.option("--dry-run", is_flag=True, help="Write nothing: say how many files and bytes it would be at most.")
@common(remote=True)
def export(
    dataset: str, layout: str, to: Path, splits: tuple[str, ...], scheme: str, ids: Path | None, **options: Any
) -> int:
    """Write a version into a folder in the layout of something else.

    Every object is checked on the way. The same version gives the same bytes. Killed, the same command goes on: what
    is whole is not written again, what is not is never believed. A folder with anything else in it is left alone.

    \b
    cryodata export cryo2struct@1.0.0 --format hub --to repository
    hf upload-large-folder OWNER/REPOSITORY repository --repo-type dataset
    load_dataset("cryo2struct", root="https://huggingface.co/datasets/OWNER/REPOSITORY/resolve/main")
    \b
    cryodata export cryo2struct --format mrc --to folders --split validation --dry-run
    cryodata build published --source folders --as back        # and the other way round
    cryodata export cryo2struct --format parquet --to dense
    """
    from cryodata.build.export import Wish, export_version
    from cryodata.build.subset import Subset
    from cryodata.formats.versions import open_version

    console = Console(options["as_json"])
    opened = open_version(options["root"], dataset)
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    wish = Wish(Subset(splits, scheme, ids), options["workers"] or 0, options["dry_run"])
    with console.steps(f"exporting {title}") as observe:
        exported = export_version(opened, to.resolve(), layout, observe, wish)
    reports.exported(console, title, exported)
    return DONE
