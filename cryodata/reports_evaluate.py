"""How an evaluation looks: tables on a terminal, or one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cryodata.console import MAX_ROWS, Console

if TYPE_CHECKING:
    from pathlib import Path

    from cryodata.baseline.evaluate import Evaluation
    from cryodata.baseline.scoring.thresholds import ThresholdCurve


def evaluation(console: Console, found: Evaluation, curve: ThresholdCurve | None) -> None:
    """Every measure, for people."""
    console.print(f"{found.model_residues:,} residues of the model, {found.reference_residues:,} of the reference")
    console.print("\nalpha carbons, best one-to-one matching")
    table = Table("within", "pairs", "precision", "recall", "F1", "RMSD, A", "same residue", box=None, pad_edge=False)
    for row in found.matching:
        shares = f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}"
        table.add_row(f"{row.cap:g} A", f"{row.pairs:,}", *shares, _number(row.rmsd), _number(row.identity))
    console.table(table)
    _comparison(console, found)
    console.print("\nwhole models, as they stand in the map")
    table = Table("residues paired by", "pairs", "TM-score", "lDDT (CA)", box=None, pad_edge=False)
    for name, likeness in (("place, within 3 A", found.by_place), ("sequence", found.by_sequence)):
        table.add_row(name, f"{likeness.pairs:,}", f"{likeness.tm_score:.3f}", f"{likeness.lddt:.3f}")
    console.table(table)
    console.print(f"\nresidues in register (within 3 A of the same residue): {found.in_register:.3f}")
    table = Table("chain", "is", "residues", "aligned", "in register", box=None, pad_edge=False)
    for pair in found.chains[:MAX_ROWS]:
        table.add_row(pair.model, pair.reference, *(f"{n:,}" for n in (pair.residues, pair.aligned, pair.in_register)))
    console.table(table)
    if len(found.chains) > MAX_ROWS:
        console.print(f"... and {len(found.chains) - MAX_ROWS} more; --json lists all")
    if curve is not None:
        _curve(console, curve)


def baseline(console: Console, report: Mapping[str, Any], out: Path) -> None:
    """Means of each part, and where the page is."""
    from cryodata.baseline.report.summary import COLUMNS

    shown = ("precision", "recall", "f1_2", "chance_f1", "rmsd", "matching", "identity", "in_register")
    table = Table("maps not seen in training", "maps", *(COLUMNS[name] for name in shown), box=None, pad_edge=False)
    for part in report["parts"]:
        table.add_row(part["title"], f"{len(part['maps'])}", *(_number(part["mean"][name]) for name in shown))
    console.table(table)
    console.print(f"report: {out / 'report.html'}")


def _comparison(console: Console, found: Evaluation) -> None:
    item = found.comparison
    console.print(f"\nchain_comparison, {item.target} target of {item.target_residues:,} residues (greedy, within 3 A)")
    directions = (("forward", item.forward, item.forward_rmsd), ("reverse", item.reverse, item.reverse_rmsd))
    console.pairs(
        {
            "close": f"{item.close:,}, RMSD {_number(item.rmsd)} A",
            "far": f"{item.far:,}",
            **{name: f"{count:,}, RMSD {_number(rmsd)} A" for name, count, rmsd in directions},
            "mixed": f"{item.mixed:,}",
            "% found (matching)": f"{item.found_percent:.1f}",
            "CA score": f"{item.ca_score:.2f}",
            "seq match, %": f"{item.seq_match_percent:.1f}",
            "seq score": f"{item.seq_score:.2f}",
            "mean length": f"{item.mean_length:.1f}",
            "fragments": f"{item.fragments:,}",
            "bad connections": f"{item.bad_connections:,}",
        }
    )


def _curve(console: Console, curve: ThresholdCurve) -> None:
    threshold, best = curve.best
    console.print(f"\nvoxels with an alpha carbon: {curve.labelled:,} of {curve.voxels:,} ({curve.outside:,} outside)")
    table = Table("threshold", "precision", "recall", "F1", "F1 of chance", box=None, pad_edge=False)
    step = (len(curve.thresholds) - 1) // 10
    for row in range(0, len(curve.thresholds), step):
        values = curve.thresholds, curve.precision, curve.recall, curve.f1, curve.random_f1
        table.add_row(*(f"{value[row]:.4f}" if value is curve.random_f1 else f"{value[row]:.3f}" for value in values))
    console.table(table)
    console.print(f"best F1 {best:.3f} at {threshold:.2f}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
