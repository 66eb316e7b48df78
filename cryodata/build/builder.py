"""What a builder is, and how one is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cryodata.core.entry import Entry, Sample
from cryodata.core.parameters import Parameter, count, number, text
from cryodata.core.schema import Schema
from cryodata.errors import UsageError

PACKAGE = "cryodata_builders"

SELECTION = (
    Parameter("sample", 1.0, number, False, "share of the units to build, nested and stable: 0.25 is part of 0.5"),
    Parameter("seed", 0, count, False, "seed of the splits"),
    Parameter("splits", "", text, False, "CSV file with columns id,split; an id is an entry or an archive id"),
    Parameter("parent", "auto", text, False, "version whose units keep their split: auto (highest), none, or 1.2.3"),
)
"settings that every builder takes; none of them changes a volume"


@runtime_checkable
class Builder(Protocol):
    """Turns entries into samples. One dataset, one file; `BUILDER` in its module is the instance."""

    name: str
    "name of the builder and, unless --as says otherwise, of the dataset"

    license: str
    "SPDX identifier of what it publishes"

    recipes: Mapping[str, int]
    "revision of each recipe, the default first: raised whenever the bytes it makes change"

    parameters: Sequence[Parameter]
    "its own settings, besides SELECTION"

    def schema(self, recipe: str) -> Schema:
        """Arrays and facts of its samples."""

    def entries(self, source: Path | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """All entries of a source; opens no map. folder: where a builder that makes its own input may put it."""

    def admit(self, entry: Entry, parameters: Mapping[str, Any]) -> None:
        """Raise RejectedError if what the list says of an entry already refuses it."""

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """The entry with its files in place; may take long, may run twice."""

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """Make the sample of an entry whose files are in place; RejectedError if its data do not allow it."""


def find_builder(name: str) -> Builder:
    """The builder of that name: one of cryodata's, or a dotted path such as `my_package.my_builder`.

    Raises UsageError listing the known ones.
    """
    module_name = name if "." in name else f"{PACKAGE}.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # the builder is there; something it needs is not
        raise UsageError(
            f"no builder '{name}'; found: {', '.join(builder_names())}, or a dotted path of your own module"
        ) from None
    builder = getattr(module, "BUILDER", None)
    if not isinstance(builder, Builder):
        raise UsageError(f"module {module_name} has no BUILDER with the interface of cryodata.build.builder.Builder")
    return builder


def builder_names() -> list[str]:
    """Names of the builders that come with cryodata."""
    package = importlib.import_module(PACKAGE)
    return sorted(path.stem for folder in package.__path__ for path in Path(folder).glob("[a-z]*.py"))
