"""What a build makes of a bad list, and of bad files on a good one."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.build.catalog.lists import HEADER, ID_RULE, NUMBER, REQUIRED, build, write_list

# the command


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", f"columns are none; {REQUIRED}", id="empty"),
        pytest.param(HEADER + "../x,a.map,,3\n", f"line 2, entry '../x': {ID_RULE}", id="id that climbs"),
        pytest.param(
            HEADER + "A,a.map,,3\na,a.map,,3\n",
            "line 3, entry 'a': the id is already on line 2 (case does not count)",
            id="id twice",
        ),
        pytest.param(
            HEADER + "A,a.map,,x\n", f"line 2, entry 'A': resolution is 'x'; {NUMBER}", id="resolution no number"
        ),
        pytest.param(HEADER.encode() + b"\xe9,a.map,,3\n", "line 2 is no UTF-8 text (byte 0xe9)", id="latin-1"),
        pytest.param(HEADER + "A,a.map\n", "line 2 has 2 fields; expected 4 as in the header", id="too few fields"),
        pytest.param(
            "entry_id,map,fit\nA,a.map,1\n", "column fit is one that the dataset makes itself; rename it", id="reserved"
        ),
        pytest.param(None, "can't be read (No such file or directory)", id="missing"),
        pytest.param(
            "entry_id,map,model,resolution,split\nA,a.map,a.cif,3,hold-out\n",
            "line 2, entry 'A': unknown split 'hold-out'; expected one of train, validation, test, unassigned",
            id="unknown split",
        ),
    ],
)
def test_a_list_that_cannot_be_trusted_ends_the_build_before_work_with_one_line(
    tmp_path: Path, text: str | bytes | None, found: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if text is not None:
        write_list(source, text)
    done = build(source, tmp_path / "root")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"cryodata: error: {source / 'entries.csv'}: {found}\n" == done.stderr
    assert not list((tmp_path / "root").rglob("*.zarr"))


def test_a_program_gets_the_error_as_one_json_object(tmp_path: Path) -> None:
    done = build(write_list(tmp_path / "source", HEADER + "A,,,3\n"), tmp_path / "root", "--json")
    message = f"{tmp_path / 'source' / 'entries.csv'}: line 2, entry 'A': no map is named"

    assert {"error": message} == json.loads(done.stdout)
    assert done.returncode == 2


# bad files


class Source:
    """A source folder with one good entry, to which a test adds bad ones."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.folder = folder
        self.map = gzip.decompress((real / "emd_5830_box.map.gz").read_bytes())
        self.model = (real / "3j63_box.pdb").read_bytes()
        self.rows = [HEADER, "GOOD,good.map.gz,good.pdb,3.8\n"]
        folder.mkdir()
        shutil.copy(real / "emd_5830_box.map.gz", folder / "good.map.gz")
        shutil.copy(real / "3j63_box.pdb", folder / "good.pdb")

    def add(self, entry_id: str, **files: bytes) -> None:
        """An entry with other files than the good one. files: content of its map or model, by role."""
        names = {"map": "good.map.gz", "model": "good.pdb"}
        for role, content in files.items():
            names[role] = f"{entry_id}.{role}"
            (self.folder / names[role]).write_bytes(content)
        self.name(entry_id, **names)

    def name(self, entry_id: str, **names: str) -> None:
        """An entry with these names of files, there or not."""
        row = {"map": "good.map.gz", "model": "good.pdb", **names}
        self.rows.append(f"{entry_id},{row['map']},{row['model']},3.8\n")

    def map_with(self, *changes: tuple[int, str, Any]) -> bytes:
        """The good map, decompressed, with some of its words changed: (number, struct letter, value)."""
        raw = bytearray(self.map)
        for word, letter, value in changes:
            struct.pack_into(f"<{letter}", raw, 4 * word, value)
        return bytes(raw)

    def build(self, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
        write_list(self.folder, "".join(self.rows))
        return build(self.folder, root, *options)


@pytest.fixture
def source(tmp_path: Path, shared_data: Path) -> Source:
    return Source(tmp_path / "source", shared_data / "entries" / "EMD-5830-box")


def rejections_of(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Code and message by entry of a build that went through with `--json`."""
    assert done.returncode == 0
    assert not [line for line in done.stderr.splitlines() if not line.startswith("building cryo2struct: ")]
    return {item["entry_id"]: (item["code"], item["message"]) for item in json.loads(done.stdout)["rejections"]}


def words(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed for people, without the blanks and line ends of its tables."""
    return " ".join(done.stdout.split())


def test_bad_files_are_rejected_one_by_one_and_the_good_entry_is_built(tmp_path: Path, source: Source) -> None:
    packed = gzip.compress(source.map, 1, mtime=0)
    source.name("map-missing", map="missing.map")
    source.name("map-folder", map=".")
    source.add("map-empty", map=b"")
    source.add("map-zeros", map=bytes(5000))
    source.add("map-truncated", map=source.map[:-1])
    source.add("map-truncated-gzip", map=packed[: len(packed) // 2])
    source.add("map-huge", map=source.map_with(*((word, "i", 2**31 - 1) for word in (0, 1, 2))))
    source.add("map-large-voxel", map=source.map_with((10, "f", 1e9)))
    source.add("map-nan", map=source.map_with((256, "f", float("nan")), (300, "f", float("nan"))))
    source.add("map-zero", map=source.map[:1024] + bytes(len(source.map) - 1024))
    source.add("map-monoclinic", map=source.map_with((14, "f", 94.3)))
    source.name("model-missing", model="missing.pdb")
    source.add("model-empty", model=b"")
    source.add("model-text", model=b"see the README for the model\n")
    source.add("model-no-atoms", model=b"data_x\n_entry.id x\n")
    source.add("model-water", model=b"HETATM    1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\n")
    source.add("model-gzip", model=gzip.compress(source.model)[:-20])
    source.name("model-none", model="")
    done = source.build(tmp_path / "root", "--json")

    no_map = "expected a mode of 0, 1, 2, 6, 12, at least one value and the axes 1, 2, 3 in any order"
    ended = "broken gzip stream (Compressed file ended before the end-of-stream marker was reached); expected a "
    ended += "complete file"
    no_format = "neither PDB nor mmCIF (wrong format of coordinate file string)"
    no_atoms = "no atoms; expected a PDB or mmCIF file with a model"
    assert rejections_of(done) == {
        "map-missing": ("unreadable_map", "missing.map: can't be read (No such file or directory)"),
        "map-folder": ("unreadable_map", "source: can't be read (Is a directory)"),
        "map-empty": ("unreadable_map", "map-empty.map: 0 bytes; a map begins with a header of 1,024"),
        "map-zeros": (
            "unreadable_map",
            "map-zeros.map: mode 0, 0 x 0 x 0 values, axes 0 x 0 x 0; " + no_map,
        ),
        # 1,024 + 4 * 36 * 38 * 41
        "map-truncated": (
            "truncated_map",
            "map-truncated.map: 41 x 38 x 36 values of mode 2 need 225,376 bytes; the file holds 225,375 bytes at most",
        ),
        "map-truncated-gzip": ("unreadable_map", f"map-truncated-gzip.map: {ended}"),
        "map-huge": (
            "truncated_map",
            "map-huge.map: 2147483647 x 2147483647 x 2147483647 values of mode 2 need "
            "39,614,081,201,791,936,601,413,125,116 bytes; the file holds 225,376 bytes at most",
        ),
        # 36 and 38 voxels of 1.08 A along z and y are 38.88 and 41.04 A; 41 along x are a cell of 1e9 A
        "map-large-voxel": (
            "too_large",
            "map-large-voxel.map: 38 x 41 x 1000000000 voxels at 1 A; at most 1,073,741,824",
        ),
        "map-nan": ("not_finite", "map-nan.map: 2 of 56,088 voxels are NaN or infinite; expected numbers"),
        "map-zero": ("no_positive_density", "map-zero.map: no voxel is above 0"),
        "map-monoclinic": (
            "non_orthogonal",
            "map-monoclinic.map: cell angles are 90, 94.3, 90 degrees; expected 90, 90, 90",
        ),
        "model-missing": ("unreadable_model", "missing.pdb: can't be read (No such file or directory)"),
        "model-empty": ("unreadable_model", f"model-empty.model: {no_format}"),
        "model-text": ("unreadable_model", f"model-text.model: {no_atoms}"),
        "model-no-atoms": ("unreadable_model", f"model-no-atoms.model: {no_atoms}"),
        "model-water": ("no_protein", "model-water.model: no peptide residue with a C-alpha; found water"),
        "model-gzip": ("unreadable_model", f"model-gzip.model: {ended}"),
        "model-none": ("no_model", "no atomic model is named; labels are made from one"),
    }
    assert json.loads(done.stdout)["entries"] == 1


def test_people_see_every_rejection_and_the_exit_is_zero(tmp_path: Path, source: Source) -> None:
    source.add("BAD", map=b"")
    done = source.build(tmp_path / "root")

    assert done.returncode == 0
    assert "accepted  1 entries" in re.sub(" +", " ", done.stdout).replace("accepted 1", "accepted  1")
    assert "BAD unreadable_map BAD.map: 0 bytes; a map begins with a header of 1,024" in re.sub(
        r"\s+", " ", done.stdout
    )


def test_under_strict_a_rejection_is_a_failure(tmp_path: Path, source: Source) -> None:
    source.add("BAD", map=b"")

    assert source.build(tmp_path / "root", "--strict").returncode == 1


def test_an_infinite_density_gives_no_warning(tmp_path: Path, source: Source) -> None:
    source.add("BAD", map=source.map_with((256, "f", float("inf")), (257, "f", float("-inf"))))
    found = "BAD.map: 2 of 56,088 voxels are NaN or infinite; expected numbers"

    assert {"BAD": ("not_finite", found)} == rejections_of(source.build(tmp_path / "root", "--json"))


def test_a_gzip_bomb_behind_an_honest_map_is_rejected_as_such(tmp_path: Path, source: Source) -> None:
    source.add("BAD", map=gzip.compress(source.map + bytes(4 << 20)))
    found = "BAD.map: more than the 1,273,952 bytes that it may hold"  # 225,376 + 1,048,576

    assert {"BAD": ("unreadable_map", found)} == rejections_of(source.build(tmp_path / "root", "--json"))


def test_a_missing_half_map_is_rejected_as_such(tmp_path: Path, source: Source) -> None:
    folder = write_list(source.folder, "entry_id,map,model,resolution,half1\nBAD,good.map.gz,good.pdb,3.8,half.map\n")
    done = build(folder, tmp_path / "root", "--json")

    assert rejections_of(done) == {"BAD": ("unreadable_map", "half.map: can't be read (No such file or directory)")}


def test_a_model_in_latin_1_is_rejected_as_such(tmp_path: Path, source: Source) -> None:
    source.add("BAD", model=b"SEQRES   1 A    2  AL\xe9 ALA\n" + source.model)
    found = "BAD.model: names that are not ASCII or UTF-8"

    assert {"BAD": ("unreadable_model", found)} == rejections_of(source.build(tmp_path / "root", "--json"))


def test_a_rejection_is_printed_whatever_its_message_holds(tmp_path: Path, source: Source) -> None:
    source.add("BAD", model=b"data_x\n_a[/b] 1\n_a[/b] 2\n")
    done = source.build(tmp_path / "root")

    assert done.returncode == 0
    assert "duplicate tag _a[/b]" in words(done)


def test_a_file_name_in_brackets_is_printed_whole(tmp_path: Path, source: Source) -> None:
    source.name("BAD", map="map[box].mrc")

    assert "map[box].mrc: can't be read" in words(source.build(tmp_path / "root"))
