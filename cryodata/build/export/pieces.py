"""Writing an export piece by piece: finished ones are not made again, half-written ones are never believed.

A piece is made in a temporary folder, its files are renamed into their places, and then a note of them is written
below DIR/.export. What has no note, or not the files that its note tells of, is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cryodata.build.admission import memory_available
from cryodata.build.decoded import Decoder
from cryodata.build.export import Chosen, Exported, Layout, Observe, Piece, Wish
from cryodata.build.published import in_parallel
from cryodata.build.run import available_cores
from cryodata.build.subset import ROW, Subset, chosen_entries, scheme_of
from cryodata.build.workspace import remove_stale, temporary_folder, write_json
from cryodata.core.layout import canonical_json
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.versions import DatasetVersion

NOTES = ".export"
"folder of what was made"

PLAIN = re.compile(r"[A-Za-z0-9_]{1,80}")
"names of splits: they become names of files"

SPARE = 64 << 20
"bytes of disk that stay free"

USED = 0.8
"of the memory that is available"


def export_pieces(opened: DatasetVersion, to: Path, layout: str, observe: Observe, wish: Wish) -> Exported:
    """Write, or plan, an export. Raises as `export_version` does."""
    chosen = _chosen(opened, wish.subset)
    made: Layout = import_module(f"cryodata.build.export.{layout}").lay_out(chosen)
    said = _identity(opened, chosen, layout)
    _check_folder(to, said)
    done = {piece.name: note for piece in made.pieces if (note := _note(to, piece.name)) is not None}
    lacking = [piece for piece in made.pieces if piece.name not in done]
    advice = made.advice.format(folder=to)
    if wish.dry_run:
        files = sum(piece.files for piece in made.pieces) + len(made.front)
        size = sum(piece.bytes for piece in made.pieces)
        return Exported(to, files, size, sum(len(note) for note in done.values()), advice, dry_run=True)
    _check_room(to, sum(piece.bytes for piece in lacking))
    (to / NOTES).mkdir(parents=True, exist_ok=True)
    write_json(to / NOTES / "export.json", said)
    remove_stale(to)
    observe(len(done), len(made.pieces))
    reused = sum(len(note) for note in done.values())
    largest = max((piece.memory for piece in lacking), default=0)
    for name, note in in_parallel(lambda piece: _make(to, piece), lacking, threads_for(largest, wish.workers)):
        done[name] = note
        observe(len(done), len(made.pieces))
    size = sum(sum(note.values()) for note in done.values())
    with temporary_folder(to) as temporary:
        for path, parts in made.front.items():
            with open(temporary / "text", "w", encoding="utf-8", newline="\n") as file:
                file.writelines(parts())
            size += (temporary / "text").stat().st_size
            _place(temporary / "text", to / path)
    files = sum(len(note) for note in done.values()) + len(made.front)
    return Exported(to, files, size, reused, advice)


def _chosen(opened: DatasetVersion, subset: Subset) -> Chosen:
    rows = chosen_entries(opened, subset).to_pylist()
    if not rows:
        raise UsageError(f"{opened.manifest.name}@{opened.manifest.version}: no entry is chosen; nothing to export")
    scheme = scheme_of(opened, subset)
    strange = [name for name in opened.manifest.schemes[scheme] if not PLAIN.fullmatch(name)]
    if strange:
        raise DatasetError(f"the scheme {scheme} has a split '{strange[0][:80]}', which can't name a file")
    twice = [key for key, times in Counter(row["entry_id"].casefold() for row in rows).items() if times > 1]
    if twice:
        raise DatasetError(f"entries.parquet: the id {twice[0]} is there more than once; an export would mix the two")
    return Chosen(Decoder(opened), rows, scheme)


def _identity(opened: DatasetVersion, chosen: Chosen, layout: str) -> dict[str, Any]:
    """What a folder is the export of: with the same it is gone on with, with another it is left alone."""
    numbers = canonical_json([chosen.scheme, [row[ROW] for row in chosen.rows]])
    return {
        "format": layout,
        "dataset": chosen.title,
        "manifest": opened.sha256,
        "entries": len(chosen.rows),
        "chosen": hashlib.sha256(numbers).hexdigest(),
    }


def _check_folder(to: Path, said: Mapping[str, Any]) -> None:
    """UsageError for a folder that holds something else than what an earlier run of this export made."""
    try:
        there = json.loads((to / NOTES / "export.json").read_bytes())
    except (OSError, ValueError):
        others = [path.name for path in to.glob("*") if not path.name.startswith(".")] if to.is_dir() else []
        if others:
            raise UsageError(
                f"{to} holds other things, such as {min(others)}; name a folder that is new or empty"
            ) from None
        return
    begun = any(path.name != "export.json" for path in (to / NOTES).iterdir())
    if there != said and begun:
        was = f"{there.get('dataset')} as {there.get('format')}, {there.get('entries')} entries"
        raise UsageError(f"{to} is another export ({was}); name another folder, or remove that one")


def _note(to: Path, name: str) -> dict[str, int] | None:
    """Bytes of the files of a finished piece by path, if they are all there and as long as they were."""
    try:
        note = json.loads((to / NOTES / f"{name}.json").read_bytes())
        whole = all((to / path).stat().st_size == size for path, size in note.items())
        return dict(note) if whole else None
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _check_room(to: Path, needed: int) -> None:
    there = next(path for path in (to, *to.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE > free:
        raise CryodataError(
            f"{to}: up to {needed:,} bytes are to be written and {free:,} are free; make room, or export fewer "
            "entries (--split, --ids)"
        )


def threads_for(need: int, asked: int) -> int:
    """As many threads as were asked for, or one a core, as memory allows at `need` bytes each."""
    return max(1, min(asked or available_cores(), int(USED * memory_available()) // max(1, need)))


def _make(to: Path, piece: Piece) -> tuple[str, dict[str, int]]:
    """Make a piece, put its files in place, note them."""
    with temporary_folder(to) as temporary:
        folder = temporary / "made"
        folder.mkdir()
        piece.make(folder)
        note = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            relative = path.relative_to(folder).as_posix()
            note[relative] = path.stat().st_size
            _place(path, to / relative)
    write_json(to / NOTES / f"{piece.name}.json", note)
    return piece.name, note


def _place(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(made, target)
