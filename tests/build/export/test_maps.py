"""Folders of maps: MRC2014, the files and the sequences of the published ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.build.export.sequences import sequence_texts

LABEL_MAPS = {"atom": "atom", "amino": "amino", "secondary": "sec_struc"}


@pytest.fixture(scope="module")
def volume(simulated: Report) -> dict[str, Any]:
    """The one volume of the split `validation`, as it is read."""
    return dict(load_dataset("simulated", "volumes", split="validation", root=simulated.folder.parent)[0])


def test_maps_are_valid_mrc2014_and_hold_the_volume_at_its_place(
    made: Callable[[str], Path], volume: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made("mrc") / "maps" / volume["entry_id"]

    names = {"density": "", **{name: f"{word}_" for name, word in LABEL_MAPS.items()}}
    for name, prefix in names.items():
        path = folder / f"{prefix}emd_normalized_map.mrc"
        assert mrcfile.validate(path), capsys.readouterr().out
        with mrcfile.open(path) as file:
            assert np.array_equal(file.data, volume[name])
            assert file.header.origin.tolist() == tuple(np.float32(volume["origin_xyz"]).tolist())
            assert file.voxel_size.tolist() == (1.0, 1.0, 1.0)
            assert file.header.rms == pytest.approx(np.std(np.asarray(volume[name], dtype=np.float64)), rel=1e-6)


def test_an_entry_has_the_files_of_the_published_folders(made: Callable[[str], Path], simulated: Report) -> None:
    found = {path.name for path in (made("mrc") / "maps/SIM-00004").iterdir()}

    assert found == {
        "emd_normalized_map.mrc", "atom_emd_normalized_map.mrc", "atom_ca_emd_normalized_map.mrc",
        "amino_emd_normalized_map.mrc", "sec_struc_emd_normalized_map.mrc", "SIM-00004.cif", "SIM-00004.fasta",
        "SIM-00004_all_chain_combined.fasta", "atomic.fasta", "dealign_clustal_output.fasta",
    }  # fmt: skip
    # the published scripts enter whatever lies beside the folders of the entries
    assert sorted(path.name for path in (made("mrc") / "maps").iterdir()) == [f"SIM-0000{i}" for i in (1, 2, 3, 4)]


def test_modelled_residues_stand_under_those_of_the_full_sequence() -> None:
    chains = [
        {"chain": "B", "kind": "peptide", "full": "MKTAYIAK", "modelled": "KTAYXAK", "alignment": "1I4M1I1D2M"},
        {"chain": "A", "kind": "peptide", "full": "", "modelled": "GG", "alignment": ""},
        {"chain": "R", "kind": "nucleic", "full": "ACGU", "modelled": "AC", "alignment": "2M2I"},
    ]

    texts = sequence_texts({"sequences": chains}, "1abc")

    assert texts == {
        "1abc.fasta": ">1abc_1|Chain B|\nMKTAYIAK\n>1abc_2|Chain A|\nGG\n",
        "1abc_all_chain_combined.fasta": "MKTAYIAKGG\n",
        "atomic.fasta": "KTAYXAKGG\n",
        "dealign_clustal_output.fasta": ">original\nMKTAYI-AKGG\n>atom\n-KTAY-XAKGG\n",
    }


def test_no_alignment_is_written_where_none_is_known() -> None:
    chain = {"chain": "A", "kind": "peptide", "full": "MKTAYIAK", "modelled": "KTAY"}

    assert "dealign_clustal_output.fasta" not in sequence_texts({"sequences": [chain]}, "1abc")
    assert "dealign_clustal_output.fasta" not in sequence_texts({"sequences": [{**chain, "alignment": "9M"}]}, "1abc")
