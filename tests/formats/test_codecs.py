"""Frames of both codecs: what goes in comes out, and what would mislead a library of C is never given to it."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numcodecs.blosc import Blosc

from cryodata.formats.codecs import CODECS

PROJECT = Path(__file__).resolve().parents[2]

EVERY = pytest.mark.parametrize("codec", sorted(CODECS))


def chunk(dtype: str = "float16", side: int = 16) -> np.ndarray:
    """Half of it zeros."""
    values = np.random.default_rng(1).random((side,) * 3)
    return np.where(values < 0.5, 0, values).astype(dtype)


def frame_of(codec: str, values: np.ndarray) -> np.ndarray:
    return np.frombuffer(bytearray(CODECS[codec].encode(values)), dtype=np.uint8)


@EVERY
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize("kind", ["sparse", "zeros", "noise", "one value"])
def test_a_chunk_comes_back_bit_by_bit_and_the_same_chunk_gives_the_same_frame(
    codec: str, dtype: str, kind: str
) -> None:
    bits = np.random.default_rng(2).integers(0, 256, 64**3 * np.dtype(dtype).itemsize, dtype=np.uint8)
    noise = bits.view(dtype).reshape((64,) * 3)
    values = {
        "sparse": chunk(dtype, 64),
        "zeros": np.zeros_like(noise),
        "noise": noise,
        "one value": np.ones_like(noise),
    }[kind]
    values = values.view(f"u{values.itemsize}")  # the noise holds nan, which equals nothing
    out = np.empty_like(values)

    CODECS[codec].decode(frame_of(codec, values), out)

    assert np.array_equal(out, values)
    assert np.array_equal(frame_of(codec, values), frame_of(codec, values.copy()))


@pytest.mark.parametrize(("codec", "digest"), [("lz4", "bc462584d6b8e00f"), ("zstd", "036ccb9f221cfc5a")])
def test_frames_are_those_of_every_numcodecs_that_is_taken(codec: str, digest: str) -> None:
    """Found equal from 0.14.1, with lz4 1.9, to 0.16.6, with 1.10. Of lz4hc, and of faster lz4, they are not."""
    place = np.arange(64**3, dtype=np.int64).reshape((64,) * 3)
    values = (place * place * 7919 % 1031 % 97).astype(np.uint16)

    assert hashlib.sha256(frame_of(codec, values)).hexdigest()[:16] == digest


@EVERY
@pytest.mark.parametrize("length", [0, 1, 5, 15, 16, 20])
def test_a_frame_that_is_cut_off_is_refused(codec: str, length: int) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        CODECS[codec].decode(frame_of(codec, chunk())[:length], chunk())


@EVERY
@pytest.mark.parametrize("side", [15, 17])
def test_a_frame_of_another_size_is_refused_before_it_is_inflated(codec: str, side: int) -> None:
    with pytest.raises(ValueError, match=f"^holds {side**3 * 2} bytes; expected 8192$"):
        CODECS[codec].decode(frame_of(codec, chunk(side=side)), chunk())


def number(value: int) -> list[int]:
    return list(value.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        pytest.param(0, [3], "nothing is known", id="version"),
        pytest.param(1, [2], "nothing is known", id="version of lz4"),
        pytest.param(2, [0b1000_0001], "nothing is known", id="compressor"),
        pytest.param(2, [0b0010_0101], "nothing is known", id="bits shuffled"),
        pytest.param(3, [4], "nothing is known", id="bytes of a value"),
        pytest.param(4, number(2**32 - 1), "holds 4294967295 bytes; expected 8192", id="size"),
        pytest.param(8, number(0), "nothing is known", id="no block"),
        pytest.param(8, number(8193), "nothing is known", id="block beyond the end"),
        pytest.param(12, number(2**31), "is a frame of 2147483648 bytes by its header; expected ", id="length"),
    ],
)
def test_a_header_that_blosc_would_believe_is_refused(place: int, value: list[int], message: str) -> None:
    frame = frame_of("lz4", chunk())
    frame[place : place + len(value)] = value

    with pytest.raises(ValueError, match=message):
        CODECS["lz4"].decode(frame, chunk())


def test_a_frame_of_another_compressor_of_blosc_is_refused() -> None:
    frame = np.frombuffer(Blosc(cname="zstd").encode(chunk()), dtype=np.uint8)

    with pytest.raises(ValueError, match="nothing is known"):
        CODECS["lz4"].decode(frame, chunk())


def test_no_change_of_a_frame_ends_the_process(series: Callable[[str, int], list[int]]) -> None:
    """Behind a header that fits, whatever stands in a frame is decoded or refused."""
    numbers = series("frames", 20)
    command = [sys.executable, "-m", "tests.formats.test_codecs", *map(str, numbers)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    assert len(json.loads(done.stdout)) == len(numbers)


def damaged(number: int, times: int = 500) -> int:
    """How many of many changes of a frame are refused."""
    rng, refused = random.Random(number), 0
    values = chunk(("float16", "float32")[number % 2], 24)
    whole = np.frombuffer(
        Blosc(cname="lz4hc", clevel=4, blocksize=(0, 4096)[number // 2 % 2]).encode(values), dtype=np.uint8
    )
    for _ in range(times):
        frame = whole.copy()
        for _ in range(rng.randrange(1, 6)):
            first = rng.choice([8, 16, rng.randrange(16, len(frame))])  # the size of blocks, where they begin, all else
            count = min(rng.choice([1, 4]), len(frame) - first)
            frame[first : first + count] = list(rng.randbytes(count)) if rng.random() < 0.8 else 255
        frame[12:16] = whole[12:16]
        try:
            CODECS["lz4"].decode(frame, np.empty_like(values))
        except (ValueError, RuntimeError):
            refused += 1
    return refused


if __name__ == "__main__":
    print(json.dumps([damaged(int(argument)) for argument in sys.argv[1:]]))
