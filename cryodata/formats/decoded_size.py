"""How much memory columns of a Parquet file take once they are decoded, told from their page headers alone.

A dictionary stands a long text for each of millions of rows in a few bytes, and a level is repeated for nothing: a file
of 20 kB can ask for 80 GB, and neither its length nor its footer says so. What a decoder follows are the headers of the
pages (parquet.thrift, PageHeader; Thrift's compact protocol), so these are added up before anything is decoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_DECODED = 4 << 30
"bytes of a table, or of a row group of a large one, that are believed: entries of the whole archive take a tenth of it"

HEADER, MAX_HEADER = 512, 1 << 20
"bytes that are read of a page header at first, and at most: it may hold the least and the largest text"

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"bytes of a value; of what is not here, the length of the column says it, or the texts do"

PLACE = 9
"bytes that a value may take besides: the offset of a text or a list, and whether it is missing"

DATA, DICTIONARY, DATA_2 = 0, 2, 3
"types of pages (parquet.thrift, PageType)"

IN_DICTIONARY = (2, 8)
"encodings of pages that refer to a dictionary"

MAX_DICTIONARY = 64 << 20
"bytes of a dictionary that is looked into; of a larger one each text counts as long as all of it (arrow: 1 MB)"

CODECS = {"LZ4": "lz4_raw"}
"codecs that arrow calls otherwise"

DELTA_BYTE_ARRAY = 7
"encoding of texts by what they share with the one before, which may be almost all"

Struct = dict[int, Any]


def check_decoded(path: Path, file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str] | None) -> int:
    """The most bytes that columns of some row groups of a file take when they are decoded; ValueError if these are more
    than MAX_DECODED, or if a chunk is no row of pages. columns: by the first part of their path, None for all."""
    wanted = None if columns is None else set(columns)
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    size, longer = 0, list[tuple[int, str]]()
    with open(path, "rb") as raw:
        for group in groups:
            found = file.metadata.row_group(group)
            for number, leaf in enumerate(leaves if found.num_rows else ()):
                if wanted is not None and leaf.path.partition(".")[0] not in wanted:
                    continue
                plain, texts = _of_chunk(raw.fileno(), found.column(number), leaf)
                size += plain
                if size + texts > MAX_DECODED:  # only if each were the longest one
                    longer.append((group, leaf.path))
                else:
                    size += texts
    for group, name in longer if size <= MAX_DECODED else ():
        size += _texts(path, group, name)
    check_believed(size)
    return size


def check_believed(size: int) -> None:
    """ValueError for more than MAX_DECODED."""
    if size > MAX_DECODED:
        raise ValueError(f"decoded it takes {size:,} bytes; {MAX_DECODED:,} at most are believed")


def _of_chunk(descriptor: int, chunk: Any, leaf: Any) -> tuple[int, int]:
    """Most bytes of one column in one row group: what pages hold, and texts that are taken from a dictionary."""
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    values = referring = pages = longest = 0
    for place, header in _pages(descriptor, start, start + chunk.total_compressed_size):
        kind, packed = header[1], header[3]
        pages += header[2]
        if kind == DICTIONARY and leaf.physical_type == "BYTE_ARRAY":
            longest = _longest(descriptor, place, packed, header[2], chunk.compression)
        elif kind in (DATA, DATA_2):
            number, encoding = _told(header, 5, 2) if kind == DATA else _told(header, 8, 4)
            values += number
            referring += number if encoding in IN_DICTIONARY else 0
            if encoding == DELTA_BYTE_ARRAY:
                pages += number * header[2]
    width = WIDTHS.get(leaf.physical_type, leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0)
    return pages + values * (width + PLACE), referring * longest


def _told(header: Struct, kind: int, encoding: int) -> tuple[int, int]:
    """Values of a page and how they are encoded, by the numbers of their fields."""
    told = header.get(kind)
    values, how = (told.get(1), told.get(encoding)) if isinstance(told, dict) else (None, None)
    if not isinstance(values, int) or not isinstance(how, int) or values < 0:
        raise ValueError("a page that does not say what it holds")
    return values, how


def _texts(path: Path, group: int, name: str) -> int:
    """Bytes of the texts of a column in a row group, each looked up in its dictionary and not copied."""
    with pq.ParquetFile(path, read_dictionary=[name]) as file:
        column = file.read_row_group(group, columns=[name]).column(0)
    size = 0
    for part in column.chunks:
        values = part
        while not pa.types.is_dictionary(values.type):
            values = values.field(0) if pa.types.is_struct(values.type) else values.flatten()
        lengths = pc.binary_length(values.dictionary).cast(pa.int64())
        size += pc.sum(lengths.take(values.indices)).as_py() or 0
    return size


def _pages(descriptor: int, start: int, end: int) -> Iterator[tuple[int, Struct]]:
    """Where the content of each page begins, and its header."""
    while start < end:
        header, length = _header(descriptor, start, end)
        if not all(isinstance(header.get(field), int) and header[field] >= 0 for field in (1, 2, 3)):
            raise ValueError("a page without type or size")
        yield start + length, header
        start += length + int(header[3])


def _header(descriptor: int, start: int, end: int) -> tuple[Struct, int]:
    """A page header and its length."""
    count = HEADER
    while True:
        raw = os.pread(descriptor, min(count, end - start), start)
        try:
            reader = _Compact(raw)
            return reader.struct(), reader.at
        except IndexError:
            if count >= MAX_HEADER or len(raw) < count:
                raise ValueError("a page header without an end") from None
            count *= 8


def _longest(descriptor: int, place: int, packed: int, plain: int, codec: str) -> int:
    """Bytes of the longest text of a dictionary; its own size where it can't be read."""
    if plain > MAX_DICTIONARY:
        return plain
    raw = os.pread(descriptor, packed, place)
    if codec != "UNCOMPRESSED":
        try:
            raw = pa.Codec(CODECS.get(codec, codec.lower())).decompress(raw, plain, asbytes=True)
        except (ValueError, OSError, pa.ArrowException):  # the reader will say what is wrong with it
            return plain
    longest, at = 0, 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        longest, at = max(longest, length), at + 4 + length
    return longest


class _Compact:
    """Reads Thrift's compact protocol; IndexError where bytes are missing."""

    def __init__(self, raw: bytes) -> None:
        self.at, self._raw = 0, raw

    def struct(self, depth: int = 0) -> Struct:
        """Values by the number of their field."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 8:
            self._skip(self._varint())
            return None
        if kind == 12 and depth < 8:
            return self.struct(depth + 1)
        if kind in (3, 7):
            self._skip(1 if kind == 3 else 8)
            return None
        raise ValueError(f"a page header with a value of kind {kind}")

    def _byte(self) -> int:
        self.at += 1
        return self._raw[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._raw):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
