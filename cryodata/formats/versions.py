"""Versions of datasets, found below a root and opened."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from io import FileIO
from pathlib import Path

from cryodata.core.layout import DATASET_NAME, is_version, manifest_path, safe_relative
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.manifest import Manifest
from cryodata.formats.places import FETCHES, Place, is_remote, list_datasets, normal_root, place_of


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A version found below a root. Objects of it are opened here and nowhere else."""

    root: str
    "absolute path or URL"

    place: Place
    manifest: Manifest
    sha256: str
    "hash of the manifest's bytes: the identity of the version"

    def open(self, relative: str, size: int, sha256: str) -> FileIO:
        """Open an object for reading. Raises DatasetError if it is missing, of another size, or leads out of the
        dataset; from afar also if it has another hash."""
        return self.place.open(safe_relative(relative), size, sha256)

    def check(self, relative: str, size: int) -> None:
        """DatasetError unless there is an object of this size."""
        self.place.check(safe_relative(relative), size)

    def table(self, name: str) -> Path:
        """A file of the tables folder, by its name in the manifest; checked as `open` does, and there as long as
        `Place.hold` says: it is asked for whenever it is read."""
        said = self.manifest.files.get(name)
        if said is None:
            raise DatasetError(f"{self.manifest.tables}/{name}: the manifest knows no such file")
        return self.place.hold(safe_relative(f"{self.manifest.tables}/{name}"), said.bytes, said.sha256)

    def tables(self, prefix: str) -> list[str]:
        """Names of the table files that begin so, sorted."""
        return sorted(name for name in self.manifest.files if name.startswith(prefix))

    def gathered(self, prefix: str) -> list[str]:
        """Names of the table files that begin so, sorted, for whoever reads all of them: those afar have been fetched
        then, several at a time. Raises as `table` does."""
        names = self.tables(prefix)
        if len(names) > 1 and is_remote(self.root):
            with ThreadPoolExecutor(FETCHES, "cryodata-fetch") as threads:
                list(threads.map(self._fetch, names))
        return names

    def _fetch(self, name: str) -> None:
        said = self.manifest.files[name]
        self.open(f"{self.manifest.tables}/{name}", said.bytes, said.sha256).close()


def open_version(
    root: str | os.PathLike[str], name: str, revision: str | None = None, sha256: str | None = None
) -> DatasetVersion:
    """Open NAME or NAME@VERSION below a root, a folder or a URL; the highest version if none is given.

    sha256: of the manifest, if it is known; a copy that was kept may then serve. Raises UsageError for a name or
    version that is not there (the known ones are listed), DatasetError for a manifest that can't be read.
    """
    root = normal_root(root)
    name, _, pinned = name.partition("@")
    if revision and pinned and revision != pinned:
        raise UsageError(f"'{name}@{pinned}' names another version than {revision}; name one")
    revision = revision or pinned or None
    if not DATASET_NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name of a dataset: letters, digits, '.', '_' and '-'")
    place = place_of(root, name)
    version = revision or next(iter(reversed(place.versions())), None)
    try:
        if version is None or not is_version(version):
            raise FileNotFoundError
        raw = place.manifest(version, sha256)
    except FileNotFoundError:
        raise _unknown(root, place, name, revision) from None
    manifest = Manifest.from_bytes(raw, f"{name}/{manifest_path(version)}")
    if manifest.name != name or manifest.version != version:
        where = f"{place}/{manifest_path(version)}"
        raise DatasetError(f"{where}: says {manifest.name}@{manifest.version}; expected {name}@{version}")
    return DatasetVersion(root, place, manifest, hashlib.sha256(raw).hexdigest())


def open_dataset(name: str, revision: str | None, root: str | os.PathLike[str] | None) -> DatasetVersion:
    """The version that a user names: NAME, NAME@VERSION, or the path or URL of the dataset's folder.

    root: CRYODATA_ROOT or the user's cache if not given. Raises as `open_version` does.
    """
    if os.sep in name or name.startswith("~"):
        above, last = os.path.split(name.rstrip(os.sep))
        return open_version(above, last, revision)
    return open_version(root or os.environ.get("CRYODATA_ROOT") or "~/.cache/cryodata", name, revision)


def _unknown(root: str, place: Place, name: str, revision: str | None) -> UsageError:
    """The error for a name or version that is not there."""
    versions = place.versions()
    if versions:
        return UsageError(f"dataset '{name}' in {root} has no version '{revision}'; found: {', '.join(versions)}")
    try:
        known = list(list_datasets(root))
    except UsageError:  # can't be listed
        return UsageError(f"no dataset '{name}' at {root}; expected {place}/latest.json, or a version: {name}@1.0.0")
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "to make one: cryodata build --help"
    return UsageError(f"no dataset '{name}' in {root}; found: {', '.join(known) or 'none'}; {hint}")
