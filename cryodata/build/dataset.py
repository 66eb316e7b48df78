"""The whole build: entries, work, version. Progress is told to an observer; nothing is printed here."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from cryodata.build.assemble import Finished, gather, write_version
from cryodata.build.disk import check_disk
from cryodata.build.fetch import discard_models
from cryodata.build.identify import Job
from cryodata.build.kinship.report import missing_ids
from cryodata.build.kinship.splits import Rules, measured, split_by_sequence, telling
from cryodata.build.provenance import provenance_path, write_provenance
from cryodata.build.receipts import Receipt, clear_failure, read_receipt, write_failure
from cryodata.build.request import Prepared, Request, prepare
from cryodata.build.run import Say, available_cores, run
from cryodata.build.work import UNFINISHED, Outcome
from cryodata.build.workspace import remove_stale, temporary_folder
from cryodata.core.entry import Entry, Rejection
from cryodata.core.leakage import Leakage
from cryodata.core.splits import DEFAULT_SCHEME, SCHEMES, assign
from cryodata.errors import CryodataError, UsageError
from cryodata.formats.latest import point_latest
from cryodata.formats.manifest import Manifest


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

    missing: Mapping[str, str] = field(default_factory=dict)
    "ids of the list of splits that the version lacks, and why"


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


Observe = Callable[[int, Outcome | None], None]
"""called as (total, None) once before the work, then as (total, outcome) for each"""


def build(request: Request, observe: Observe = lambda total, outcome: None, say: Say = lambda line: None) -> Report:
    """Build a version.

    Raises UsageError or SourceError before any work, CryodataError if the work itself can't go on.
    """
    began, known = time.time(), prepare(request)
    builder, job, version, folder = known.builder, known.job, known.version, Path(known.job.folder)
    check_disk(request, known)
    with temporary_folder(folder) as temporary:
        outcomes = _work(request, job, known.admitted, temporary, observe, say)
        _check_finished(outcomes)
        if not request.keep_raw:
            discard_models(known.admitted, {key for key, outcome in outcomes.items() if outcome.digest})
        before = known.units.get(DEFAULT_SCHEME, {})
        finished = gather(*_collect(folder, known.admitted, outcomes, known.refused), before)
        splits, leakage = _splits(known, finished, request, temporary, say)
        finished = replace(finished, leakage=leakage)
        manifest, created = write_version(job, builder, folder.name, version, finished, known.parent, splits, temporary)
        point_latest(folder, temporary / "latest")
        if created or not provenance_path(folder, version).exists():
            write_provenance(folder, temporary, version, request, began, outcomes)
    reused = sum(outcome.reused for outcome in outcomes.values())
    missing = _missing(known, finished)
    return Report(manifest, folder, created, finished.rejected, reused, time.time() - began, missing)


def build_part(
    request: Request, observe: Observe = lambda total, outcome: None, say: Say = lambda line: None
) -> PartReport:
    """Work on one part of the entries; several processes may do so at once, on machines that share the root.

    Raises as `build` does.
    """
    if request.part is None:
        raise UsageError("no part was named; expected I/N, such as 1/8")
    began, known, (number, parts) = time.time(), prepare(request), request.part
    check_disk(request, known)
    mine = known.admitted[number - 1 :: parts]
    with temporary_folder(Path(known.job.folder)) as temporary:
        outcomes = _work(request, known.job, mine, temporary, observe, say)
    codes = Counter(outcome.code for outcome in outcomes.values())
    accepted = codes.pop("", 0)
    reused = sum(outcome.reused for outcome in outcomes.values())
    folder, rejected = Path(known.job.folder), dict(sorted(codes.items()))
    return PartReport(folder, request.part, len(mine), accepted, rejected, reused, time.time() - began)


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


def _splits(
    known: Prepared, finished: Finished, request: Request, temporary: Path, say: Say
) -> tuple[dict[str, dict[str, str]], list[Leakage]]:
    """Split of each accepted entry under every scheme, and what these let through."""
    parameters, entries = known.job.parameters, [entry for entry, _ in finished.accepted]
    others = assign(entries, seed=parameters["seed"], listed=known.listed, parent=known.units.get("resolution"))
    rules = Rules(parameters["seed"], parameters["promiscuous"], known.listed, known.units.get("sequence", {}))
    told = [(entry, receipt.content["sequences"]) for entry, receipt in finished.accepted]
    folder, hands = Path(known.job.folder), min(available_cores(), request.crew.workers or available_cores())
    by_sequence, proteins, pairs = split_by_sequence(told, rules, folder, temporary, hands, telling(say))
    splits = {scheme: {**others, "sequence": by_sequence}[scheme] for scheme in SCHEMES}
    return splits, measured(splits, proteins, pairs)


def _missing(known: Prepared, finished: Finished) -> dict[str, str]:
    """Ids of the list of splits that no accepted entry has, and why: none is dropped in silence."""
    refused = {item.entry_id: item.code for item in finished.rejected}
    refused |= {entry.unit: refused[entry.entry_id] for entry in known.chosen if entry.entry_id in refused}
    return missing_ids(known.listed, [entry for entry, _ in finished.accepted], refused)


def _check_finished(outcomes: Mapping[str, Outcome]) -> None:
    left = sorted(outcome.entry_id for outcome in outcomes.values() if outcome.code == UNFINISHED)
    if left:
        raise CryodataError(
            f"{len(left):,} of {len(outcomes):,} entries are not finished ({', '.join(left[:5])}"
            f"{', ...' if len(left) > 5 else ''}): run their parts, or leave out --finish to work on them here"
        )


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
