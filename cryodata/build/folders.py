"""Folders of the published dataset as entries: one each, with `emd_normalized_map.mrc` and its label maps in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cryodata.build.catalog import LIST_NAME, read_source_folder
from cryodata.core.entry import Entry, Source, entry_id_fault
from cryodata.core.splits import TEST
from cryodata.errors import SourceError

DENSITY = "emd_normalized_map.mrc"

LABELS = {
    "atom": (f"atom_{DENSITY}",),
    "atom_ca": (f"atom_ca_{DENSITY}", f"ca_atom_{DENSITY}"),
    "amino": (f"amino_{DENSITY}",),
    "secondary": (f"sec_struc_{DENSITY}",),
}
"names of the label maps: `ca_atom` by the description of the dataset, `atom_ca` by its scripts"

MODELS = (".cif", ".pdb", ".ent", ".cif.gz", ".pdb.gz", ".ent.gz")
"endings of models, the first that is there is taken"

PARTS = re.compile(r"(.+_)?(helix|coil|strand)")
"models of the helices, coils or strands alone, which lie beside the whole one"

ARCHIVE_ID = re.compile(r"(?:EMD[-_])?([0-9]{4,6})", re.IGNORECASE)
PDB_ID = re.compile(r"[0-9][a-z0-9]{3}|pdb_[0-9a-z]{8}", re.IGNORECASE)

DEPTH = 4
"folders between a source and its entries at most: ROOT/full_dataset/EMD_0/0004"


def read_published_folder(folder: Path, reserved: Iterable[str]) -> list[Entry]:
    """The entries of a folder, sorted by id; opens no map.

    By its entries.csv if it has one, whose column `map` names the density of each; else by looking for folders with a
    map of the published names in them. A folder whose name is a number is that entry of EMDB; what lies below `test` is
    in the split test. Raises SourceError for a list that can't be trusted, for no folder, and for two of one id.
    """
    if (folder / LIST_NAME).is_file():
        return [_with_labels(entry) for entry in read_source_folder(folder, reserved)]
    found: dict[str, Entry] = {}
    for place in _places(folder, DEPTH):
        entry = _entry(folder, place)
        other = found.setdefault(entry.entry_id.casefold(), entry)
        fault = entry_id_fault(entry.entry_id)
        if fault is not None:
            raise SourceError(f"{place}: {fault}")
        if other is not entry:
            there = Path(other.sources["map"].path).parent
            raise SourceError(f"{place} and {there} are both {entry.entry_id}; an id is there once")
    if not found:
        raise SourceError(f"{folder}: no {LIST_NAME}, and no folder with {DENSITY} down to {DEPTH} levels below it")
    return sorted(found.values(), key=lambda entry: entry.entry_id)


def _places(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold a map of a published name."""
    names = sorted(os.scandir(folder), key=lambda item: item.name)
    known = {DENSITY, *(name for options in LABELS.values() for name in options)}
    if any(item.name.removesuffix(".gz") in known for item in names):
        yield folder
    elif depth:
        for item in names:
            if item.is_dir() and not item.name.startswith("."):
                yield from _places(folder / item.name, depth - 1)


def _entry(root: Path, place: Path) -> Entry:
    match = ARCHIVE_ID.fullmatch(place.name)
    emdb_id = f"EMD-{match[1]}" if match else ""
    entry = Entry(
        entry_id=emdb_id or place.name,
        emdb_id=emdb_id,
        sources={"map": Source(str(_there(place, DENSITY) or place / DENSITY))},
        split=TEST if "test" in place.relative_to(root).parts[:-1] else "",
    )
    return _with_labels(entry)


def _with_labels(entry: Entry) -> Entry:
    """The entry with what lies beside its density: label maps, and the model unless the list names one."""
    place = Path(entry.sources["map"].path).parent
    sources = {role: source for role, source in entry.sources.items() if role in ("map", "model")}
    for role, names in LABELS.items():
        there = next((path for name in names if (path := _there(place, name))), None)
        if there is not None:
            sources[role] = Source(str(there))
    if "model" not in sources and (model := _model(place)) is not None:
        sources["model"] = Source(str(model))
        stem = model.name.partition(".")[0]
        entry = replace(entry, pdb_id=entry.pdb_id or (stem.lower() if PDB_ID.fullmatch(stem) else ""))
    return replace(entry, sources=sources)


def _there(place: Path, name: str) -> Path | None:
    """A map, plain or compressed; None if it is not there."""
    return next((place / found for found in (name, f"{name}.gz") if (place / found).exists()), None)


def _model(place: Path) -> Path | None:
    names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
    for ending in MODELS:
        for name in names:
            if name.lower().endswith(ending) and not PARTS.fullmatch(name[: -len(ending)]):
                return place / name
    return None
