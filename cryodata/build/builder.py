"""What a builder is, and how one is found by its name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from cryodata.core.entry import Entry, Sample
from cryodata.core.parameters import Parameter, count, number, one_of, text
from cryodata.core.schema import DENSITIES, Schema
from cryodata.errors import UsageError
from cryodata.formats.codecs import CODECS
from cryodata.formats.volumes import CODEC

PACKAGE = "cryodata_builders"

DENSITY = Parameter(
    "density",
    "uint16",
    one_of(*DENSITIES),
    True,
    "uint16: in steps of 1/1024, with a scale factor; float16: the same values, without one; float32: exact",
)
"""for a builder to declare, and what holds for those that do not. Density that does not lie from 0 to 1 is float16 with
all of its steps by both of the first. Measured in benchmarks/formats."""

STORAGE = (
    Parameter(
        "codec",
        CODEC,
        one_of(*CODECS),
        True,
        "how density is compressed: lz4, or zstd, which is smaller and takes twice the time to decode",
    ),
)
"settings that every builder takes, of how its volumes are stored"

SELECTION = (
    Parameter("sample", 1.0, number, False, "share of the units to build, nested and stable: 0.25 is part of 0.5"),
    Parameter("seed", 0, count, False, "seed of the splits"),
    Parameter("splits", "", text, False, "CSV file with columns id,split; an id is an entry or an archive id"),
    Parameter(
        "unknown_ids",
        "refuse",
        one_of("refuse", "report"),
        False,
        "ids in the list of splits that the source does not have: refuse the list, or report them and go on",
    ),
    Parameter("parent", "auto", text, False, "version whose units keep their split: auto (highest), none, or 1.2.3"),
    Parameter(
        "promiscuous",
        "auto",
        one_of("auto", "join", "share"),
        False,
        "splits by sequence: join keeps entries together that share any chain, share only those that share a tenth of "
        "the smaller one; auto: join below 1,000 entries",
    ),
)
"settings that every builder takes; none of them changes a volume"


@runtime_checkable
class Builder(Protocol):
    """Turns entries into samples. One dataset, one file; `BUILDER` in its module is the instance."""

    name: str
    "name of the builder and, unless --as says otherwise, of the dataset"

    recipes: Mapping[str, int]
    "revision of each recipe, the default first: raised whenever the bytes it makes change"

    parameters: Sequence[Parameter]
    "its own settings, besides STORAGE and SELECTION"

    def schema(self, recipe: str, parameters: Mapping[str, Any]) -> Schema:
        """Arrays and facts of its samples, by its resolved settings."""

    def license_of(self, entries: Sequence[Entry]) -> str:
        """SPDX identifier for a dataset of these entries; `unknown` if the builder can't tell."""

    def entries(self, source: Path | str | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """All entries of a source, a folder or the address of one; opens no map. folder: of the dataset, where a
        builder that makes or fetches its own input may put it."""

    def admit(self, entry: Entry, parameters: Mapping[str, Any]) -> None:
        """Raise RejectedError if what the list says of an entry already refuses it."""

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """The entry with its files in place; may take long, may run twice."""

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """Make the sample of an entry whose files are in place; RejectedError if its data do not allow it."""


def settings_of(builder: Builder) -> list[Parameter]:
    """All settings of a build by a builder: its own, and those that every builder takes. UsageError if it has one of
    its own by the name of one of these: one of the two would be lost."""
    common = (*STORAGE, *SELECTION)
    own = [item for item in builder.parameters if item not in common]
    clash = sorted({item.name for item in own} & {item.name for item in common})
    if clash:
        raise UsageError(
            f"builder {builder.name}: its own setting {', '.join(clash)} has the name of one that every builder takes; "
            "give it another name"
        )
    return [*own, *common]


def find_builder(name: str) -> Builder:
    """The builder of that name: one of cryodata's, a file such as `my_builder.py`, or a module such as
    `my_package.my_builder`, looked for on the path and in the current folder.

    Raises UsageError listing the known ones.
    """
    try:
        if name.endswith(".py"):
            module = _module_of_file(Path(name))
        elif name in builder_names():
            module = importlib.import_module(f"{PACKAGE}.{name}")
        else:
            module = _own_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise UsageError(f"builder '{name}' needs a module that is not installed: {error.name}") from None
        known = f"{', '.join(builder_names())}, or a file my_builder.py or a module of your own"
        raise UsageError(f"no builder '{name}'; found: {known}") from None
    builder = getattr(module, "BUILDER", None)
    if not isinstance(builder, Builder):
        raise UsageError(f"{name} has no BUILDER with the interface of cryodata.build.builder.Builder")
    return builder


def _own_module(name: str) -> ModuleType:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except (TypeError, ValueError):  # `./x`, `..`: not the name of a module
        raise ModuleNotFoundError(name=name) from None


@lru_cache
def _module_of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"cryodata_own_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"no builder '{path}': there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for dataclasses and pickles of the module
    spec.loader.exec_module(module)
    return module


def builder_names() -> list[str]:
    """Names of the builders that come with cryodata."""
    package = importlib.import_module(PACKAGE)
    return sorted(path.stem for folder in package.__path__ for path in Path(folder).glob("[a-z]*.py"))
