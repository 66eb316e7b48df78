"""The manifest of a version: one small JSON file, written last, that says what a dataset is and hashes the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryodata.core.layout import (
    CHECKSUM,
    FORMAT_VERSION,
    READABLE_FORMATS,
    checksum,
    is_version,
    manifest_path,
    parse_json,
    safe_relative,
    sealed,
    version_key,
)
from cryodata.core.schema import Schema
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.naming import named_once

MAX_MANIFEST_BYTES = 4 << 20
"a manifest names its tables in 150 bytes each, of which 10^6 entries have 16,600; more is not read"


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of the tables folder."""

    bytes: int
    sha256: str
    rows: int | None
    "None for files that are no tables"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version is. Holds no time, host or path of a machine."""

    name: str
    version: str
    parent: str | None
    "version whose units keep their split; None for the first"

    builder: str
    recipe: str
    revision: int
    parameters: Mapping[str, Any]
    "resolved parameters, those that change bytes and those that select or split"

    schema: Schema
    default_scheme: str
    schemes: Mapping[str, tuple[str, ...]]
    "split names of each scheme"

    box: int
    core: int
    "voxels a side of the sub-grids in the tables"

    counts: Mapping[str, Any]
    tables: str
    "folder of the tables"

    files: Mapping[str, TableFile]
    license: str
    format: int = FORMAT_VERSION
    "of its volumes and tables, one of READABLE_FORMATS"

    def to_bytes(self) -> bytes:
        """As a file: the manifest is what hashes everything, and nothing hashes it."""
        value = {name: getattr(self, name) for name in self.__slots__ if name not in ("schema", "files")}
        value["schema"] = self.schema.to_json()
        value["files"] = {name: asdict(file) for name, file in self.files.items()}
        return sealed(value)

    @classmethod
    def from_bytes(cls, raw: bytes, where: str) -> Manifest:
        """The inverse of `to_bytes`. Raises DatasetError for anything that is no manifest of this format."""
        try:
            value = parse_json(raw)
            if type(value["format"]) is not int or value["format"] not in READABLE_FORMATS:
                known = " and ".join(map(str, READABLE_FORMATS))
                raise ValueError(f"format {value['format']}; this cryodata reads {known}")
            said = value.pop(CHECKSUM, None)  # the first datasets have none
            if said not in (None, checksum(value)):
                raise ValueError(f"its checksum is {checksum(value)}; it says {str(said)[:80]}")
            value["schema"] = Schema.from_json(value["schema"])
            value["files"] = {safe_relative(name): TableFile(**file) for name, file in value["files"].items()}
            value["schemes"] = {scheme: tuple(names) for scheme, names in value["schemes"].items()}
            safe_relative(value["tables"])
            version_key(value["version"])
            manifest = cls(**value)
            _check_types(manifest)
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(f"{where}: no manifest of a dataset ({type(error).__name__}: {error})") from None


def _check_types(manifest: Manifest) -> None:
    """Raise TypeError or ValueError for values that readers could stumble over."""
    texts = (manifest.name, manifest.builder, manifest.recipe, manifest.license, manifest.default_scheme)
    numbers = [manifest.box, manifest.core, manifest.revision]
    numbers += [file.bytes for file in manifest.files.values()]
    numbers += [file.rows for file in manifest.files.values() if file.rows is not None]
    numbers += [manifest.counts[key] for key in ("entries", "voxels", "volume_bytes")]
    tallies = ("entries_by_split", "entries_by_resolution", "rejected", "subgrids", "atoms")
    numbers += [count for key in tallies for count in manifest.counts[key].values()]
    if not all(isinstance(text, str) for text in (*texts, manifest.parent or "")):
        raise TypeError("a name is no text")
    if not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
        raise TypeError("a count is no whole number of at least 0")
    if not all(isinstance(split, str) for splits in manifest.schemes.values() for split in splits):
        raise TypeError("a split is no text")
    if manifest.default_scheme not in manifest.schemes or not isinstance(manifest.parameters, dict):
        raise ValueError("no default scheme among the schemes, or no parameters")
    SubgridGrid.uniform((1, 1, 1), manifest.box, manifest.core)


def list_versions(folder: Path) -> list[str]:
    """Versions of the dataset in a folder, lowest first."""
    names = (path.stem for path in (folder / "versions").glob("*.json"))
    return sorted((name for name in names if is_version(name)), key=version_key)


def create_manifest(folder: Path, manifest: Manifest, temporary: Path) -> bool:
    """Put a manifest in its place, once and for all. Returns False if the identical one is there already.

    temporary: a file on the same file system to write first; it is removed. Raises UsageError if another result has
    this version.
    """
    target = folder / manifest_path(manifest.version)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(manifest.to_bytes())
    if named_once(temporary, target):
        return True
    check_free(folder, manifest)
    return False


def check_free(folder: Path, manifest: Manifest) -> None:
    """Raise UsageError if another result has this version."""
    target = folder / manifest_path(manifest.version)
    if target.exists() and (there := target.read_bytes()) != manifest.to_bytes():
        raise UsageError(
            f"version {manifest.version} of '{manifest.name}' exists with another result "
            f"({_what_differs(there, manifest)}) and is never replaced; "
            f"build a new one with --version {next_version(list_versions(folder))}"
        )


def _what_differs(there: bytes, here: Manifest) -> str:
    """What of a version is another, from the two manifests alone."""
    try:
        old = Manifest.from_bytes(there, "")
    except DatasetError:
        return "its manifest can't be read"
    names = sorted({*old.files, *here.files})
    tables = {name.partition(".")[0].partition("-")[0] for name in names if old.files.get(name) != here.files.get(name)}
    tables &= {"entries", "rejected", "atoms", "subgrids"}  # the card and the list of objects follow from these
    told = [f"{old.counts['entries']:,} entries there, {here.counts['entries']:,} here"]
    told += [f"other tables: {', '.join(sorted(tables))}"] * bool(tables)
    return "; ".join(told)


def next_version(versions: list[str]) -> str:
    """The version to propose after the given ones: 0.1.0, then the next minor."""
    if not versions:
        return "0.1.0"
    major, minor, _ = version_key(versions[-1])
    return f"{major}.{minor + 1}.0"


def read_manifest(path: Path) -> bytes:
    """Bytes of a manifest. FileNotFoundError if there is none, DatasetError if it is none by its kind or length."""
    path.lstat()
    if not path.is_file():  # a pipe would wait for a writer
        raise DatasetError(f"{path}: is no file")
    with open(path, "rb") as file:
        raw = file.read(MAX_MANIFEST_BYTES + 1)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise DatasetError(f"{path}: more than {MAX_MANIFEST_BYTES:,} bytes; no manifest has as many")
    return raw
