"""Who is to be cited for a dataset: as BibTeX for the card, as CITATION.cff for tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from cryodata.formats.manifest import Manifest

PACKAGE = "cryodata_cards"
UNKNOWN = "unknown"
"licence of maps of which nothing is said"

Reference = Mapping[str, Any]
"key, type, authors as [family, given], title, journal, volume, start (page), year, doi"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a builder's data come from."""

    creators: Sequence[str]
    keywords: Sequence[str]
    references: Sequence[Reference]


def origin_of(builder: str) -> Origin:
    """What lies beside the card of a builder; for one of somebody's own there is nothing."""
    file = resources.files(PACKAGE) / f"{builder}.json"
    if not file.is_file():
        return Origin([f"Makers of the builder {builder}"], ["cryo-EM", "density map"], [])
    return Origin(**json.loads(file.read_text(encoding="utf-8")))


def bibtex(reference: Reference) -> str:
    """An entry of a bibliography."""
    fields = {
        "author": " and ".join(f"{family}, {given}" for family, given in reference["authors"]),
        "title": f"{{{reference['title']}}}",
        "journal": reference["journal"],
        "volume": reference["volume"],
        "pages": reference["start"],
        "year": reference["year"],
        "doi": reference["doi"],
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{reference['type']}{{{reference['key']},", *lines, "}"])


def render_citation(manifest: Manifest) -> str:
    """CITATION.cff of a version. Holds no date, so that the same data give the same bytes."""
    origin = origin_of(manifest.builder)
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this dataset, please cite the references below and the depositions that you used.",
        "type: dataset",
        f"title: {_quoted(manifest.name)}",
        f"version: {_quoted(manifest.version)}",
        "authors:",
        *(f"  - name: {_quoted(name)}" for name in origin.creators),
        "keywords:",
        *(f"  - {_quoted(word)}" for word in origin.keywords),
    ]
    if manifest.license != UNKNOWN:
        lines.append(f"license: {_quoted(manifest.license)}")
    if origin.references:
        lines.append("references:")
    for reference in origin.references:
        lines += [f"  - type: {reference['type']}", "    authors:"]
        for family, given in reference["authors"]:
            lines += [f"      - family-names: {_quoted(family)}", f"        given-names: {_quoted(given)}"]
        lines += [f"    {name}: {_quoted(reference[name])}" for name in ("title", "journal", "volume", "start", "doi")]
        lines.append(f"    year: {reference['year']}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Text as YAML: a JSON string is one."""
    return json.dumps(text, ensure_ascii=False)
