"""Which entries EMDB and PDB have: their catalogue, from the search service, and where each file is fetched."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryodata.build.catalog import LIST_NAME, read_source_folder
from cryodata.build.http import NotThereError, addresses, is_url, shown_url
from cryodata.build.listing import fetch_list
from cryodata.build.search import ID, PLACE, Row, search
from cryodata.core.entry import ENTRY_ID, Entry, Source
from cryodata.core.layout import safe_relative
from cryodata.core.parameters import Parameter, day, text
from cryodata.errors import DatasetError, SourceError

EMDB = "https://ftp.ebi.ac.uk/pub/databases/emdb https://files.wwpdb.org/pub/emdb"
"CRYODATA_EMDB_URL overrides it"

PDB = "https://files.wwpdb.org/pub/pdb/data"
"CRYODATA_PDB_URL overrides it"

FOLDER = "source"
"below the dataset's folder: what is fetched, what the search service said"

RELEASED = 'current_status:"REL"'
WITH_MODEL = 'xref_links:"pdb"'

METADATA = {
    "method": "structure_determination_method",
    "resolution_method": "resolution_method",
    "software": "software",
    "title": "title",
    "article": "primary_citation_title",
    "journal": "primary_citation_journal_name",
    "year": "primary_citation_year",
    "uniprot": "xref_UNIPROTKB",
    "half_maps": "half_map_filename",
    "deposited": "deposition_date",
    "released": "map_release_date",
}
"column of the entries table: field of the search service"

CONTOUR = "map_contour_level_value"
FIELDS = (ID, "resolution", "fitted_pdbs", CONTOUR, *METADATA.values())

FILTERS = (
    Parameter("method", "", text, False, "archive only: entries whose method has these words, such as singleParticle"),
    Parameter("released_from", "", day, False, "archive only: maps released on that day or later, such as 2020-01-31"),
    Parameter(
        "released_to", "", day, False, "archive only: maps released on that day or earlier; the paper: 2023-03-27"
    ),
)
"settings of a builder that takes its entries from the archive"

EMDB_ID = re.compile(r"EMD-([0-9]{4,9})")


def read_archive(folder: Path, highest: float | None, lowest: float, parameters: Mapping[str, Any]) -> list[Entry]:
    """Released entries with a fitted model and a resolution of `lowest` to `highest` A, sorted by id; opens no map.

    folder: of the dataset; the answers of the search service stay in it, and an answer that is there is not asked for
    again. Raises SourceError if the filter changes nothing: a service that ignores it would give the wrong entries.
    """
    wanted = f"{RELEASED} AND {WITH_MODEL}"
    if highest is not None:
        wanted += f" AND resolution:[{lowest:g} TO {highest:g}]"
    rows, everything = search(wanted, FIELDS, folder), search(RELEASED, (ID,), folder)
    if len(rows) >= len(everything):
        raise SourceError(
            f"the search service finds {len(rows):,} entries with its filter and {len(everything):,} without: it does "
            f"not know the filter `{wanted}`; its answers are in {folder / PLACE}"
        )
    kept = [row for row in rows if _is_wanted(row, parameters)]
    return [_entry(row, folder / FOLDER) for row in kept]


def read_address(url: str, folder: Path, reserved: Iterable[str]) -> list[Entry]:
    """Entries of a source folder over http, sorted by id; its list is fetched, no map is."""
    if not is_url(url):
        raise SourceError(f"'{shown_url(url)}' is no address of a source folder; expected http:// or https://")
    base = url.rstrip("/")
    place = folder / FOLDER / f"url-{hashlib.sha256(base.encode()).hexdigest()[:12]}"
    try:
        fetch_list(f"{base}/{LIST_NAME}", place / LIST_NAME)
    except NotThereError:
        raise SourceError(f"{base}: no {LIST_NAME} there") from None
    return [_with_addresses(entry, place, base) for entry in read_source_folder(place, reserved)]


def _with_addresses(entry: Entry, place: Path, base: str) -> Entry:
    sources = {}
    for role, source in entry.sources.items():
        try:
            path = safe_relative(str(Path(source.path).relative_to(place)))
        except (ValueError, DatasetError):
            raise SourceError(
                f"{base}/{LIST_NAME}: entry {entry.entry_id}: {role} leads out of the folder; expected a path below it"
            ) from None
        sources[role] = Source(source.path, urls=((f"{base}/{quote(path)}",),))
    return Entry(
        entry.entry_id, entry.emdb_id, entry.pdb_id, entry.resolution, entry.contour_level, sources, entry.split,
        entry.metadata,
    )  # fmt: skip


def _is_wanted(row: Row, parameters: Mapping[str, Any]) -> bool:
    """The filters that need no service. A map without a date is none of a period."""
    released = row[METADATA["released"]][:10]
    early, late = parameters["released_from"], parameters["released_to"]
    return (
        parameters["method"].casefold() in row[METADATA["method"]].casefold()
        and (not early or released >= early)
        and (not late or "" < released <= late)
    )


def _entry(row: Row, place: Path) -> Entry:
    number, models = EMDB_ID.fullmatch(row[ID]), _model_ids(row["fitted_pdbs"].replace("\\", ""))
    wrong = [item for item in models if not _names_a_file(item)]
    if number is None or wrong:
        found = ", ".join([row[ID], *wrong])
        raise SourceError(f"the search service gave ids that name no file: '{found[:80]}'")
    maps = [f"{base}/structures/{row[ID]}/map/emd_{number[1]}.map.gz" for base in addresses("CRYODATA_EMDB_URL", EMDB)]
    sources = {"map": Source(str(place / "emdb" / f"emd_{number[1]}.map.gz"), urls=(tuple(maps),))}
    sources |= model_sources(" ".join(models), place.parent)
    return Entry(
        entry_id=row[ID],
        emdb_id=row[ID],
        pdb_id=" ".join(models),
        resolution=_number(row["resolution"]),
        contour_level=_number(row[CONTOUR]),
        sources=sources,
        metadata={column: row[field] for column, field in METADATA.items()},
    )


def model_sources(pdb_ids: str, folder: Path) -> dict[str, Source]:
    """Models of the PDB by role, in order of their ids. folder: of the dataset. SourceError for an id that is none."""
    models = _model_ids(pdb_ids)
    wrong = [item for item in models if not _names_a_file(item)]
    if wrong:
        raise SourceError(
            f"'{', '.join(wrong)[:80]}' is no id of a model; expected ids such as 5ni1, separated by blanks"
        )
    place = folder / FOLDER / "pdb"
    return {
        "model" if count == 1 else f"model{count}": Source(str(place / f"{item}.model.gz"), urls=model_addresses(item))
        for count, item in enumerate(models, 1)
    }


def _model_ids(text: str) -> list[str]:
    return sorted({item.lower() for item in re.split(r"[,;\s]+", text) if item})


def _names_a_file(pdb_id: str) -> bool:
    return bool(ENTRY_ID.fullmatch(pdb_id)) and ".." not in pdb_id and len(pdb_id) >= 4


def model_addresses(pdb_id: str) -> tuple[tuple[str, ...], ...]:
    """Where a model may lie: mmCIF, then PDB format; ids of twelve characters also by the layout made for them."""
    bases = addresses("CRYODATA_PDB_URL", PDB)
    short = pdb_id.removeprefix("pdb_0000") if len(pdb_id) == 12 else pdb_id
    part = short[-3:-1]  # of four characters, the two in the middle
    places = [f"structures/divided/mmCIF/{part}/{short}.cif.gz", f"structures/divided/pdb/{part}/pdb{short}.ent.gz"]
    if len(short) > 4:
        places.insert(1, f"entries/{part}/{pdb_id}/structures/{pdb_id}.cif.gz")  # from memory of the beta archive
    return tuple(tuple(f"{base}/{place}" for base in bases) for place in places)


def _number(field: str) -> float | None:
    """A number above or below 0; None if the archive says nothing usable."""
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
