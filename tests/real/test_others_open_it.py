"""What was built from the real maps opens in the tools of others."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tensorstore
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image

from cryodata.build.dataset import Report


@pytest.mark.filterwarnings("ignore")
def test_every_volume_validates_as_ome_zarr_0_5_and_opens_in_ome_zarr_and_tensorstore(real: Report) -> None:
    volumes = sorted(real.folder.glob("volumes/*/*.zarr"))
    for volume in volumes:
        group = zarr.open_group(volume, mode="r")
        expected = group["density"][...]
        Image.from_zarr(group)
        nodes = list(Reader(parse_url(str(volume)))())
        opened = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{volume}/density"}).result()
        labels = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{volume}/labels/amino/0"}).result()

        assert np.array_equal(expected, np.asarray(nodes[0].data[0]))
        assert np.array_equal(expected, opened.read().result())
        assert int(np.count_nonzero(labels.read().result())) > 0
        assert len(nodes) >= 2  # the image and its labels

    assert len(volumes) == 15


def test_every_table_opens_in_datasets_pandas_and_duckdb(real: Report, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    paths = sorted((real.folder / real.manifest.tables).glob("*.parquet"))
    for path in paths:
        expected = pq.ParquetFile(path).metadata.num_rows
        assert len(pd.read_parquet(path)) == expected
        assert duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall() == [(expected,)]
        if expected:  # `datasets` makes nothing of a file without rows
            found = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path))
            assert len(found) == expected

    assert len(paths) >= 8
