"""The whole build: entries, work, version. Progress is told to an observer; nothing is printed here."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from importlib.metadata import version as library_version
from pathlib import Path

from cryodata.build.assemble import gather, parent_splits, without_parent, write_latest, write_version
from cryodata.build.builder import SELECTION, Builder, find_builder
from cryodata.build.catalog import read_split_list
from cryodata.build.fetch import discard_models
from cryodata.build.identify import Job
from cryodata.build.receipts import Receipt, clear_failure, read_receipt, write_failure
from cryodata.build.run import Crew, Say, run
from cryodata.build.selection import admit, check_listed, select
from cryodata.build.work import UNFINISHED, Outcome
from cryodata.build.workspace import remove_stale, temporary_folder
from cryodata.core.entry import Entry, Rejection
from cryodata.core.layout import DATASET_NAME, version_key
from cryodata.core.parameters import resolve
from cryodata.core.splits import assign
from cryodata.errors import CryodataError, UsageError
from cryodata.formats.manifest import Manifest, list_versions, next_version
from cryodata.formats.versions import open_version

LIBRARIES = ("cryodata", "numpy", "pyarrow", "zarr", "numcodecs", "gemmi", "mrcfile", "isal")
"whose versions the provenance names: those that touch the bytes"


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

    keep_raw: bool = False
    "whether fetched files stay when they are no longer needed"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a build did."""

    manifest: Manifest
    folder: Path
    created: bool
    "False if this version was there already, the same"

    rejected: Sequence[Rejection]
    reused: int
    "entries finished by an earlier run"

    seconds: float


@dataclass(frozen=True, slots=True)
class PartReport:
    """What was done of a part."""

    folder: Path
    part: tuple[int, int]
    entries: int
    accepted: int
    rejected: Mapping[str, int]
    "by code"

    reused: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What is known before the work."""

    builder: Builder
    job: Job
    version: str
    admitted: Sequence[Entry]
    refused: Sequence[Rejection]
    listed: Mapping[str, str]
    parent: str | None
    units: Mapping[str, str]


Observe = Callable[[int, Outcome | None], None]
"""called as (total, None) once before the work, then as (total, outcome) for each"""


def build(request: Request, observe: Observe = lambda total, outcome: None, say: Say = lambda line: None) -> Report:
    """Build a version.

    Raises UsageError or SourceError before any work, CryodataError if the work itself can't go on.
    """
    began, known = time.time(), _prepare(request)
    builder, job, version, folder = known.builder, known.job, known.version, Path(known.job.folder)
    with temporary_folder(folder) as temporary:
        outcomes = _work(request, job, known.admitted, temporary, observe, say)
        _check_finished(outcomes)
        if not request.keep_raw:
            discard_models(known.admitted, {key for key, outcome in outcomes.items() if outcome.digest})
        finished = gather(*_collect(folder, known.admitted, outcomes, known.refused))
        accepted = [entry for entry, _ in finished.accepted]
        splits = assign(accepted, seed=job.parameters["seed"], listed=known.listed, parent=known.units)
        manifest, created = write_version(job, builder, folder.name, version, finished, known.parent, splits, temporary)
        write_latest(folder, temporary)
        if created or not provenance_path(folder, version).exists():
            _write_provenance(folder, temporary, version, request, began, outcomes)
    reused = sum(outcome.reused for outcome in outcomes.values())
    return Report(manifest, folder, created, finished.rejected, reused, time.time() - began)


def build_part(
    request: Request, observe: Observe = lambda total, outcome: None, say: Say = lambda line: None
) -> PartReport:
    """Work on one part of the entries; several processes may do so at once, on machines that share the root.

    Raises as `build` does.
    """
    if request.part is None:
        raise UsageError("no part was named; expected I/N, such as 1/8")
    began, known, (number, parts) = time.time(), _prepare(request), request.part
    mine = known.admitted[number - 1 :: parts]
    with temporary_folder(Path(known.job.folder)) as temporary:
        outcomes = _work(request, known.job, mine, temporary, observe, say)
    codes = Counter(outcome.code for outcome in outcomes.values())
    accepted = codes.pop("", 0)
    reused = sum(outcome.reused for outcome in outcomes.values())
    folder, rejected = Path(known.job.folder), dict(sorted(codes.items()))
    return PartReport(folder, request.part, len(mine), accepted, rejected, reused, time.time() - began)


def _prepare(request: Request) -> _Prepared:
    builder = find_builder(request.builder)
    remove_stale(request.root / (request.name or builder.name))
    job, version, listed = job_of(request, builder)
    folder = Path(job.folder)
    listing = builder.entries(request.source, job.parameters, folder)
    check_listed(listed, listing)
    entries = select(listing, request.ids, request.limit, job.parameters)
    admitted, refused = admit(builder, entries, job.parameters)
    parent, units = parent_splits(request.root, folder.name, version, job.parameters["parent"])
    assign(admitted, seed=job.parameters["seed"], listed=listed, parent=units)  # refuses a bad list before the work
    return _Prepared(builder, job, version, admitted, refused, listed, parent, units)


def _work(
    request: Request, job: Job, entries: Sequence[Entry], temporary: Path, observe: Observe, say: Say
) -> dict[str, Outcome]:
    """What became of each entry, kept in a file meanwhile: there may be very many."""
    observe(len(entries), None)
    folder, path = Path(job.folder), temporary / "outcomes"
    try:
        working = closing(run(replace(job, known_only=request.finish), entries, request.crew, say))
        with path.open("w", encoding="utf-8") as journal, working as coming:
            for outcome in coming:
                journal.write(json.dumps(astuple(outcome)) + "\n")
                if outcome.digest:
                    clear_failure(folder, outcome.entry_id)
                elif not request.finish:
                    write_failure(folder, outcome.entry_id, outcome.code, outcome.message)
                observe(len(entries), outcome)
    except BaseException:
        remove_stale(folder)  # of processes that were ended in the middle of an entry
        raise
    with path.open(encoding="utf-8") as journal:
        return {outcome.entry_id: outcome for outcome in (Outcome(*json.loads(line)) for line in journal)}


def _check_finished(outcomes: Mapping[str, Outcome]) -> None:
    left = sorted(outcome.entry_id for outcome in outcomes.values() if outcome.code == UNFINISHED)
    if left:
        raise CryodataError(
            f"{len(left):,} of {len(outcomes):,} entries are not finished ({', '.join(left[:5])}"
            f"{', ...' if len(left) > 5 else ''}): run their parts, or leave out --finish to work on them here"
        )


def job_of(request: Request, builder: Builder) -> tuple[Job, str, dict[str, str]]:
    """The job, the version to make and the user's list of splits."""
    name = request.name or builder.name
    if not DATASET_NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name of a dataset: letters, digits, '.', '_' and '-', 80 at most")
    recipe = request.recipe or next(iter(builder.recipes))
    if recipe not in builder.recipes:
        raise UsageError(f"builder {builder.name} has no recipe '{recipe}'; found: {', '.join(builder.recipes)}")
    parameters = resolve([*builder.parameters, *SELECTION], request.settings)
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
            f"dataset '{folder.name}' has the versions {', '.join(versions)}; say which one to build, such as "
            f"--version {next_version(versions)}"
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
    now = {"builder": builder.name, "recipe": job.recipe, "revision": builder.recipes[job.recipe], **recorded}
    then = {"builder": made.builder, "recipe": made.recipe, "revision": made.revision, **made.parameters}
    return [
        f"{key} was {then.get(key)}, is {now.get(key)}" for key in sorted(now | then) if now.get(key) != then.get(key)
    ]


def _collect(
    folder: Path, admitted: Sequence[Entry], outcomes: Mapping[str, Outcome], refused: Sequence[Rejection]
) -> tuple[list[tuple[Entry, Receipt]], list[Rejection]]:
    accepted, rejected = [], list(refused)
    for entry in admitted:
        outcome = outcomes[entry.entry_id]
        if outcome.code:
            rejected.append(Rejection(entry.entry_id, outcome.code, outcome.message))
            continue
        receipt = read_receipt(folder, entry, outcome.digest, hashed=False)
        if receipt is None:
            raise CryodataError(f"entry {entry.entry_id}: its receipt or volume vanished from {folder}")
        accepted.append((entry, receipt))
    return accepted, rejected


def provenance_path(folder: Path, version: str) -> Path:
    """What is noted of how a version was made."""
    return folder / "provenance" / f"{version}.json"


def _whole_source(source: Path | str | None) -> str | None:
    return str(source.resolve()) if isinstance(source, Path) else source


def _write_provenance(
    folder: Path, temporary: Path, version: str, request: Request, began: float, outcomes: Mapping[str, Outcome]
) -> None:
    """When, where and with what a version was made: for people; no hash covers it."""
    value = {
        "version": version,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(time.time() - began, 3),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: library_version(name) for name in LIBRARIES},
        "builder": str(Path(request.builder).resolve()) if request.builder.endswith(".py") else request.builder,
        "recipe": request.recipe,
        "source": _whole_source(request.source),
        "settings": list(request.settings),
        "limit": request.limit,
        "ids": request.ids.read_text(encoding="utf-8").split() if request.ids is not None else None,
        "workers": request.crew.workers,
        "scheduler": request.crew.scheduler,
        "outcomes": dict(Counter(outcome.code or "accepted" for outcome in outcomes.values())),
        "entry_seconds": {key: round(outcome.seconds, 3) for key, outcome in sorted(outcomes.items())},
    }
    target = provenance_path(folder, version)
    target.parent.mkdir(exist_ok=True)
    (temporary / "provenance").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary / "provenance", target)
