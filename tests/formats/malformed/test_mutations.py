"""Random damage to real files: never a traceback, a hang or a crash of the parser."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume
from cryodata.formats.mrc_header import read_header
from tests.formats.malformed.small import (
    INF,
    NAN,
    SIGNALLING_NAN,
    atom_line,
)

Mutation = Callable[[random.Random, bytes], bytes]

INTS = (-(2**31), -1, 0, 1, 2, 3, 5, 127, 32768, 65536, 10**9, 2**31 - 1)
FLOATS = (0.0, -0.0, 1e-45, 1e-30, 1.0, 90.0, 120.0, -1.0, 1e10, 3.4e38, -3.4e38, INF, -INF, NAN)
WORDS = (*range(25), 27, *range(49, 56))
"header words that mean something"


def cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def flip_bytes(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 40)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_header_bytes(rng: random.Random, raw: bytes) -> bytes:
    return flip_bytes(rng, raw[:1024]) + raw[1024:]


def swap_bytes(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 10)):
        i, j = rng.randrange(len(changed)), rng.randrange(len(changed))
        changed[i], changed[j] = changed[j], changed[i]
    return bytes(changed)


def repeat_chunk(rng: random.Random, raw: bytes) -> bytes:
    first, at = rng.randrange(len(raw)), rng.randrange(len(raw))
    return raw[:at] + raw[first : first + rng.choice((1, 4, 80, 1000, 20000))] + raw[at:]


def drop_chunk(rng: random.Random, raw: bytes) -> bytes:
    first = rng.randrange(len(raw))
    return raw[:first] + raw[first + rng.choice((1, 4, 80, 1000, 20000)) :]


def put_unicode(rng: random.Random, raw: bytes) -> bytes:
    ranges = ((32, 127), (0xA0, 0x2000), (0x1F300, 0x1F600), (0, 32))
    text = "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randint(1, 200))).encode()
    at = rng.choice((0, rng.randrange(len(raw))))
    return raw[:at] + text + raw[at + rng.choice((0, len(text))) :]


def overwrite_words(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 6)):
        order, at = rng.choice("<<<>"), 4 * rng.choice(WORDS)
        kind, value = rng.choice((("i", rng.choice(INTS)), ("f", rng.choice(FLOATS)), ("I", SIGNALLING_NAN)))
        struct.pack_into(order + kind, changed, at, value)
    return bytes(changed)


def overwrite_values(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 40)):
        struct.pack_into("<f", changed, 4 * rng.randrange(256, len(changed) // 4), rng.choice(FLOATS))
    return bytes(changed)


def reverse_words(rng: random.Random, raw: bytes) -> bytes:
    count = rng.choice((4, 8, 256, len(raw) // 4))
    return np.frombuffer(raw, "<u4", count).byteswap().tobytes() + raw[4 * count :]


def drop_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    for _ in range(min(rng.choice((1, 1, 3, 30)), len(lines) - 1)):
        del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def repeat_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    first, at = rng.randrange(len(lines)), rng.randrange(len(lines))
    return b"\n".join(lines[:at] + lines[first : first + rng.choice((1, 5, 200))] + lines[at:])


def swap_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    for _ in range(rng.choice((1, 3, 30))):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


TOKENS = tuple(
    text.encode()
    for text in "nan inf -inf 1e300 -1e300 1e-320 99999999 -2147483649 ? . '' _ ; ' \" # ***** \0 中文 loop_ data_y "
    "save_ global_ $frame [/b]".split(" ")
)
TOKENS += (b"9" * 40, b"A" * 300, b"\xe9", b"\xff\xfe")
"words that parsers of numbers, names or mmCIF may trip over; the last two are no UTF-8"

RECORDS = tuple(
    text.encode("latin-1")
    for text in (
        "MODEL     9999", "ENDMDL", "TER", "END", "ATOM", "HETATM", "ANISOU", "CONECT99999", "LINK", "MODRES", "CISPEP",
        "HELIX    1   1 ALA A    1  ALA A 9999  1", "SHEET    1   A 5 LEU A  1  TYR A 99999 0",
        "SEQRES   1 A 9999  \xe9\xe9\xe9 ALA GLY", "CRYST1    0.000  nan    0.000  0.00  0.00  0.00 P 1",
        "MTRIX1   1  nan 0 0", "REMARK 350   BIOMT1   1  1.0 nan", "SSBOND   1 CYS A    3    CYS A   40",
        "data_again", "loop_", "_atom_site.id", "_struct_conf.id 1", ";", "_entity_poly_seq.mon_id \xff",
    )
)  # fmt: skip
"lines that mean something in a PDB or an mmCIF file, some of them broken"


def replace_tokens(rng: random.Random, raw: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        found = re.compile(rb"\S+").search(raw, rng.randrange(len(raw)))
        if found:
            raw = raw[: found.start()] + rng.choice(TOKENS) + raw[found.end() :]
    return raw


def overwrite_column(rng: random.Random, raw: bytes) -> bytes:
    column, token = rng.randrange(80), rng.choice(TOKENS)[:8]
    return b"\n".join(
        line[:column] + token + line[column + len(token) :] if line[:4] in (b"ATOM", b"HETA") else line
        for line in raw.split(b"\n")
    )


def put_record(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(RECORDS))
    return b"\n".join(lines)


ON_ANY: tuple[Mutation, ...] = (cut, flip_bytes, swap_bytes, repeat_chunk, drop_chunk)
ON_MAPS: tuple[Mutation, ...] = (
    *ON_ANY, put_unicode, overwrite_values, reverse_words, *[flip_header_bytes] * 2, *[overwrite_words] * 5,
)  # fmt: skip
ON_MODELS: tuple[Mutation, ...] = (
    *ON_ANY, put_unicode, drop_lines, drop_lines, repeat_lines, swap_lines, *[replace_tokens] * 4,
    *[overwrite_column] * 2, *[put_record] * 3,
)  # fmt: skip


def mutated(seed: str, originals: Sequence[bytes], mutations: Sequence[Mutation]) -> tuple[str, bytes]:
    """A damaged file and the names of what was done to it: before it is packed, and after, if it is."""
    rng = random.Random(seed)
    raw, names = rng.choice(originals), [seed]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(mutations)
        if len(raw) > 1100:  # room for a header
            raw = mutation(rng, raw)
            names.append(mutation.__name__)
    if raw and rng.random() < 0.5:
        raw = gzip.compress(raw, 1, mtime=0)
        names.append("gzip")
        if rng.random() < 0.6:
            mutation = rng.choice(ON_ANY)
            raw = mutation(rng, raw)
            names.append(mutation.__name__)
    return ", ".join(names), raw


def originals(shared_data: Path, names: Iterable[str]) -> list[bytes]:
    """Real files, decompressed."""
    contents = [(shared_data / name).read_bytes() for name in names]
    return [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content for content in contents]


def claimed_shape_zyx(raw: bytes, byte_order: str) -> tuple[int, int, int]:
    """What the header words say, by struct alone."""
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(1024)
    columns, axes = struct.unpack(f"{byte_order}3i", raw[:12]), struct.unpack(f"{byte_order}3i", raw[64:76])
    along = dict(zip(axes if any(axes) else (1, 2, 3), columns, strict=True))
    return along[3], along[2], along[1]


def is_refusal(code: str, message: str, codes: Sequence[str], file_name: str) -> bool:
    return code in codes and len(message.splitlines()) == 1 and message.startswith(f"{file_name}: ")


def fault_of_map(path: Path) -> str:
    """What is wrong with how reading a map ended; empty if nothing is."""
    try:
        header = read_header(path)
        try:
            map_digest(path, header)
        except RejectedError as error:
            if not is_refusal(error.code, str(error), ("unreadable_map", "truncated_map"), path.name):
                return f"map_digest: {error.code}: {error}"
        density = read_volume(path, header).data
    except RejectedError as error:
        refused = is_refusal(error.code, str(error), ("unreadable_map", "truncated_map"), path.name)
        return "" if refused else f"{error.code}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    claimed = claimed_shape_zyx(path.read_bytes(), header.byte_order)
    right = density.shape == claimed and density.dtype == np.float32
    return "" if right else f"{density.shape} {density.dtype}, claimed {claimed}"


def test_a_mutated_map_ends_as_its_claimed_shape_or_as_a_rejection(
    tmp_path: Path, shared_data: Path, series: Callable[[str, int], list[int]]
) -> None:
    names = ("EMD-5830-box/emd_5830_box", "EMD-8249/emd_8249", "EMD-3197/emd_3197")
    maps = originals(shared_data, (f"entries/{name}.map.gz" for name in names))
    path = tmp_path / "mutated.map"
    faults = {}
    for case in series("mutated maps", 1500):
        name, raw = mutated(f"map {case}", maps, ON_MAPS)
        path.write_bytes(raw)
        fault = fault_of_map(path)
        if fault:
            faults[name] = fault

    assert faults == {}


READ_MODELS = """
import faulthandler, json, resource, sys
from pathlib import Path
from cryodata.errors import RejectedError
from cryodata.formats.structure import read_structure

faulthandler.enable()
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
with open(sys.argv[1], "w") as report:
    for name in sys.stdin.read().split():
        try:
            end = ["value", str(len(read_structure(Path(name)).model))]
        except RejectedError as error:
            end = [error.code, error.message]
        except BaseException as error:
            end = [type(error).__name__, str(error)]
        print(json.dumps(end), file=report, flush=True)
"""
"reads the models named on stdin and reports on each as soon as it has ended"


def ends_of_models(paths: Sequence[Path], report: Path, program: str = READ_MODELS) -> list[tuple[str, str]]:
    """(code or exception, message) of reading each, in processes of their own: one that dies ends one model only."""
    ends: list[tuple[str, str]] = []
    while len(ends) < len(paths):
        names = "\n".join(map(str, paths[len(ends) :]))
        try:
            command = [sys.executable, "-W", "error", "-c", program, str(report)]
            done = subprocess.run(command, input=names, capture_output=True, text=True, timeout=60)
            reason = f"exit {done.returncode}: {done.stderr[-500:]}"
        except subprocess.TimeoutExpired:
            reason = "it takes more than a minute"
        ends += [tuple(json.loads(line)) for line in report.read_text().splitlines() if line.endswith("]")]
        if len(ends) < len(paths):
            ends.append(("died", reason))
    return ends


def test_a_mutated_model_ends_as_atoms_or_as_a_rejection(
    tmp_path: Path, shared_data: Path, series: Callable[[str, int], list[int]]
) -> None:
    names = ("1cbn.cif", "1en2.pdb", "5i55.cif", "1orc.pdb", "1pfe.cif.gz")
    models = originals(shared_data, (f"models/{name}" for name in names))
    cases = series("mutated models", 700)
    faults, values = {}, 0
    for first in range(0, len(cases), 100):
        folder = tmp_path / "batch"
        folder.mkdir()
        mutations = {}
        for case in cases[first : first + 100]:
            name, raw = mutated(f"model {case}", models, ON_MODELS)
            mutations[folder / f"{case}.model"] = name
            (folder / f"{case}.model").write_bytes(raw)
        ends = ends_of_models(list(mutations), tmp_path / "report")
        for (path, name), (code, message) in zip(mutations.items(), ends, strict=True):
            values += code == "value"
            if code != "value" and not is_refusal(code, message, ("unreadable_model",), path.name):
                faults[name] = f"{code}: {message}"
        shutil.rmtree(folder)

    assert faults == {}
    assert 0 < values < len(cases)  # the damage is neither harmless nor always fatal


def test_a_parser_that_dies_is_seen_and_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.pdb" for number in range(4)]
    for path in paths:
        path.write_bytes(atom_line(1))
    begin, dies = "        try:\n", "        if name.endswith('2.pdb'): faulthandler._sigsegv()\n"
    ends = ends_of_models(paths, tmp_path / "report", READ_MODELS.replace(begin, dies + begin))

    assert [code for code, _ in ends] == ["value", "value", "died", "value"]
    assert "Segmentation fault" in ends[2][1]
