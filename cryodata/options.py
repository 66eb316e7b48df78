"""Options that commands share, and the types of their values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEFAULT_ROOT = "~/.cache/cryodata"

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".tif")


def default_root() -> str:
    """CRYODATA_ROOT, or the user's cache."""
    return os.path.expanduser(os.environ.get("CRYODATA_ROOT") or DEFAULT_ROOT)


class Root(click.Path):
    """A folder, or where `remote` the URL of one."""

    def __init__(self, remote: bool) -> None:
        super().__init__(file_okay=False)
        self.remote = remote

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text for reading, a Path for writing."""
        if "://" not in str(value):
            folder = super().convert(value, param, ctx)
            return str(folder) if self.remote else Path(os.fsdecode(folder))
        if not self.remote:
            self.fail(f"'{value}': this is done in a folder of this machine; a URL is for reading", param, ctx)
        return value


class SourceFolder(click.Path):
    """A folder that is there, as a Path, or an http address, as text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False, exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text of an address, a Path otherwise."""
        return value if str(value).startswith(("http://", "https://")) else super().convert(value, param, ctx)


class Picture(click.Path):
    """A file that a picture is written to, as a Path. Matplotlib goes by the end of the name, and adds one to none."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Path, if the kind of picture is one that is drawn."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in PICTURES:
            self.fail(f"'{value}': expected a name that ends in {', '.join(PICTURES)}", param, ctx)
        return path


class Part(click.ParamType[tuple[int, int]]):
    """I/N: the I-th of N parts, counted from 1."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Two numbers."""
        number, slash, parts = str(value).partition("/")
        if not (slash and number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
            self.fail(f"'{value}': expected I/N with I from 1 to N, such as 3/100", param, ctx)
        return int(number), int(parts)


def common(remote: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that every command takes. remote: it only reads, and the root may be a URL."""
    place = "Folder or URL (http, https, s3, gs, az)" if remote else "Folder"
    root = click.option(
        "--root",
        type=Root(remote),
        default=default_root,
        show_default=f"$CRYODATA_ROOT or {DEFAULT_ROOT}",
        help=f"{place} that holds the datasets.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
    return lambda command: root(as_json(command))
