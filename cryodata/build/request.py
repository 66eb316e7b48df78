"""What a user asks of a build, and what follows from it before any work."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryodata.build.assemble import parent_splits
from cryodata.build.builder import Builder, find_builder, settings_of
from cryodata.build.catalog import read_split_list
from cryodata.build.edited import edited
from cryodata.build.identify import Job, without_parent
from cryodata.build.run import Crew
from cryodata.build.selection import admit, check_listed, recognised, select
from cryodata.build.workspace import remove_stale
from cryodata.core.entry import Entry, Rejection
from cryodata.core.layout import DATASET_NAME, FORMAT_VERSION, version_key
from cryodata.core.parameters import resolve
from cryodata.core.schema import Schema
from cryodata.core.splits import fixed_splits
from cryodata.errors import UsageError
from cryodata.formats.manifest import Manifest, list_versions, next_version
from cryodata.formats.tables import reserved_columns
from cryodata.formats.versions import open_version


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks of a build."""

    builder: str
    root: Path
    source: Path | str | None = None
    "folder or address with entries.csv; None takes what the builder takes by itself, such as the archive"

    name: str = ""
    "of the dataset; the builder's if empty"

    version: str | None = None
    recipe: str = ""
    "the builder's first if empty"

    settings: Sequence[str] = ()
    "KEY=VALUE"

    crew: Crew = field(default_factory=Crew)
    part: tuple[int, int] | None = None
    "(I, N): work on the I-th of N parts of the entries, counted from 1, and make no version"

    finish: bool = False
    "work on nothing: make the version of what the parts have made"

    limit: int | None = None
    ids: Path | None = None
    "file with an entry id a line"

    catalog: Path | None = None
    "Parquet table of the entries to take and of what is said of them, as a dry run writes it and somebody edits it"

    keep_raw: bool = False
    "whether fetched files stay when they are no longer needed"

    disk_check: bool = True
    "whether the build is refused where the disk has too little room for it"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is known before the work."""

    builder: Builder
    job: Job
    version: str
    chosen: Sequence[Entry]
    admitted: Sequence[Entry]
    refused: Sequence[Rejection]
    listed: Mapping[str, str]
    parent: str | None
    units: Mapping[str, Mapping[str, str]]
    "split of each unit of the parent version, by scheme"


def prepare(request: Request) -> Prepared:
    """Choose entries and version. Raises UsageError or SourceError."""
    builder = find_builder(request.builder)
    remove_stale(request.root / (request.name or builder.name))
    job, version, listed = job_of(request, builder)
    folder, schema = Path(job.folder), _checked_schema(builder, job)
    listing = builder.entries(request.source, job.parameters, folder)
    if request.catalog is not None:
        listing = edited(listing, request.catalog, reserved_columns(schema), folder)
    listed = recognised(listed, listing)
    if job.parameters["unknown_ids"] == "refuse":
        check_listed(listed, listing)
    entries = select(listing, request.ids, request.limit, job.parameters)
    admitted, refused = admit(builder, entries, job.parameters)
    parent, units = parent_splits(request.root, folder.name, version, job.parameters["parent"])
    fixed_splits(admitted, listed, {})  # refuses a bad list before the work
    return Prepared(builder, job, version, entries, admitted, refused, listed, parent, units)


def _checked_schema(builder: Builder, job: Job) -> Schema:
    """What the builder declares. UsageError where no manifest could hold it, before any work."""
    schema = builder.schema(job.recipe, job.parameters)
    try:
        return Schema.from_json(schema.to_json())
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"builder {builder.name}: no dataset can have its schema ({error})") from None


def job_of(request: Request, builder: Builder) -> tuple[Job, str, dict[str, str]]:
    """The job, the version to make and the user's list of splits."""
    name = request.name or builder.name
    if not DATASET_NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name of a dataset: letters, digits, '.', '_' and '-', 80 at most")
    recipe = request.recipe or next(iter(builder.recipes))
    if recipe not in builder.recipes:
        raise UsageError(f"builder {builder.name} has no recipe '{recipe}'; found: {', '.join(builder.recipes)}")
    parameters = resolve(settings_of(builder), request.settings)
    listed: dict[str, str] = {}
    if parameters["splits"]:
        path = Path(parameters["splits"])
        listed = read_split_list(path)
        parameters["splits"] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    folder = request.root / name
    job = Job(request.builder, recipe, parameters, str(folder), request.keep_raw)
    return job, _version(job, builder, request), listed


def _version(job: Job, builder: Builder, request: Request) -> str:
    """The version to make. One that is there may be asked for again by the settings that made it, and only by those:
    the same command twice is nothing to do."""
    folder = Path(job.folder)
    versions = list_versions(folder)
    if request.version is not None:
        try:
            version_key(request.version)
        except ValueError as error:
            raise UsageError(f"--version: {error}") from None
    version = request.version or (versions[-1] if versions else next_version([]))
    if version not in versions:
        return version
    changed = _changed_settings(open_version(request.root, folder.name, version).manifest, job, builder)
    if changed and request.version is None:
        raise UsageError(
            f"dataset '{folder.name}' has the versions {', '.join(versions)}, and {version} was made with other "
            f"settings: {'; '.join(changed)}; say which one to build, such as --version {next_version(versions)}"
        )
    if changed:
        raise UsageError(
            f"version {version} of '{folder.name}' was made with other settings and is never replaced: "
            f"{'; '.join(changed)}; build a new one with --version {next_version(versions)}"
        )
    return version


def _changed_settings(made: Manifest, job: Job, builder: Builder) -> list[str]:
    """How a version that is there was made otherwise, in words."""
    recorded = without_parent(job.parameters)
    revision = builder.recipes[job.recipe]
    now = {"builder": builder.name, "recipe": job.recipe, "revision": revision, "format": FORMAT_VERSION, **recorded}
    then = {"builder": made.builder, "recipe": made.recipe, "revision": made.revision, "format": made.format}
    then |= made.parameters
    return [
        f"{key} was {then.get(key, 'no setting')}, is {now.get(key, 'no setting')}"
        for key in sorted(now | then)
        if now.get(key) != then.get(key)
    ]
