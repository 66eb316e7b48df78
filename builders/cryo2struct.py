"""cryo2struct: maps resampled to 1 A and normalised, with backbone atoms, residue types and secondary structure.

Source: Giri, Wang, Cheng, "Cryo2StructData: A Large Labeled Cryo-EM Density Map Dataset for AI-based Modeling of
Protein Structures", Scientific Data 11, 458 (2024). Maps from EMDB, models from the PDB, both CC0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.archive import FILTERS, read_address, read_archive
from cryodata.build.builder import DENSITY
from cryodata.build.catalog import read_source_folder
from cryodata.build.fetch import fetched
from cryodata.build.maps import checked_fit, checked_moments, read_map
from cryodata.build.models import assembly_facts, atoms_of, completed, fitted_models, judged_assemblies
from cryodata.core.entry import Entry, Sample
from cryodata.core.parameters import Parameter, count, number, number_or_none, one_of, several_of, yes_or_no
from cryodata.core.schema import DENSITIES, FactSpec, Schema
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.formats.tables import reserved_columns
from cryodata.prepare.arrays import LABELS
from cryodata.prepare.assessment import FACTS as QUALITY_FACTS
from cryodata.prepare.assessment import READS as QUALITY_READS
from cryodata.prepare.assessment import SETTINGS, Claims, assess, ignoring
from cryodata.prepare.labels import place_points
from cryodata.prepare.merge import choose_models
from cryodata.prepare.molecule import named_points
from cryodata.prepare.narrow import narrowed
from cryodata.prepare.normalize import pieces
from cryodata.prepare.quality import GOOD_FIT, fit, share_outside
from cryodata.prepare.recipes import RECIPES
from cryodata.prepare.residues import is_backbone

SPACING = 1.0
"A"

MIN_RESOLUTION = 1.0
"A; the paper took maps of 1 to 4 A"

FACTS = (
    FactSpec("frame", "string", "header field that places the map: origin, nstart, zero or sum (of both)"),
    FactSpec("frame_source", "string", "header: the frame it asks for; model: another one, where the model fits"),
    FactSpec("fit", "float64", "(mean density at the C-alphas - mean) / standard deviation, on the map as read"),
    FactSpec("fit_shift", "float64", "share of 100 rigid shifts of 5 to 15 A that fit worse"),
    FactSpec("fits", "string", "fit in every frame that was tried"),
    FactSpec("ca_outside", "float64", "share of C-alphas more than half a voxel beyond the outer grid points"),
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
    *QUALITY_FACTS,
)


class Cryo2Struct:
    """The published dataset, rebuilt by the rules of its paper."""

    name = "cryo2struct"
    recipes: Mapping[str, int] = {"published": 3, "released": 2, "refined": 2}
    reads: Mapping[str, tuple[str, ...]] = {
        name: tuple(sorted({*recipe.reads, *QUALITY_READS})) for name, recipe in RECIPES.items()
    }
    parameters: Sequence[Parameter] = (
        Parameter("max_resolution", 4.0, number_or_none, False, "A; none takes maps of any and of unknown resolution"),
        DENSITY,
        Parameter("label_volumes", True, yes_or_no, True, "store label volumes for viewers besides the label points"),
        Parameter("labels", "default", several_of(*LABELS), True, "arrays of labels: default, all, or some names"),
        Parameter("secondary", "records", one_of("records", "computed"), True, "records: computed only where none are"),
        Parameter("max_voxels", 2**30, count, True, "largest volume after resampling"),
        Parameter("min_fit", GOOD_FIT, number, True, "refused if the fit is below and fit_shift too; 0 checks nothing"),
        Parameter("min_fit_shift", 0.95, number, True, "see min_fit"),
        Parameter("assembly", True, yes_or_no, True, "complete a model by assembly 1 if every copy fits the map"),
        *SETTINGS,
        *FILTERS,
    )

    def schema(self, recipe: str, parameters: Mapping[str, Any]) -> Schema:
        """Density, labels and the facts of the fit."""
        return ignoring(RECIPES[recipe].schema(FACTS, parameters["labels"]), parameters)

    def license_of(self, entries: Sequence[Entry]) -> str:
        """CC0 for depositions, which EMDB and PDB publish so; nothing is said of maps without an archive id."""
        return "CC0-1.0" if entries and all(entry.emdb_id for entry in entries) else "unknown"

    def entries(self, source: Path | str | None, parameters: Mapping[str, Any], folder: Path) -> list[Entry]:
        """The rows of a source folder's entries.csv, here or at an address; without a source, what EMDB has."""
        schemas = [self.schema(recipe, {**parameters, "labels": "default"}) for recipe in self.recipes]
        reserved = frozenset().union(*map(reserved_columns, schemas))
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
        way, schema = RECIPES[recipe], self.schema(recipe, parameters)
        volume, header = read_map(entry.sources["map"], parameters["max_voxels"], SPACING)
        map_moments = checked_moments(volume, header)
        fitted, told = fitted_models(entry, volume, header, map_moments, every_model=way.by_name)
        frame = max((item.frame for item in fitted), key=lambda item: item.fit)
        placed = Volume(volume.data, volume.voxel_size_xyz, frame.origin_xyz)
        fits = [fit(placed, item.ca_xyz, map_moments) for item in fitted]
        used = [fitted[number] for number in choose_models([item.ca_xyz for item in fitted], fits)]
        shift = checked_fit(placed, np.concatenate([item.ca_xyz for item in used]), frame, map_moments, parameters)
        methods, molecules = zip(*(atoms_of(item, parameters["secondary"], way.by_name) for item in used), strict=True)
        verdicts = [] if way.by_name or not parameters["assembly"] else judged_assemblies(placed, map_moments, used)
        atoms, sequences = completed(used, molecules, verdicts)
        named = named_points(atoms)
        claims = Claims(entry.resolution, entry.contour_level, sequences)
        found = assess(placed, named, claims, map_moments, parameters)
        named = replace(named, q_score=found.q_score)
        resampled = way.resample(placed, SPACING)
        density, measured = way.normalize(resampled.data, entry.contour_level)
        points = place_points(named, schema, resampled.shape_zyx, resampled.origin_xyz, resampled.voxel_size_xyz)
        ca_xyz = atoms.xyz[is_backbone(atoms, ("CA",)) & (points.kind == "protein")]
        facts = {
            "frame": frame.frame,
            "frame_source": "header" if frame.frame == header.frame else "model",
            "fit": frame.fit,
            "fit_shift": shift,
            "fits": " ".join(f"{name}={value:.4f}" for name, value in sorted(frame.fits.items())),
            "ca_outside": share_outside(placed, ca_xyz),
            "density_mean": float(density.mean(dtype=np.float64)),
            "saturated": sum(int(np.count_nonzero(piece == 1.0)) for piece in pieces(density)),
            "map_voxel_size_xyz": volume.voxel_size_xyz.tolist(),
            "map_mean": map_moments.mean,
            "map_sd": map_moments.sd,
            "secondary_method": " and ".join(sorted(set(methods))),
            "n_residues": len(ca_xyz),
            "models": " ".join([*(f"{item.role}={at:.4f}" for item, at in zip(fitted, fits, strict=True)), *told]),
            "models_used": " ".join(item.role for item in used),
            **assembly_facts(used, verdicts),
            **found.facts,
            **measured,
        }
        dtype = np.dtype(DENSITIES[parameters["density"]])
        stored = narrowed(density, dtype, schema.density.step_as(dtype), overwrite=True)
        return Sample(replace(resampled, data=stored), points, sequences, facts)


BUILDER = Cryo2Struct()
