"""The dataset card: a template filled from the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from cryodata.core.schema import ArraySpec
from cryodata.formats.manifest import Manifest

PACKAGE = "cryodata_cards"

HUB_LICENSES = {"CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "Apache-2.0": "apache-2.0"}
"what the Hugging Face Hub calls a licence; others are `other` there"

SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


def render_card(manifest: Manifest, files: Sequence[str]) -> str:
    """README.md of a version, with the YAML header that the Hub reads. files: names of its table files."""
    folder = resources.files(PACKAGE)
    about, _, recipe = _own_text(manifest.builder).partition("<!-- recipe -->")
    counts = manifest.counts
    total = sum(counts["subgrids"].values())
    return Template((folder / "template.md").read_text(encoding="utf-8")).substitute(
        name=manifest.name,
        pretty_name=manifest.name,
        version=manifest.version,
        hub_license=HUB_LICENSES.get(manifest.license, "other"),
        size_category=next((name for limit, name in SIZE_CATEGORIES if total < limit), "n>10M"),
        configs=_configs(manifest, files),
        about=about.strip(),
        recipe_text=recipe.strip(),
        builder=manifest.builder,
        recipe=manifest.recipe,
        revision=manifest.revision,
        parent=manifest.parent or "none",
        box=manifest.box,
        core=manifest.core,
        entries=f"{counts['entries']:,}",
        entries_by_split=_tally(counts["entries_by_split"]),
        entries_by_resolution=_tally(counts["entries_by_resolution"]),
        rejected=_tally(counts["rejected"]),
        voxels=f"{counts['voxels']:,}",
        volume_bytes=f"{counts['volume_bytes'] / 1e6:,.1f} MB",
        subgrids=_tally(counts["subgrids"]),
        atoms=_tally(counts["atoms"]),
        arrays=_arrays(manifest.schema.arrays),
        facts="\n".join(f"* `{fact.name}` ({fact.dtype}): {fact.description}" for fact in manifest.schema.facts),
        parameters="\n".join(f"* `{name}`: {value}" for name, value in sorted(manifest.parameters.items())),
    )


def _own_text(builder: str) -> str:
    """What a builder says of its dataset; a builder of somebody's own has no card here."""
    file = resources.files(PACKAGE) / f"{builder}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else f"Made by the builder `{builder}`."


def _configs(manifest: Manifest, files: Sequence[str]) -> str:
    """Hub configurations: the tables as they lie beside the card."""
    lines = ["- config_name: subgrids", "  default: true", "  data_files:"]
    for split in manifest.schemes[manifest.default_scheme]:
        if manifest.counts["subgrids"][split]:
            lines += [f"  - split: {split}", f"    path: subgrids-{split}-*.parquet"]
    for name in ("entries", "atoms"):
        path = f"{name}.parquet" if f"{name}.parquet" in files else f"{name}-*.parquet"
        lines += [f"- config_name: {name}", f"  data_files: {path}"]
    return "\n".join(lines)


def _tally(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"


def _arrays(arrays: Sequence[ArraySpec]) -> str:
    lines = []
    for array in arrays:
        classes = ", ".join(f"{item.name} {item.value}" for item in array.classes)
        lines.append(
            f"* `{array.name}` ({array.dtype}, {array.minimum:g} to {array.maximum:g}): {array.description}"
            + (f". Classes: {classes}" if classes else "")
        )
    return "\n".join(lines)
