"""The list of entries: what it may say, and in which words it is refused."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryodata_builders.cryo2struct import BUILDER

from cryodata.build.catalog import read_source_folder, read_split_list
from cryodata.core.parameters import resolve
from cryodata.errors import SourceError
from cryodata.formats.tables import reserved_columns
from tests.build.catalog.lists import HEADER, ID_RULE, NUMBER, REQUIRED, refusal, write_list

# good lists


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


# faults of rows

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


# faults of the file

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


# lists of splits


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


def test_a_column_of_other_case_is_told_its_name(tmp_path: Path) -> None:
    (tmp_path / "entries.csv").write_text("entry_id,map,Resolution\nA,a.map,3\n", encoding="utf-8")

    with pytest.raises(SourceError, match="columns have lower-case names: 'Resolution' for resolution$"):
        read_source_folder(tmp_path)


# random damage


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
