"""What the splits of a version let through, as a part of its page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cryodata.build.kinship.report import SplitReport
from cryodata.core.leakage import LEVELS, Leakage
from cryodata.review.charts import shares

MAX_CHAINS = 60
"chains that are listed of each scheme, those most alike first"


def leakage_section(found: SplitReport | None) -> str:
    """HTML about proteins of validation and test that training shows as well; None if it was not measured."""
    if found is None:
        return "<p>Not measured: <code>cryodata report --leakage</code>, or <code>cryodata splits --report</code>.</p>"
    parts = [
        "<p>Share of the protein residues that are held out whose chain has a chain of training alike to it: identity "
        "of the best local alignment over half of the shorter chain, score "
        f"{found.score} at least. Entries are joined by the rule <code>{escape(found.rule)}</code>.</p>"
    ]
    parts += [_scheme(item) for item in found.leakage]
    return "".join(parts)


def _scheme(leakage: Leakage) -> str:
    if not leakage.held:
        return f"<p>by {escape(leakage.scheme)}: no split is held out.</p>"
    levels = [f"{level:.0%}" for level in LEVELS]
    head = "".join(
        f"<th>{escape(name)}</th>"
        for name in (f"by {leakage.scheme}", "entries", "chains", "residues", *(f"above {text}" for text in levels))
    )
    rows = "".join(
        f"<tr><td>{escape(held.split)}</td><td>{held.entries:,}</td><td>{held.chains:,}</td><td>{held.residues:,}</td>"
        + "".join(f"<td>{held.share(level):.1%}</td>" for level in LEVELS)
        + f"<td class=text>{escape(_archive(held.same_archive))}</td></tr>"
        for held in leakage.held
    )
    chart = shares({held.split: [held.share(level) for level in LEVELS] for held in leakage.held}, levels)
    table = f"<table><tr>{head}<th class=text>archive ids on both sides</th></tr>{rows}</table>"
    return f"{table}<div class=charts>{chart}</div>{_chains(leakage)}"


def _chains(leakage: Leakage) -> str:
    chains = [(held.split, item) for held in leakage.held for item in held.leaked]
    if not chains:
        return ""
    chains.sort(key=lambda pair: (-pair[1].identity, pair[1].entry_id, pair[1].chain))
    rows = "".join(
        f"<tr><td>{escape(item.entry_id)} {escape(item.chain)}</td><td class=text>{escape(split)}</td>"
        f"<td>{item.residues:,}</td><td>{item.identity:.1%}</td>"
        f"<td class=text>{escape(item.train_entry_id)} {escape(item.train_chain)}</td></tr>"
        for split, item in chains[:MAX_CHAINS]
    )
    head = "<tr><th>chain</th><th class=text>split</th><th>residues</th><th>identity</th>"
    head += "<th class=text>in training</th></tr>"
    more = f"<p class=note>The first {MAX_CHAINS} of {len(chains):,}.</p>" if len(chains) > MAX_CHAINS else ""
    return f"<div class=wide><table>{head}{rows}</table></div>{more}"


def _archive(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "") if ids else "none"
