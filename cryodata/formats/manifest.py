"""The manifest of a version: one small JSON file, written last, that says what a dataset is and hashes the rest."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cryodata.core.layout import DATASET_NAME, FORMAT_VERSION, canonical_json, manifest_path, safe_relative, version_key
from cryodata.core.schema import Schema
from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import DatasetError, UsageError

MAX_MANIFEST_BYTES = 1 << 20
"a manifest is under 100 kB; more is not read"


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

    def to_bytes(self) -> bytes:
        """Canonical JSON, one line."""
        value = {name: getattr(self, name) for name in self.__slots__ if name not in ("schema", "files")}
        value["schema"] = self.schema.to_json()
        value["files"] = {name: asdict(file) for name, file in self.files.items()}
        return canonical_json({"format": FORMAT_VERSION, **value}) + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes, where: str) -> Manifest:
        """The inverse of `to_bytes`. Raises DatasetError for anything that is no manifest of this format."""
        try:
            value = json.loads(raw)
            found = value.pop("format")
            if found != FORMAT_VERSION:
                raise ValueError(f"format {found}; this cryodata reads format {FORMAT_VERSION}")
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


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A version found below a root on this machine."""

    root: Path
    manifest: Manifest
    sha256: str
    "hash of the manifest's bytes: the identity of the version"

    @property
    def folder(self) -> Path:
        """Folder of the dataset."""
        return self.root / self.manifest.name

    def path(self, relative: str) -> Path:
        """A file or folder of the dataset; DatasetError if the path leads out of it."""
        return self.folder / safe_relative(relative)

    def file(self, relative: str, size: int) -> Path:
        """A file of the dataset that may be opened: inside the folder, links followed, and as long as it should be.

        Raises DatasetError if it is missing, leads out, is a pipe or device, or has another size.
        """
        path = self.path(relative)
        try:
            found = path.stat()
        except OSError as error:
            raise DatasetError(f"{relative}: {error.strerror}; expected {size:,} bytes in {self.folder}") from None
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise DatasetError(f"{relative}: a link that leads out of {self.folder}; do not trust the dataset")
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise DatasetError(f"{relative}: {found.st_size:,} bytes; expected a file of {size:,}")
        return path

    def table(self, name: str) -> Path:
        """Path of a file in the tables folder, by its name in the manifest; checked as `file` does."""
        said = self.manifest.files.get(name)
        if said is None:
            raise DatasetError(f"{self.manifest.tables}/{name}: the manifest knows no such file")
        return self.file(f"{self.manifest.tables}/{name}", said.bytes)

    def tables(self, prefix: str) -> list[str]:
        """Names of the table files that begin so, sorted."""
        return sorted(name for name in self.manifest.files if name.startswith(prefix))


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


def list_datasets(root: Path) -> dict[str, list[str]]:
    """Versions of every dataset below a root, lowest first."""
    found = {folder.name: list_versions(folder) for folder in sorted(root.glob("*")) if folder.is_dir()}
    return {name: versions for name, versions in found.items() if versions}


def list_versions(folder: Path) -> list[str]:
    """Versions of the dataset in a folder, lowest first."""
    names = (path.stem for path in (folder / "versions").glob("*.json"))
    return sorted((name for name in names if _is_version(name)), key=version_key)


def open_version(root: Path, name: str, revision: str | None = None) -> DatasetVersion:
    """Open NAME or NAME@VERSION below a root; the highest version if none is given.

    Raises UsageError for a name or version that is not there (the known ones are listed), DatasetError for a manifest
    that can't be read.
    """
    name, _, pinned = name.partition("@")
    if revision and pinned and revision != pinned:
        raise UsageError(f"'{name}@{pinned}' names another version than {revision}; name one")
    revision = revision or pinned or None
    if not DATASET_NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name of a dataset: letters, digits, '.', '_' and '-'")
    versions = list_versions(root / name)
    if not versions:
        known = list(list_datasets(root))
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "to make one: cryodata build --help"
        raise UsageError(f"no dataset '{name}' in {root}; found: {', '.join(known) or 'none'}; {hint}")
    if revision is not None and revision not in versions:
        raise UsageError(f"dataset '{name}' in {root} has no version '{revision}'; found: {', '.join(versions)}")
    path = root / name / manifest_path(revision or versions[-1])
    raw = _read_manifest(path)
    manifest = Manifest.from_bytes(raw, f"{name}/{path.parent.name}/{path.name}")
    if manifest.name != name or manifest.version != path.stem:
        raise DatasetError(f"{path}: says {manifest.name}@{manifest.version}; expected {name}@{path.stem}")
    return DatasetVersion(root, manifest, hashlib.sha256(raw).hexdigest())


def create_manifest(folder: Path, manifest: Manifest, temporary: Path) -> bool:
    """Put a manifest in its place, once and for all. Returns False if the identical one is there already.

    temporary: a file on the same file system to write first; it is removed. Raises UsageError if another result has
    this version.
    """
    target = folder / manifest_path(manifest.version)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(manifest.to_bytes())
    try:
        os.link(temporary, target)  # fails if the target exists, and never shows half a file
    except FileExistsError:
        check_free(folder, manifest)
        return False
    finally:
        temporary.unlink()
    return True


def check_free(folder: Path, manifest: Manifest) -> None:
    """Raise UsageError if another result has this version."""
    target = folder / manifest_path(manifest.version)
    if target.exists() and target.read_bytes() != manifest.to_bytes():
        raise UsageError(
            f"version {manifest.version} of '{manifest.name}' exists with another result and is never replaced; "
            f"build a new one with --version {next_version(list_versions(folder))}"
        )


def next_version(versions: list[str]) -> str:
    """The version to propose after the given ones: 0.1.0, then the next minor."""
    if not versions:
        return "0.1.0"
    major, minor, _ = version_key(versions[-1])
    return f"{major}.{minor + 1}.0"


def _is_version(name: str) -> bool:
    try:
        version_key(name)
    except ValueError:
        return False
    return True


def _read_manifest(path: Path) -> bytes:
    if not path.is_file():  # a pipe would wait for a writer
        raise DatasetError(f"{path}: is no file")
    with open(path, "rb") as file:
        raw = file.read(MAX_MANIFEST_BYTES + 1)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise DatasetError(f"{path}: more than {MAX_MANIFEST_BYTES:,} bytes; a manifest has under 100,000")
    return raw
