"""Label arrays that builders may declare: backbone, residue types, secondary structure, side chains, nucleic acids and
the rest of the molecule. Which of them a dataset has, its schema says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryodata.core.schema import ArraySpec, LabelClass

RESIDUES = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split()
"residue types in the order of their published numbers, 1 to 20"

RESIDUE_COLORS = (
    "#8c8c8c #145aff #00dcdc #e60a0a #e6e600 #00b4b4 #c80a0a #d2d2d2 #8282d2 #0f820f "
    "#1f9e1f #3c78ff #c8a000 #3232aa #dc9682 #fa9600 #ffb43c #b45ab4 #5a5ac8 #2fae2f"
).split()

NUCLEOTIDES = "A C G U DA DC DG DT".split()


def _classes(names: Sequence[str], colors: str | Sequence[str]) -> tuple[LabelClass, ...]:
    colors = colors.split() if isinstance(colors, str) else colors
    return tuple(LabelClass(number, *item) for number, item in enumerate(zip(names, colors, strict=True), 1))


RESIDUE_CLASSES = _classes(RESIDUES, RESIDUE_COLORS)

_SECONDARY = _classes(("coil", "helix", "strand"), "#7f7f7f #ff7f0e #9467bd")

_ATOM = _classes(("CA", "N", "C"), "#1f77b4 #2ca02c #d62728")


def _label(
    name: str, description: str, classes: tuple[LabelClass, ...], column: str, **who: tuple[str, ...]
) -> ArraySpec:
    state = "state_ca" if name in ("amino", "secondary") else "state"
    spec = ArraySpec(name, "label", "uint8", 0, len(classes), description, classes, column=column, state=state)
    return replace(spec, **who)  # type: ignore[arg-type]


PROTEIN = ("protein",)

ATOM = _label("atom", "backbone atom of a protein residue", _ATOM, "atom", atoms=("CA", "N", "C"), kinds=PROTEIN)
AMINO = _label(
    "amino", "residue type, at the C-alpha; other residues are 0", RESIDUE_CLASSES, "residue", atoms=("CA",),
    kinds=PROTEIN,
)  # fmt: skip
SECONDARY = _label(
    "secondary", "secondary structure, at the C-alpha; 0 where it is not determined", _SECONDARY, "secondary",
    atoms=("CA",), kinds=PROTEIN,
)  # fmt: skip

MOLECULE = (
    _label(
        "backbone", "backbone atom of a protein residue, its oxygen too",
        _classes(("CA", "N", "C", "O"), "#1f77b4 #2ca02c #d62728 #e377c2"), "atom", atoms=("CA", "N", "C", "O"),
        kinds=PROTEIN,
    ),
    _label(
        "sidechain", "type of the residue, at the atoms of its side chain; modified residues by their parent",
        RESIDUE_CLASSES, "parent", kinds=PROTEIN, parts=("sidechain",),
    ),
    _label(
        "nucleic", "part of a nucleotide, at its atoms",
        _classes(("phosphate", "sugar", "base"), "#ff7f0e #8c564b #17becf"), "part",
        kinds=("nucleic",), parts=("phosphate", "sugar", "base"),
    ),
    _label(
        "base", "type of the nucleotide, at the atoms of its base; modified ones by their parent",
        _classes(NUCLEOTIDES, "#1b9e77 #d95f02 #7570b3 #e7298a #66a61e #e6ab02 #a6761d #666666"), "parent",
        kinds=("nucleic",), parts=("base",),
    ),
    _label(
        "ligand", "atoms of ligands, ions, glycans and waters",
        _classes(("ligand", "ion", "glycan", "water"), "#d62728 #bcbd22 #2ca02c #1f77b4"), "kind",
        kinds=("ligand", "ion", "glycan", "water"), parts=("",),
    ),
)  # fmt: skip
"the labels beside atom, amino and secondary"

LABELS: Mapping[str, ArraySpec] = {array.name: array for array in (ATOM, AMINO, SECONDARY, *MOLECULE)}
