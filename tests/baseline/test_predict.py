"""Prediction of map files: any axis order and frame, and the same reasons to refuse as a build."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.baseline.predict import Asked, predict
from cryodata.baseline.predictions import open_prediction
from cryodata.build.dataset import Report
from cryodata.cli import app
from cryodata.errors import DatasetError, RejectedError, UsageError
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header


@pytest.fixture(scope="module")
def map_file(simulated: Report) -> Path:
    """A validation map, as it was built from."""
    return next((simulated.folder / "source").iterdir()) / "SIM-00004.map.gz"


@pytest.fixture(scope="module")
def predicted(run: Path, map_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predicted") / "out"
    predict(map_file, [run], folder, Asked(mrc=("atom:CA",)))
    return folder


def test_the_network_sees_what_it_saw_in_training(predicted: Path, simulated: Report) -> None:
    (volume,) = load_dataset(str(simulated.folder), "volumes", split="validation", streaming=True)
    found = open_prediction(predicted).density()

    np.testing.assert_array_equal(found.data, volume["density"])
    np.testing.assert_array_equal(found.origin_xyz, volume["origin_xyz"])


def test_probabilities_of_a_head_sum_to_one(predicted: Path) -> None:
    found = open_prediction(predicted)

    assert found.classes["atom"] == ("none", "CA", "N", "C")
    assert {name: len(names) for name, names in found.classes.items()} == {"atom": 4, "amino": 21, "secondary": 4}
    for name in found.classes:
        whole = found.arrays[name][:].astype(np.float32)
        assert whole.shape[1:] == found.shape_zyx
        # each of 21 channels may be rounded, and is 0 below 2^-12
        np.testing.assert_allclose(whole.sum(axis=0), 1.0, atol=21 * 2**-12)
    np.testing.assert_allclose(found.channel("amino", 0).data, 1 - found.channel("atom", 1).data, atol=1e-3)


def test_a_voxel_is_read_as_it_is_stored(predicted: Path) -> None:
    found = open_prediction(predicted)
    places = np.array([[3, 4, 5], [20, 30, 10]])

    read = found.at("amino", places)

    assert read.shape == (2, 21)
    np.testing.assert_array_equal(read[1], found.arrays["amino"][:, 20, 30, 10])


def test_the_map_of_a_channel_lies_where_the_map_lies(predicted: Path) -> None:
    path, found = predicted / "atom_CA.mrc.gz", open_prediction(predicted)
    volume = read_volume(path, read_header(path))

    np.testing.assert_array_equal(volume.data, found.channel("atom", 1).data)
    np.testing.assert_allclose(volume.origin_xyz, found.origin_xyz, atol=1e-4)


def test_axis_order_and_byte_order_of_the_file_change_nothing(
    predicted: Path, run: Path, map_file: Path, tmp_path: Path
) -> None:
    """Written with sections along x, columns along z: the same map in another order."""
    volume = read_volume(map_file, read_header(map_file))
    with mrcfile.new(tmp_path / "turned.mrc") as file:
        file.set_data(np.ascontiguousarray(volume.data.transpose(2, 1, 0)))
        header, (nz, ny, nx) = file.header, volume.shape_zyx
        header.mapc, header.mapr, header.maps = 3, 2, 1
        header.mx, header.my, header.mz = nx, ny, nz
        header.cella = tuple(n * size for n, size in zip((nx, ny, nz), volume.voxel_size_xyz, strict=True))
        header.origin = tuple(volume.origin_xyz)

    found = predict(tmp_path / "turned.mrc", [run], tmp_path / "out")

    np.testing.assert_array_equal(found.arrays["atom"][:], open_prediction(predicted).arrays["atom"][:])


def test_what_can_not_be_predicted_is_refused_and_leaves_nothing(run: Path, map_file: Path, tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "nan.mrc") as file:
        file.set_data(np.ones((8, 8, 8), dtype=np.float32))
        file.voxel_size = 1.0
        file.data[1, 2, 3] = np.nan
    out = tmp_path / "out"

    with pytest.raises(RejectedError, match=r"nan.mrc: some voxels are NaN or infinite; expected numbers"):
        predict(tmp_path / "nan.mrc", [run], out)
    with pytest.raises(UsageError, match=r"--mrc atom:CB: expected HEAD:CLASS of atom: none CA N C; amino: none ALA"):
        predict(map_file, [run], out, Asked(mrc=("atom:CB",)))
    with pytest.raises(UsageError, match=r"more than one run predicts amino, atom, secondary; expected each head once"):
        predict(map_file, [run, run], out)
    with pytest.raises(UsageError, match=r"holds no run.json; expected the folder of a run"):
        predict(map_file, [tmp_path], out)

    assert {path.name for path in tmp_path.iterdir()} == {"nan.mrc"}


def test_weights_of_another_network_are_refused(run: Path, map_file: Path, tmp_path: Path) -> None:
    card = json.loads((run / "run.json").read_text())
    card["spec"]["filters"] = 16
    (tmp_path / "run.json").write_text(json.dumps(card))
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())

    with pytest.raises(DatasetError, match=r"weights.safetensors: not the weights of the network in run.json"):
        predict(map_file, [tmp_path], tmp_path / "out")


def test_the_command_tells_what_it_made(run: Path, map_file: Path, predicted: Path, tmp_path: Path) -> None:
    command = ["predict", str(map_file), "--weights", str(run), "--out", str(tmp_path / "out"), "--batch-size", "3"]

    result = CliRunner().invoke(app, [*command, "--json"], standalone_mode=False)
    again = CliRunner().invoke(app, command, standalone_mode=False)

    assert json.loads(result.stdout)["classes"]["secondary"] == ["none", "coil", "helix", "strand"]
    assert "is not empty; use another --out, or --overwrite" in str(again.exception)
    one, three = (open_prediction(folder).arrays["atom"][:] for folder in (predicted, tmp_path / "out"))
    np.testing.assert_allclose(one, three, atol=5e-4)
