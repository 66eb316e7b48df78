"""The list of entries: which are refused, in which words, and what a build makes of bad files on a good one."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryodata_builders.cryo2struct import BUILDER

from cryodata.build.catalog import read_source_folder, read_split_list
from cryodata.core.parameters import resolve
from cryodata.errors import SourceError
from cryodata.formats.tables import reserved_columns

HEADER = "entry_id,map,model,resolution\n"
ID_RULE = "an id is 1 to 80 letters, digits, '.', '_' or '-', and begins with a letter or digit"
NUMBER = "expected a number above 0 or nothing"


def write_list(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "entries.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refusal(folder: Path, reserved: frozenset[str] = frozenset()) -> str:
    """The message that a list is refused with, without its path at the beginning."""
    with pytest.raises(SourceError) as refused:
        read_source_folder(folder, reserved)
    path = f"{folder / 'entries.csv'}: "
    assert str(refused.value).startswith(path)
    return str(refused.value).removeprefix(path)


def build(folder: Path, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`cryodata build cryo2struct` as a user runs it."""
    command = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--source", str(folder), "--root", str(root)]
    return subprocess.run([*command, "--workers", "0", *options], capture_output=True, text=True, timeout=120)


# --- good lists -----------------------------------------------------------------------------------------------------


def test_entries_come_sorted_by_id_whatever_the_order_of_the_list(tmp_path: Path) -> None:
    folder = write_list(tmp_path, "entry_id,map\nb,1.map\nA,2.map\nEMD-10,3.map\nEMD-9,4.map\n")

    assert [entry.entry_id for entry in read_source_folder(folder)] == ["A", "EMD-10", "EMD-9", "b"]


def test_a_row_becomes_an_entry_without_opening_its_map(tmp_path: Path) -> None:
    folder = write_list(
        tmp_path,
        "entry_id,emdb_id,pdb_id,map,model,half1,resolution,contour_level,split,kind\n"
        "A,EMD-1, pdb_00001abc ,no/such.map,no/such.cif,,3.25,-0.5,test,deposit\n",
    )
    (entry,) = read_source_folder(folder)

    assert (entry.entry_id, entry.emdb_id, entry.pdb_id) == ("A", "EMD-1", "pdb_00001abc")
    assert (entry.resolution, entry.contour_level, entry.split) == (3.25, -0.5, "test")
    assert {"map": str(folder / "no/such.map"), "model": str(folder / "no/such.cif")} == {
        role: source.path for role, source in entry.sources.items()
    }
    assert entry.metadata == {"kind": "deposit"}


def test_only_id_and_map_are_required(tmp_path: Path) -> None:
    (entry,) = read_source_folder(write_list(tmp_path, "map,entry_id\na.map,A\n"))

    assert (entry.resolution, entry.contour_level, entry.split, entry.emdb_id) == (None, None, "", "")


def test_a_list_without_rows_has_no_entries(tmp_path: Path) -> None:
    assert read_source_folder(write_list(tmp_path, HEADER)) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("entry_id,map\nA,a.map\n", id="plain"),
        pytest.param("entry_id,map\nA,a.map", id="no newline at the end"),
        pytest.param("\ufeffentry_id,map\nA,a.map\n", id="byte order mark"),
        pytest.param("entry_id,map\r\nA,a.map\r\n", id="Windows"),
        pytest.param("entry_id,map\rA,a.map\r", id="old Macintosh"),
        pytest.param(" entry_id , map \n A , a.map \n", id="blanks"),
        pytest.param('"entry_id","map"\n"A","a.map"\n', id="quotes"),
        pytest.param("entry_id,map\n\nA,a.map\n\n\n", id="empty lines"),
    ],
)
def test_every_writing_of_a_list_gives_the_same_entries(tmp_path: Path, text: str) -> None:
    (entry,) = read_source_folder(write_list(tmp_path, text))

    assert ("A", str(tmp_path / "a.map")) == (entry.entry_id, entry.sources["map"].path)


def test_metadata_keep_quoted_commas_newlines_and_other_alphabets(tmp_path: Path) -> None:
    text = 'entry_id,map,note\nA,a.map,"two\nlines, and ""more"" of Ångström"\n'
    (entry,) = read_source_folder(write_list(tmp_path, text))

    assert entry.metadata == {"note": 'two\nlines, and "more" of Ångström'}


# --- faults of rows -------------------------------------------------------------------------------------------------

ROWS = [
    pytest.param("../x,a.map,,3", f"line 2, entry '../x': {ID_RULE}", id="id that climbs"),
    pytest.param("a/b,a.map,,3", f"line 2, entry 'a/b': {ID_RULE}", id="id with a slash"),
    pytest.param("a\\b,a.map,,3", f"line 2, entry 'a\\b': {ID_RULE}", id="id with a backslash"),
    pytest.param("a..b,a.map,,3", "line 2, entry 'a..b': an id has no '..'", id="id with two dots"),
    pytest.param(".a,a.map,,3", f"line 2, entry '.a': {ID_RULE}", id="hidden id"),
    pytest.param("-a,a.map,,3", f"line 2, entry '-a': {ID_RULE}", id="id like an option"),
    pytest.param("a b,a.map,,3", f"line 2, entry 'a b': {ID_RULE}", id="id with a blank"),
    pytest.param("é,a.map,,3", f"line 2, entry 'é': {ID_RULE}", id="id with an accent"),
    pytest.param("A\0,a.map,,3", f"line 2, entry 'A\0': {ID_RULE}", id="id with a NUL"),
    pytest.param(f"{'a' * 81},a.map,,3", f"line 2, entry '{'a' * 80}': {ID_RULE}", id="id too long"),
    pytest.param(",a.map,,3", "line 2, entry '': the id is empty", id="no id"),
    pytest.param(" ,a.map,,3", "line 2, entry '': the id is empty", id="blank id"),
    pytest.param("A,,,3", "line 2, entry 'A': no map is named", id="no map"),
    pytest.param(
        f"A,a.map,,{'9' * 400}x", f"line 2, entry 'A': resolution is '{'9' * 40}'; {NUMBER}", id="resolution, long"
    ),
    pytest.param("A,a.map,3", "line 2 has 3 fields; expected 4 as in the header", id="too few fields"),
    pytest.param("A,a.map,,3,", "line 2 has 5 fields; expected 4 as in the header", id="too many fields"),
    pytest.param("   ", "line 2 has 1 fields; expected 4 as in the header", id="a line of blanks"),
    pytest.param('A,"a.map,,3', "line 2: unexpected end of data", id="open quote"),
    pytest.param('A,"a"b.map,,3', "line 2: ',' expected after '\"'", id="text after a quote"),
    pytest.param(f"A,{'x' * 200_000},,3", "line 2: field larger than field limit (131072)", id="endless field"),
]


@pytest.mark.parametrize(("row", "found"), ROWS)
def test_a_row_that_cannot_be_trusted_refuses_the_list_and_names_the_line(tmp_path: Path, row: str, found: str) -> None:
    assert found == refusal(write_list(tmp_path, HEADER + row))


@pytest.mark.parametrize(
    "text",
    [
        *("3.2 A", "high", "nan", "inf", "-3", "0", "1e999", "3;2", "0x3", "--3"),
        pytest.param("1_0"),
        pytest.param("٣"),
    ],
    ids=str,
)
def test_a_resolution_is_a_number_above_0_or_nothing(tmp_path: Path, text: str) -> None:
    folder = write_list(tmp_path, HEADER + f"A,a.map,,3.2\nB,b.map,,\nC,c.map,,{text}\n")

    assert refusal(folder) == f"line 4, entry 'C': resolution is '{text}'; {NUMBER}"


@pytest.mark.parametrize("role", ["map", "model"])
def test_a_path_holds_no_nul(tmp_path: Path, role: str) -> None:
    row = {"map": "a.map", "model": "a.cif", role: "a\0b"}
    folder = write_list(tmp_path, HEADER + f"A,{row['map']},{row['model']},3\n")

    assert refusal(folder).startswith(f"line 2, entry 'A': {role} ")


@pytest.mark.parametrize("level", ["low", "nan", "-inf"])
def test_a_contour_level_is_a_number_of_any_sign_or_nothing(tmp_path: Path, level: str) -> None:
    folder = write_list(tmp_path, f"entry_id,map,contour_level\nA,a.map,-0.1\nB,b.map,\nC,c.map,{level}\n")

    assert refusal(folder) == f"line 4, entry 'C': contour_level is '{level}'; expected a number or nothing"


@pytest.mark.parametrize(
    ("first", "second"), [("EMD-1", "EMD-1"), ("EMD-1", "emd-1"), ("Abc", "aBC")], ids=["equal", "lower", "mixed"]
)
def test_an_id_is_unique_without_regard_to_case(tmp_path: Path, first: str, second: str) -> None:
    folder = write_list(tmp_path, HEADER + f"{first},a.map,,3\nother,b.map,,3\n{second},c.map,,3\n")

    assert refusal(folder) == f"line 4, entry '{second}': the id is already on line 2 (case does not count)"


def test_an_archive_id_is_written_in_one_way(tmp_path: Path) -> None:
    """Else its entries were two units, and one could be trained on while the other is held out."""
    folder = write_list(
        tmp_path, "entry_id,emdb_id,map\nA,EMD-1,a.map\nB,EMD-1,b.map\nC,emd-1,c.map\nD,,d.map\nE,,e.map\n"
    )

    assert refusal(folder) == ("line 4, entry 'C': emdb_id is 'emd-1'; line 2 writes it 'EMD-1': write it in one way")


def test_every_fault_of_a_list_is_named(tmp_path: Path) -> None:
    folder = write_list(tmp_path, HEADER + "A,a.map,,x\nB,b.map,,3\n../C,c.map,,3\nb,d.map,,3\n")

    assert refusal(folder) == (
        f"line 2, entry 'A': resolution is 'x'; {NUMBER}; "
        f"line 4, entry '../C': {ID_RULE}; "
        "line 5, entry 'b': the id is already on line 3 (case does not count)"
    )


def test_of_many_faults_twenty_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    message = refusal(write_list(tmp_path, HEADER + "".join(f"E{number},,,3\n" for number in range(1000))))

    assert [f"line {line}," for line in range(2, 22)] == re.findall(r"line \d+,", message)
    assert message.endswith("line 21, entry 'E19': no map is named; and 980 more")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    # line 1 header, 2 and 3 one row, 4 empty, 5 the fault
    folder = write_list(tmp_path, 'entry_id,map,note\nA,a.map,"two\nlines"\n\nB,,\n')

    assert refusal(folder) == "line 5, entry 'B': no map is named"


def test_a_fault_in_a_row_of_several_lines_names_its_first(tmp_path: Path) -> None:
    folder = write_list(tmp_path, 'entry_id,map,note\nA,,"two\nlines"\n')

    assert refusal(folder) == "line 2, entry 'A': no map is named"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('entry_id,map\n"A\nB",a.map\n', id="id"),
        pytest.param('entry_id,"m\nap"\nA,a.map\n', id="column"),
        pytest.param('entry_id,map,resolution\nA,a.map,"3\n4"\n', id="number"),
    ],
)
def test_a_message_is_one_line_whatever_a_field_holds(tmp_path: Path, text: str) -> None:
    assert len(refusal(write_list(tmp_path, text)).splitlines()) == 1


# --- faults of the file ---------------------------------------------------------------------------------------------

REQUIRED = "expected different names, among them entry_id, map"

FILES = [
    pytest.param(b"", f"columns are none; {REQUIRED}", id="empty"),
    pytest.param(b"\n\nentry_id,map\n", f"columns are none; {REQUIRED}", id="empty first line"),
    pytest.param(b"A,a.map\n", f"columns are A, a.map; {REQUIRED}", id="no header"),
    pytest.param(b"entry_id;map\n", f"columns are entry_id;map; {REQUIRED}, separated by commas", id="semicolons"),
    pytest.param(b"entry_id,model\n", f"columns are entry_id, model; {REQUIRED}", id="no map column"),
    pytest.param(b"Entry_ID,Map\n", f"columns are Entry_ID, Map; {REQUIRED}", id="upper case"),
    pytest.param(b"entry_id,map,map\n", f"columns are entry_id, map, map; {REQUIRED}", id="a column twice"),
    pytest.param(b"entry_id,map,\n", f"columns are entry_id, map, ; {REQUIRED}", id="a column without a name"),
    pytest.param(b"entry_id,map\nA,\xe9.map\n", "line 2 is no UTF-8 text (byte 0xe9)", id="latin-1"),
    pytest.param("entry_id,map\nA,a.map\n".encode("utf-16"), "line 1 is no UTF-8 text (byte 0xff)", id="UTF-16"),
    pytest.param(gzip.compress(b"entry_id,map\n"), "line 1 is no UTF-8 text (byte 0x8b)", id="gzip"),
    pytest.param(b"entry_id,map\nA,a\xc3", "line 2 is no UTF-8 text (byte 0xc3)", id="cut in a character"),
    pytest.param(
        b"\xef\xbb\xbfentry_id,map\nA\xe9,a.map\n",
        "line 2 is no UTF-8 text (byte 0xe9)",
        id="latin-1 behind a byte order mark",
    ),
]


@pytest.mark.parametrize(("content", "found"), FILES)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    assert found == refusal(write_list(tmp_path, content))


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "can't be read (No such file or directory)"


def test_a_folder_in_place_of_the_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "entries.csv").mkdir()

    assert refusal(tmp_path) == "can't be read (Is a directory)"


@pytest.mark.parametrize("column", ["fit", "shape_zyx", "split_resolution", "volume"])
def test_a_column_that_the_dataset_makes_itself_is_refused(tmp_path: Path, column: str) -> None:
    reserved = reserved_columns(BUILDER.schema("published", resolve(BUILDER.parameters, [])))
    folder = write_list(tmp_path, f"entry_id,map,resolution,{column}\nA,a.map,3,1\n")

    assert refusal(folder, reserved) == f"column {column} is one that the dataset makes itself; rename it"
    assert len(read_source_folder(folder)) == 1  # it is the builder that reserves them


# --- lists of splits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"id,fold\nA,train\n", "columns are id, fold; expected different names, among them id, split"),
        pytest.param(b"id,split\nA,train\nA,test\n", "line 3: 'A' has two splits"),
        pytest.param(b"id,split\nA,train,x\n", "line 2 has 3 fields; expected 2 as in the header"),
        pytest.param(b"id,split\n\xe9,train\n", "line 2 is no UTF-8 text (byte 0xe9)"),
    ],
    ids=["columns", "two splits", "fields", "latin-1"],
)
def test_a_list_of_splits_is_held_to_the_same_rules(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_bytes(content)

    with pytest.raises(SourceError) as refused:
        read_split_list(path)

    assert f"{path}: {found}" == str(refused.value)


# --- random damage --------------------------------------------------------------------------------------------------


MARKS = (b'"', b",", b"\n", b"\r", b"\0", b"..", b"/", b"\xe9", b"\xef\xbb\xbf", "中".encode())
"what a list may trip over; the byte 0xe9 is no UTF-8"


def mutated_list(rng: random.Random, original: bytes) -> bytes:
    """A list with some bytes overwritten, repeated, dropped, or cut off."""
    raw = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        first, length = rng.randrange(len(raw)), rng.choice((1, 1, 5, 50))
        piece = bytes(raw[first : first + length])
        put = rng.choice(
            (b'"', b",", b"\n", b"\r", b"\0", b"\xe9", b"\xef\xbb\xbf", "中".encode(), b"..", piece * 3, b"")
        )
        raw[first : first + rng.choice((0, len(put), length))] = put
        raw = raw or bytearray(b"x")
    return bytes(raw[: rng.randrange(len(raw))] if rng.random() < 0.1 else raw)


def test_a_mutated_list_ends_as_entries_or_as_one_error(
    tmp_path: Path, shared_data: Path, series: Callable[[str, int], list[int]]
) -> None:
    original = (shared_data / "entries.csv").read_bytes()
    folder, faults, good = tmp_path, {}, 0
    cases = series("mutated lists", 500)
    for case in cases:
        write_list(folder, mutated_list(random.Random(f"list {case}"), original))
        try:
            ids = [entry.entry_id for entry in read_source_folder(folder)]
            good += 1
            if ids != sorted(ids) or len({entry_id.casefold() for entry_id in ids}) < len(ids):
                faults[case] = f"ids {ids}"
        except SourceError as error:
            if not str(error).startswith(f"{folder / 'entries.csv'}: ") or len(str(error).splitlines()) > 1:
                faults[case] = str(error)
        except Exception as error:
            faults[case] = f"{type(error).__name__}: {error}"

    assert faults == {}
    assert 0 < good < len(cases)  # the damage is neither harmless nor always fatal


# --- the command ----------------------------------------------------------------------------------------------------


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


# --- bad files on a good list ---------------------------------------------------------------------------------------


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


def test_a_column_of_other_case_is_told_its_name(tmp_path: Path) -> None:
    (tmp_path / "entries.csv").write_text("entry_id,map,Resolution\nA,a.map,3\n", encoding="utf-8")

    with pytest.raises(SourceError, match="columns have lower-case names: 'Resolution' for resolution$"):
        read_source_folder(tmp_path)
