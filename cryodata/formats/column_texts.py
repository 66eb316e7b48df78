"""What the columns of the tables mean, with their units: for the dataset card and the Croissant file."""

from __future__ import annotations

from cryodata.core.schema import Schema
from cryodata.core.splits import SCHEMES

ENTRY_TEXTS = {
    "entry_id": "id of the entry, unique in the dataset",
    "emdb_id": "EMDB id of the map; empty if there is none",
    "pdb_id": "PDB ids of the models; empty if there is none",
    "resolution": "as reported, A",
    "resolution_bin": "bin under which the resolution is counted, A",
    "contour_level": "recommended by the authors, in units of the deposited map",
    **{f"split_{scheme}": f"split by the scheme `{scheme}`" for scheme in SCHEMES},
    "shape_zyx": "voxels of the volume along z, y, x",
    "voxel_size_xyz": "edges of a voxel along x, y, z, A",
    "origin_xyz": "centre of the first voxel, x, y, z, A",
    "n_subgrids": "sub-grids of the volume",
    "volume": "folder of the volume (OME-Zarr 0.5), relative to the dataset's folder",
    "volume_bytes": "bytes of the volume on disk",
    "recipe_digest": "sha256 over the recipe, its settings and the sources",
    "source_sha256": "each source: role, sha256 and bytes after decompression",
    "sequences": (
        "each polymer chain: name, kind, residues in the model, full sequence, and how they are aligned: runs of "
        "residues that both have (M), the full sequence alone (I), the model alone (D)"
    ),
    "label_counts": "each label class: atoms in the model = written + lost to another atom + outside the map",
}
"columns of the entries table that every dataset has"

ATOM_TEXTS = {
    "volume": "row of the entry in entries.parquet, from 0",
    "chain": "chain of the model",
    "label_seq_id": "number of the residue in its sequence",
    "residue": "name of the residue",
    "atom": "name of the atom",
    "element": "chemical symbol",
    "kind": "protein, nucleic, ligand, ion, glycan, water, or other (peptide residues without C-alpha, other polymers)",
    "part": "backbone or sidechain of protein; phosphate, sugar or base of nucleic acid; hydrogen; empty for the rest",
    "parent": "standard residue that a modified one was made from, by gemmi's tables; empty if there is none",
    "xyz": "position x, y, z, A",
    "voxel_zyx": "voxel by the rule of the recipe, z, y, x",
    "state": "0 written, 1 lost its voxel to another atom, 2 outside the map; 255 taken by no label",
    "state_ca": "the same among C-alphas alone, for residue types and secondary structure; 255 for other atoms",
    "secondary": "1 coil, 2 helix, 3 strand; 0 not determined",
    "occupancy": "share of the molecules in which the atom is there",
    "b_factor": "A^2",
    "q_score": "Q-score of the residue; empty where it was not measured",
}
"a row per atom of the molecule, one alternative of each residue"

SUBGRID_TEXTS = {
    "volume": "row of the entry in entries.parquet, from 0",
    "start_zyx": "first voxel of the box, z, y, x; negative where it begins outside the map",
    "n_ca_core": "labelled C-alphas in the core",
    "n_ca_box": "labelled C-alphas in the box",
    "n_atom_box": "labelled atoms in the box",
    "occupied": "share of the box's voxels inside the map that are above 0.1",
    "density_max": "largest density in the box",
}
"a row per sub-grid"

REJECTED_TEXTS = {
    "entry_id": "id of the entry that was refused",
    "code": "reason, short and stable",
    "message": "reason in words: what was found, what was expected",
}

OBJECT_TEXTS = {
    "path": "object of the version, relative to the dataset's folder",
    "bytes": "its length",
    "sha256": "hash of its bytes",
}


def entry_texts(schema: Schema) -> dict[str, str]:
    """Columns of the entries table with the builder's own; what is not in it came with the source list."""
    return ENTRY_TEXTS | {fact.name: fact.description for fact in schema.facts}
