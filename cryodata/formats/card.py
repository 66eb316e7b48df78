"""The dataset card: a template filled from the manifest and from what was counted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from cryodata.core.leakage import LEVELS, Leakage
from cryodata.core.schema import ArraySpec
from cryodata.formats.citation import PACKAGE, UNKNOWN, bibtex, origin_of
from cryodata.formats.column_texts import ATOM_TEXTS, OBJECT_TEXTS, REJECTED_TEXTS, SUBGRID_TEXTS, entry_texts
from cryodata.formats.manifest import Manifest
from cryodata.formats.summary import Changes, Summary

HUB_LICENSES = {"CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "Apache-2.0": "apache-2.0", UNKNOWN: "unknown"}
"what the Hugging Face Hub calls a licence; others are `other` there"

SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)

TAGS = ("cryo-em", "protein-structure", "density-map", "biology", "croissant")

MAX_IDS = 20
"entries that are listed one by one"

MAX_SHARED = 50
"maps and models in several entries that a card lists"


def render_card(manifest: Manifest, summary: Summary, changes: Changes | None, files: Sequence[str]) -> str:
    """README.md of a version, with the YAML header that the Hub reads.

    changes: against the parent; None for a first version. files: names of its table files.
    """
    folder = resources.files(PACKAGE)
    about, recipe = own_text(manifest.builder, manifest.recipe)
    counts = manifest.counts
    total = sum(counts["subgrids"].values())
    schema = manifest.schema
    return Template((folder / "template.md").read_text(encoding="utf-8")).substitute(
        name=manifest.name,
        pretty_name=manifest.name,
        version=manifest.version,
        license=manifest.license,
        hub_license=HUB_LICENSES.get(manifest.license, "other"),
        tags="\n".join(f"- {tag}" for tag in TAGS),
        size_category=next((name for limit, name in SIZE_CATEGORIES if total < limit), "1B<n<10B"),
        configs=_configs(manifest, files),
        about=about,
        recipe_text=recipe or "Not described.",
        builder=manifest.builder,
        recipe=manifest.recipe,
        revision=manifest.revision,
        format=manifest.format,
        parent=manifest.parent or "none",
        box=manifest.box,
        core=manifest.core,
        entries=f"{counts['entries']:,}",
        splits=splits_table(summary),
        leakage=leakage_table(summary.leakage),
        shared=shared_table(summary.shared),
        rejected=tally(counts["rejected"]),
        voxels=f"{counts['voxels']:,}",
        volume_bytes=f"{counts['volume_bytes'] / 1e6:,.1f} MB",
        subgrids=tally(counts["subgrids"]),
        atoms=tally(counts["atoms"]),
        arrays=_arrays(schema.arrays),
        labels=_labels(summary),
        facts=_facts(manifest, summary),
        entry_columns=_columns(entry_texts(schema)),
        atom_columns=_columns(ATOM_TEXTS),
        subgrid_columns=_columns(SUBGRID_TEXTS),
        rejected_columns=_columns(REJECTED_TEXTS),
        object_columns=_columns(OBJECT_TEXTS),
        changes=_changes(changes),
        citation=_citation(manifest.builder),
        parameters="\n".join(f"* `{name}`: {value}" for name, value in sorted(manifest.parameters.items())),
    )


def own_text(builder: str, recipe: str = "") -> tuple[str, str]:
    """What a builder says of its dataset and of a recipe; a builder of somebody's own has no card here.

    After the text on the dataset its file has a part for each recipe, headed `<!-- recipe NAME -->`, or one for all.
    """
    file = resources.files(PACKAGE) / f"{builder}.md"
    text = file.read_text(encoding="utf-8") if file.is_file() else f"Made by the builder `{builder}`."
    about, *parts = re.split(r"^<!-- recipe ?(\S*) -->$", text, flags=re.MULTILINE)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    return about.strip(), texts.get(recipe, texts.get("", "")).strip()


def splits_table(summary: Summary) -> str:
    """Entries by split and bin of resolution."""
    bins = sorted({name for counts in summary.by_split.values() for name in counts}, key=_bin_order)
    rows = [
        [split, *(f"{counts.get(name, 0):,}" for name in bins), f"{sum(counts.values()):,}"]
        for split, counts in sorted(summary.by_split.items())
    ]
    return _table(["split", *bins, "all"], rows) if rows else "No entries."


def leakage_table(leakage: Sequence[Leakage]) -> str:
    """What each scheme lets through, a row for each split that is held out."""
    rows = [
        [
            item.scheme,
            held.split,
            f"{held.entries:,}",
            f"{held.residues:,}",
            *(f"{held.share(level):.1%}" for level in LEVELS),
            str(len(held.same_archive)),
        ]
        for item in leakage
        for held in item.held
    ]
    head = [
        "scheme",
        "held out",
        "entries",
        "residues",
        *(f"above {level:.0%}" for level in LEVELS),
        "ids on both sides",
    ]
    return _table(head, rows) if rows else "Nothing is held out."


def shared_table(shared: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """Maps and models that are in several entries, the first MAX_SHARED of them."""
    rows = [[what, which, ", ".join(entries)] for what, which, entries in shared[:MAX_SHARED]]
    if not rows:
        return "No map and no model is in two entries."
    more = f"\n\nThe first {MAX_SHARED} of {len(shared):,}." if len(shared) > MAX_SHARED else ""
    return _table(["shared", "which", "entries"], rows) + more


def tally(counts: Mapping[str, Any]) -> str:
    """Counts in a line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"


def _bin_order(name: str) -> tuple[bool, str]:
    return not name.startswith("["), name


def _configs(manifest: Manifest, files: Sequence[str]) -> str:
    """Hub configurations: each table with its files."""
    lines = ["- config_name: subgrids", "  default: true", "  data_files:"]
    for split in manifest.schemes[manifest.default_scheme]:
        if manifest.counts["subgrids"][split]:
            lines += [f"  - split: {split}", f"    path: subgrids-{split}-*.parquet"]
    if not any(manifest.counts["subgrids"].values()):  # the Hub takes no configuration without a file
        lines += ["  - split: train", "    path: subgrids-train-*.parquet"]
    for name in ("entries", "atoms"):
        path = f"{name}.parquet" if f"{name}.parquet" in files else f"{name}-*.parquet"
        lines += [f"- config_name: {name}", f"  data_files: {path}"]
    return "\n".join(lines)


def relocated(card: str, folder: str) -> str:
    """The card as it stands above its tables: the header names them below `folder`."""
    header, mark, rest = card.partition("\n---\n")
    header = re.sub(r"^( +path: | +data_files: )(?=\S+\.parquet$)", rf"\g<1>{folder}/", header, flags=re.MULTILINE)
    return header + mark + rest


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, columns of numbers to the right."""
    numbers = [all(row[i].replace(",", "").isdecimal() for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if is_number else "---" for is_number in numbers], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _arrays(arrays: Sequence[ArraySpec]) -> str:
    lines = []
    for array in arrays:
        classes = ", ".join(f"{item.name} {item.value}" for item in array.classes)
        lines.append(
            f"* `{array.name}` ({array.dtype}, {array.minimum:g} to {array.maximum:g}): {array.description}"
            + (f". Classes: {classes}" if classes else "")
        )
    return "\n".join(lines)


def _labels(summary: Summary) -> str:
    rows = [
        [label, name, *(f"{counts[state]:,}" for state in ("model", "written", "lost", "outside"))]
        for label, classes in summary.labels.items()
        for name, counts in classes.items()
    ]
    return _table(["label", "class", "in the models", "written", "lost", "outside"], rows) if rows else "No labels."


def _facts(manifest: Manifest, summary: Summary) -> str:
    rows = [
        [f"`{fact.name}`", fact.description, summary.facts[fact.name]]
        for fact in manifest.schema.facts
        if fact.name in summary.facts
    ]
    return _table(["column", "meaning", "found"], rows) if rows else "Nothing."


def _columns(texts: Mapping[str, str]) -> str:
    return _table(["column", "meaning"], [[f"`{name}`", text] for name, text in texts.items()])


def _changes(changes: Changes | None) -> str:
    if changes is None:
        return "The first version, or one that names no parent."
    lines = [f"Against {changes.parent}: {changes.kept:,} entries have the same volume."]
    removed = [f"{key} ({code or 'not asked for'})" for key, code in changes.removed.items()]
    for word, ids in (("added", changes.added), ("removed", removed), ("changed", changes.changed)):
        if ids:
            more = f" and {len(ids) - MAX_IDS:,} more" if len(ids) > MAX_IDS else ""
            lines.append(f"* {word} ({len(ids):,}): {', '.join(ids[:MAX_IDS])}{more}")
    return "\n".join([lines[0], "", *lines[1:]]).strip()


def _citation(builder: str) -> str:
    references = origin_of(builder).references
    if not references:
        return "Nothing is to be cited but cryodata itself; `CITATION.cff` says so to programs."
    return "\n\n".join(f"```bibtex\n{bibtex(reference)}\n```" for reference in references)
