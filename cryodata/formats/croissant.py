"""croissant.json: a version described to programs (Croissant 1.1, JSON-LD), written beside its tables.

Every table file is a FileObject with its sha256; tables of several files are FileSets over them, for tools read the
records of those. Paths are relative to this file. No date and no address: the same data give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cryodata.core.layout import FileDigest
from cryodata.formats.card import own_text
from cryodata.formats.citation import UNKNOWN, bibtex, origin_of
from cryodata.formats.column_texts import ATOM_TEXTS, REJECTED_TEXTS, SUBGRID_TEXTS, entry_texts
from cryodata.formats.manifest import Manifest
from cryodata.formats.tables import ATOMS, REJECTED, SUBGRIDS

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"the context of the specification, with the words that 1.1 adds"

PARQUET = "application/x-parquet"

SPLIT_TERMS = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}

SPLIT_OF_FILE = r"^(?:subgrids-)?([a-z]+)(?:-\d+-of-\d+\.parquet)?$"
"the split that a file name says; of the split itself it makes the same, for mlcroissant applies it twice when it joins"

TYPES = {
    pa.string(): "sc:Text",
    pa.uint8(): "cr:UInt8",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}


def render_croissant(manifest: Manifest, files: Sequence[FileDigest], entries: pa.Schema) -> str:
    """The text of croissant.json. files: the Parquet files beside it; entries: columns of the entries table."""
    origin = origin_of(manifest.builder)
    splits = manifest.schemes[manifest.default_scheme]
    value: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": manifest.name,
        "description": " ".join(own_text(manifest.builder)[0].split()),
        "conformsTo": CONFORMS_TO,
        "version": manifest.version,
        "license": manifest.license if manifest.license == UNKNOWN else f"https://spdx.org/licenses/{manifest.license}",
        "keywords": list(origin.keywords),
        "creator": [{"@type": "sc:Organization", "name": name} for name in origin.creators],
        "citeAs": " ".join(bibtex(item) for item in origin.references) or None,
        "distribution": _distribution(files),
        "recordSet": [
            _split_records(splits),
            _records("entries", "A row per entry.", entries, entry_texts(manifest.schema), files),
            _records("atoms", "A row per atom of the molecule.", ATOMS, ATOM_TEXTS, files),
            _subgrid_records(files),
            _records("rejected", "A row per entry that was refused.", REJECTED, REJECTED_TEXTS, files),
        ],
    }
    known = {key: item for key, item in value.items() if item is not None}
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"


def _distribution(files: Sequence[FileDigest]) -> list[dict[str, Any]]:
    """The table files, sets of those that make one table, and the volumes."""
    found: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{size} B",
            "encodingFormat": PARQUET,
            "sha256": sha256,
        }
        for path, size, sha256 in sorted(files)
    ]
    found += [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "encodingFormat": PARQUET,
            "includes": f"{name}-*.parquet",
        }
        for name in ("atoms", "subgrids")
    ]
    found.append(
        {
            "@type": "cr:FileSet",
            "@id": "volumes",
            "name": "volumes",
            "description": "OME-Zarr 0.5, a folder per entry; objects.parquet has the sha256 of every file.",
            "encodingFormat": "application/vnd+zarr",
            "includes": "../../volumes/*/*.zarr/**",
        }
    )
    return found


def _split_records(splits: Sequence[str]) -> dict[str, Any]:
    """The splits of the default scheme, as the specification has them."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "Splits of the default scheme.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": name, "splits/url": SPLIT_TERMS.get(name, "cr:Split")} for name in splits],
    }


def _records(
    name: str, text: str, schema: pa.Schema, texts: Mapping[str, str], files: Sequence[FileDigest]
) -> dict[str, Any]:
    """The records of a table, a field a column."""
    alone = f"{name}.parquet"
    source = {"fileObject": {"@id": alone}} if any(path == alone for path, *_ in files) else _file_set(name)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": text,
        "field": [
            _field(f"{name}/{column.name}", column, source, texts.get(column.name, "as the source list says"))
            for column in schema
        ],
    }


def _subgrid_records(files: Sequence[FileDigest]) -> dict[str, Any]:
    """Sub-grids, with the split that the name of their file says."""
    records = _records("subgrids", "A row per sub-grid.", SUBGRIDS, SUBGRID_TEXTS, files)
    split = {
        "@type": "cr:Field",
        "@id": "subgrids/split",
        "name": "split",
        "description": "split of the default scheme",
        "dataType": "sc:Text",
        "source": {
            **_file_set("subgrids"),
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": SPLIT_OF_FILE},
        },
        "references": {"field": {"@id": "splits/name"}},
    }
    return {**records, "field": [split, *records["field"]]}


def _file_set(name: str) -> dict[str, Any]:
    return {"fileSet": {"@id": f"{name}-files"}}


def _field(place: str, column: pa.Field, source: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A column; three numbers are an array, a list of records a repeated field with sub-fields."""
    extract = {**source, "extract": {"column": column.name}}
    field = {"@type": "cr:Field", "@id": place, "name": column.name, "description": text}
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        array = {"isArray": True, "arrayShape": str(kind.list_size)}
        return {**field, "dataType": TYPES[kind.value_type], **array, "source": extract}
    if pa.types.is_list(kind):
        parts = [
            {
                "@type": "cr:Field",
                "@id": f"{place}/{part.name}",
                "name": part.name,
                "dataType": TYPES[part.type],
                "source": {**extract, "transform": {"jsonPath": part.name}},
            }
            for part in kind.value_type
        ]
        return {**field, "repeated": True, "subField": parts}
    return {**field, "dataType": TYPES[kind], "source": extract}
