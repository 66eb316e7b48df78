"""Which sequences may be alike, without an alignment: those that share words of three residues along few diagonals.

Two chains of common descent have the same words at the same distance from each other, but for gaps. Chance shares as
many words, spread over all distances. So words are counted in bands of 8 diagonals, and what the fullest two neighbours
among the bands have is held against what they have between unrelated sequences of these lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.prepare.alignment import LETTERS

WORD = 3
"residues of a word: at 30 % identity 1 in 40 aligned words is the same by chance alone, and identities come in runs"

BAND = 8
"diagonals of a band: gaps shift an alignment by few residues"

ABOVE = 0.64
"how far above chance, in its deviations; a tenth of unrelated pairs is: benchmarks/splits measures what is missed"

BLOCK = 2048
"sequences that are counted at a time: their bands fit the cache of a processor"

_TWENTY = 20
_CHANCE = (-0.3675, -0.18, 0.0164, 0.4299)
"of 1, root of the shorter length, that length, log of the longer one: words in the fullest bands of unrelated pairs"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Some sequences, by the words that they have."""

    first: int
    "number of the first sequence"

    lengths: Ints
    starts: Ints
    "where the places of each word begin, int64 (8001,)"

    owner: npt.NDArray[np.int32]
    "sequence of each place, counted from the first"

    place: npt.NDArray[np.int32]
    "where in its sequence the word begins"


class WordIndex:
    """Sequences to look for others in."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._codes = [_codes(sequence) for sequence in sequences]
        self._lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        self._blocks = [self._block(first) for first in range(0, len(sequences), BLOCK)]

    def alike(self, query: int, first: int = 0) -> Ints:
        """Sequences that may be alike to one of them, int64, ascending; only those from `first` on.

        If one may be alike to another, so may the other to the one.
        """
        found = [self._of_block(query, block) for block in self._blocks if block.first + len(block.lengths) > first]
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
        return numbers[numbers >= first]

    def _block(self, first: int) -> _Block:
        codes = self._codes[first : first + BLOCK]
        words = [_words(code) for code in codes]
        counts = np.array([len(word) for word in words], dtype=np.int64)
        owner = np.repeat(np.arange(len(codes), dtype=np.int32), counts)
        place = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
        word = np.concatenate(words)
        known = word >= 0
        order = np.argsort(word[known], kind="stable")
        starts = np.zeros(_TWENTY**WORD + 1, dtype=np.int64)
        np.cumsum(np.bincount(word[known], minlength=_TWENTY**WORD), out=starts[1:])
        return _Block(first, self._lengths[first : first + BLOCK], starts, owner[known][order], place[known][order])

    def _of_block(self, query: int, block: _Block) -> Ints:
        words = _words(self._codes[query])
        at = np.flatnonzero(words >= 0)
        begin, count = block.starts[words[at]], np.diff(block.starts)[words[at]]
        hits = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
        owner, mine = block.owner[hits], int(self._lengths[query])
        bands = (block.lengths + mine) // BAND + 2
        offset = np.cumsum(bands) - bands
        here, there = np.repeat(at, count), block.place[hits]
        diagonal = there - here + mine
        if block.first < query:  # bands begin where they do for the lower of two numbers, whoever asks
            lower = owner < query - block.first
            diagonal[lower] = (here - there)[lower] + block.lengths[owner[lower]]
        filled = np.bincount(offset[owner] + diagonal // BAND, minlength=int(bands.sum()) + 1)
        fullest = np.maximum.reduceat(filled[:-1] + filled[1:], offset)
        return block.first + np.flatnonzero(fullest >= _enough(block.lengths, mine))


def _enough(lengths: Ints, mine: int) -> npt.NDArray[np.float64]:
    """How many words the fullest bands must have; one at least."""
    shorter, longer = np.minimum(lengths, mine), np.maximum(lengths, mine)
    terms = (np.ones(len(lengths)), np.sqrt(shorter), shorter, np.log(np.maximum(longer, 1)))
    chance = sum(weight * term for weight, term in zip(_CHANCE, terms, strict=True))
    return np.maximum(1.0, chance + ABOVE * np.sqrt(np.maximum(chance, 1.0)))


def _codes(sequence: str) -> npt.NDArray[np.int8]:
    table = np.full(256, _TWENTY, dtype=np.int8)
    table[np.frombuffer(LETTERS[:_TWENTY].encode(), dtype=np.uint8)] = np.arange(_TWENTY)
    return table[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]


def _words(codes: npt.NDArray[np.int8]) -> Ints:
    """Number of the word that begins at each residue; -1 where it has an unknown one."""
    count = max(0, len(codes) - WORD + 1)
    words, known = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
    for offset in range(WORD):
        part = codes[offset : offset + count]
        words = words * _TWENTY + part
        known &= part < _TWENTY
    return np.where(known, words, -1)
