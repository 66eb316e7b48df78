"""cryo2struct: maps resampled to 1 A and normalised, with backbone atoms, residue types and secondary structure.

Source: Giri, Wang, Cheng, "Cryo2StructData: A Large Labeled Cryo-EM Density Map Dataset for AI-based Modeling of
Protein Structures", Scientific Data 11, 458 (2024). Maps from EMDB, models from the PDB, both CC0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.archive import FILTERS, read_address, read_archive
from cryodata.build.catalog import read_source_folder
from cryodata.build.fetch import fetched
from cryodata.build.models import assembly_facts, completed, fitted_models, judged_assemblies
from cryodata.core.entry import Entry, Sample, Source
from cryodata.core.model import AtomicModel, Structure
from cryodata.core.parameters import Parameter, count, number, number_or_none, one_of, yes_or_no
from cryodata.core.schema import ArraySpec, FactSpec, LabelClass, Schema
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import MapHeader, read_header
from cryodata.formats.tables import reserved_columns
from cryodata.prepare.labels import label_volume, place_points
from cryodata.prepare.merge import choose_models
from cryodata.prepare.normalize import normalize_published
from cryodata.prepare.quality import GOOD_FIT, FrameFit, Moments, fit, fit_shift, moments, share_outside
from cryodata.prepare.resample import resample, resampled_shape
from cryodata.prepare.residues import is_backbone
from cryodata.prepare.secondary import computed_secondary

SPACING = 1.0
"A"

MIN_RESOLUTION = 1.0
"A; the paper took maps of 1 to 4 A"

RESIDUES = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split()
"residue types in the order of their published numbers, 1 to 20"

RESIDUE_COLORS = (
    "#8c8c8c #145aff #00dcdc #e60a0a #e6e600 #00b4b4 #c80a0a #d2d2d2 #8282d2 #0f820f "
    "#1f9e1f #3c78ff #c8a000 #3232aa #dc9682 #fa9600 #ffb43c #b45ab4 #5a5ac8 #2fae2f"
).split()

ARRAYS = (
    ArraySpec("density", "density", "float32", 0.0, 1.0, "density / 95th percentile of the positive voxels, clipped"),
    ArraySpec(
        "atom", "label", "uint8", 0, 3, "backbone atom of a protein residue",
        (LabelClass(1, "CA", "#1f77b4"), LabelClass(2, "N", "#2ca02c"), LabelClass(3, "C", "#d62728")),
        column="atom", atoms=("CA", "N", "C"),
    ),
    ArraySpec(
        "amino", "label", "uint8", 0, 20, "residue type, at the C-alpha; other residues are 0",
        tuple(LabelClass(i + 1, name, RESIDUE_COLORS[i]) for i, name in enumerate(RESIDUES)),
        column="residue", atoms=("CA",), state="state_ca",
    ),
    ArraySpec(
        "secondary", "label", "uint8", 0, 3, "secondary structure, at the C-alpha; 0 where it is not determined",
        (LabelClass(1, "coil", "#7f7f7f"), LabelClass(2, "helix", "#ff7f0e"), LabelClass(3, "strand", "#9467bd")),
        column="secondary", atoms=("CA",), state="state_ca",
    ),
)  # fmt: skip

FACTS = (
    FactSpec("frame", "string", "header field that places the map: origin, nstart, zero or sum (of both)"),
    FactSpec("frame_source", "string", "header: the frame it asks for; model: another one, where the model fits"),
    FactSpec("fit", "float64", "(mean density at the C-alphas - mean) / standard deviation, on the map as read"),
    FactSpec("fit_shift", "float64", "share of 100 rigid shifts of 5 to 15 A that fit worse"),
    FactSpec("fits", "string", "fit in every frame that was tried"),
    FactSpec("ca_outside", "float64", "share of C-alphas more than half a voxel beyond the outer grid points"),
    FactSpec("percentile", "float64", "95th percentile of the positive voxels after resampling, in units of the map"),
    FactSpec("density_mean", "float64", "mean of the normalised density"),
    FactSpec("saturated", "int64", "voxels whose normalised density is exactly 1"),
    FactSpec("map_voxel_size_xyz", "float64[3]", "voxel size of the map as deposited, A"),
    FactSpec("map_mean", "float64", "mean of the map as deposited"),
    FactSpec("map_sd", "float64", "standard deviation of the map as deposited"),
    FactSpec("secondary_method", "string", "records: HELIX/SHEET or struct_conf; computed: Kabsch-Sander"),
    FactSpec("n_residues", "int64", "protein residues of the model"),
    FactSpec("models", "string", "fit of each fitted model in the frame of the map, or why it can't be used"),
    FactSpec("models_used", "string", "models that labels are made of: merged if they show different molecules"),
    FactSpec(
        "assembly", "string", "whether assembly 1 of each model used completes it, or why not; empty: adds nothing"
    ),
    FactSpec("assembly_fits", "string", "lowest fit among the copies that the assembly adds to a model"),
    FactSpec("assembly_copies", "int64", "copies of chains that assemblies added to the models"),
)


class Cryo2Struct:
    """The published dataset, rebuilt by the rules of its paper."""

    name = "cryo2struct"
    recipes: Mapping[str, int] = {"published": 1}
    parameters: Sequence[Parameter] = (
        Parameter("max_resolution", 4.0, number_or_none, False, "A; none takes maps of any and of unknown resolution"),
        Parameter("density", "float16", one_of("float16", "float32"), True, "how density is stored"),
        Parameter("label_volumes", True, yes_or_no, True, "store label volumes for viewers besides the label points"),
        Parameter("secondary", "records", one_of("records", "computed"), True, "records: computed only where none are"),
        Parameter("max_voxels", 2**30, count, True, "largest volume after resampling"),
        Parameter("min_fit", GOOD_FIT, number, True, "refused if the fit is below and fit_shift too; 0 checks nothing"),
        Parameter("min_fit_shift", 0.95, number, True, "see min_fit"),
        Parameter("assembly", True, yes_or_no, True, "complete a model by assembly 1 if every copy fits the map"),
        *FILTERS,
    )

    def schema(self, recipe: str) -> Schema:
        """Density, three labels and the facts of the fit."""
        return Schema(ARRAYS, FACTS)

    def license_of(self, entries: Sequence[Entry]) -> str:
        """CC0 for depositions, which EMDB and PDB publish so; nothing is said of maps without an archive id."""
        return "CC0-1.0" if entries and all(entry.emdb_id for entry in entries) else "unknown"

    def entries(self, source: Path | str | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """The rows of a source folder's entries.csv, here or at an address; without a source, what EMDB has."""
        reserved = reserved_columns(self.schema("published"))
        if source is None:
            return read_archive(folder, parameters["max_resolution"], MIN_RESOLUTION, parameters)
        return (
            read_address(source, folder, reserved) if isinstance(source, str) else read_source_folder(source, reserved)
        )

    def admit(self, entry: Entry, parameters: Mapping[str, Any]) -> None:
        """Refuse by resolution, and without a model."""
        highest = parameters["max_resolution"]
        if highest is not None and not (entry.resolution and MIN_RESOLUTION <= entry.resolution <= highest):
            found = "unknown" if entry.resolution is None else f"{entry.resolution:g} A"
            raise RejectedError(
                "resolution_out_of_range",
                f"resolution is {found}; expected {MIN_RESOLUTION:g} to {highest:g} A (max_resolution=none takes any)",
            )
        if "model" not in entry.sources:
            raise RejectedError("no_model", "no atomic model is named; labels are made from one")

    def fetch(self, entry: Entry, parameters: Mapping[str, Any]) -> Entry:
        """Fetch what lies at an address; the files of a source folder are in place already."""
        return fetched(entry)

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """Resample, normalise and label one map."""
        volume, header = _read_map(entry.sources["map"], parameters["max_voxels"])
        map_moments = _checked_moments(volume, header)
        fitted, told = fitted_models(entry, volume, header, map_moments)
        frame = max((item.frame for item in fitted), key=lambda item: item.fit)
        placed = Volume(volume.data, volume.voxel_size_xyz, frame.origin_xyz)
        fits = [fit(placed, item.ca_xyz, map_moments) for item in fitted]
        used = [fitted[number] for number in choose_models([item.ca_xyz for item in fitted], fits)]
        shift = _checked_fit(placed, np.concatenate([item.ca_xyz for item in used]), frame, map_moments, parameters)
        methods, backbones = zip(
            *(_with_secondary(item.structure, item.residues, parameters["secondary"]) for item in used), strict=True
        )
        verdicts = judged_assemblies(placed, map_moments, used) if parameters["assembly"] else []
        backbone, sequences = completed(used, backbones, verdicts)
        ca_xyz = backbone.xyz[is_backbone(backbone, ("CA",))]
        resampled = resample(placed, SPACING)
        density, percentile = normalize_published(resampled.data)
        points = place_points(
            backbone, resampled.shape_zyx, resampled.origin_xyz, resampled.voxel_size_xyz, rule="floor"
        )
        facts = {
            "frame": frame.frame,
            "frame_source": "header" if frame.frame == header.frame else "model",
            "fit": frame.fit,
            "fit_shift": shift,
            "fits": " ".join(f"{name}={value:.4f}" for name, value in sorted(frame.fits.items())),
            "ca_outside": share_outside(placed, ca_xyz),
            "percentile": percentile,
            "density_mean": float(density.mean(dtype=np.float64)),
            "saturated": int(np.count_nonzero(density == 1.0)),
            "map_voxel_size_xyz": volume.voxel_size_xyz.tolist(),
            "map_mean": map_moments.mean,
            "map_sd": map_moments.sd,
            "secondary_method": " and ".join(sorted(set(methods))),
            "n_residues": len(ca_xyz),
            "models": " ".join([*(f"{item.role}={at:.4f}" for item, at in zip(fitted, fits, strict=True)), *told]),
            "models_used": " ".join(item.role for item in used),
            **assembly_facts(used, verdicts),
        }
        labels = {array.name: label_volume(array, points, resampled.shape_zyx) for array in ARRAYS[1:]}
        return Sample(resampled, labels, points, sequences, facts)


def _read_map(source: Source, max_voxels: int) -> tuple[Volume, MapHeader]:
    path = Path(source.path)
    header = read_header(path)
    header.check_orthogonal()
    shape = resampled_shape(header.shape_zyx, header.voxel_size_xyz, SPACING)
    if math.prod(shape) > max_voxels:
        size = " x ".join(map(str, shape))
        raise RejectedError("too_large", f"{path.name}: {size} voxels at {SPACING:g} A; at most {max_voxels:,}")
    if min(shape) < 1:
        raise RejectedError("unreadable_map", f"{path.name}: smaller than one voxel of {SPACING:g} A")
    return source.volume or read_volume(path, header), header


def _checked_moments(volume: Volume, header: MapHeader) -> Moments:
    found = moments(volume.data)
    if not (math.isfinite(found.mean) and math.isfinite(found.sd)):
        bad = int(np.count_nonzero(~np.isfinite(volume.data)))
        found_bad = f"{bad:,} of {volume.data.size:,} voxels are NaN or infinite"
        raise RejectedError("not_finite", f"{header.file_name}: {found_bad}; expected numbers")
    if not volume.data.max() > 0:
        raise RejectedError("no_positive_density", f"{header.file_name}: no voxel is above 0")
    return found


def _checked_fit(
    volume: Volume, ca_xyz: np.ndarray[Any, Any], frame: FrameFit, map_moments: Moments, parameters: Mapping[str, Any]
) -> float:
    outside = share_outside(volume, ca_xyz)
    if outside > 0.5:
        found = f"{outside:.0%} of {len(ca_xyz)} C-alphas lie outside the map"
        raise RejectedError("model_outside_map", f"{found}, in whichever frame; expected half at most")
    shift = fit_shift(volume, ca_xyz, map_moments)
    if frame.fit < parameters["min_fit"] and shift < parameters["min_fit_shift"]:
        raise RejectedError(
            "model_does_not_fit",
            f"density at the C-alphas is {frame.fit:.2f} sd above the mean and {shift:.0%} of shifts fit worse; "
            f"expected {parameters['min_fit']:g} sd or {parameters['min_fit_shift']:.0%}",
        )
    return shift


def _with_secondary(structure: Structure, residues: AtomicModel, wanted: str) -> tuple[str, AtomicModel]:
    """How secondary structure was found, and the backbone with it."""
    backbone = residues.take(is_backbone(residues))
    if wanted == "records" and structure.has_secondary_records:
        return "records", backbone
    return "computed", backbone.with_secondary(computed_secondary(residues)[is_backbone(residues)])


BUILDER = Cryo2Struct()
