"""Dense sub-grids as Parquet files, for `datasets`, Polars, DuckDB and whatever else reads Parquet.

DIR/data/train-00000-of-00012.parquet   a row a sub-grid: ids, place, arrays as nested lists
DIR/README.md                           with the header by which `datasets.load_dataset(DIR)` knows the splits
"""

from __future__ import annotations

from cryodata.build.export import Chosen, Layout, shards
from cryodata.formats.dense import write_dense

SHARE = 0.5
"""Of the bytes of the arrays, what compression leaves, an upper estimate: 0.27 where noise is in every voxel
(benchmarks/results/readers.json: 1,406 of 5,184 MB)."""

ADVICE = 'datasets.load_dataset("{folder}", split="train").with_format("numpy")'


def lay_out(chosen: Chosen) -> Layout:
    """A piece a file."""
    schema, box = chosen.decoder.schema, chosen.decoder.opened.manifest.box
    place = "data/{split}-{number:05d}-of-{total:05d}.parquet"
    pieces = shards.pieces(
        chosen,
        place,
        round(SHARE * shards.example_bytes(chosen)) + 1024,
        lambda path, examples: write_dense(
            path,
            schema,
            box,
            (
                {**{name: item.row[name] for name in ("entry_id", "emdb_id", "pdb_id", "resolution")},
                 "start_zyx": item.start_zyx, **item.arrays}
                for item in examples
            ),
        ),
    )  # fmt: skip
    return Layout(pieces, {"README.md": lambda: [_readme(chosen)]}, ADVICE)


def _readme(chosen: Chosen) -> str:
    manifest = chosen.decoder.opened.manifest
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in chosen.by_split)
    arrays = "".join(f"* `{array.name}`: {array.description}\n" for array in manifest.schema.arrays)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        f"# {chosen.title}, sub-grids of {manifest.box} voxels\n\nMade by cryodata from the manifest "
        f"{chosen.decoder.opened.sha256}.\n\n{arrays}"
    )
