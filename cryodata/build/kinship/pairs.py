"""All pairs of sequences that are alike. The same pairs for any number of hands, whatever was known before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from cryodata.prepare.alignment import Criterion, Query
from cryodata.prepare.words import WordIndex

EXACT = 6000
"sequences up to which all pairs are aligned, 6 minutes of one core; above, those that share words"

CHUNK = 16
"sequences that a hand takes at a time"

Rows = npt.NDArray[np.float64]
"one, other, score and identity of pairs, float64 (n, 4)"

Observe = Callable[[int, int], None]
"called as (done, total) with numbers of sequences"


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of sequences that are alike, sorted; each once, the lower number first."""

    one: npt.NDArray[np.int32]
    "number of a sequence, int32 (n,)"

    other: npt.NDArray[np.int32]
    score: npt.NDArray[np.int32]
    "of the best local alignment"

    identity: npt.NDArray[np.float64]
    "of its columns, 0 to 1"

    def __len__(self) -> int:
        return len(self.one)

    @classmethod
    def of(cls, rows: Rows) -> Pairs:
        """From rows (one, other, score, identity) in any order."""
        low, high = np.minimum(rows[:, 0], rows[:, 1]), np.maximum(rows[:, 0], rows[:, 1])
        order = np.lexsort((high, low))
        one, other, score = (column[order].astype(np.int32) for column in (low, high, rows[:, 2]))
        return cls(one, other, score, rows[order, 3])

    def above(self, score: int) -> Pairs:
        """Those with a score at least so high."""
        kept = self.score >= score
        return Pairs(self.one[kept], self.other[kept], self.score[kept], self.identity[kept])

    def rows(self) -> Rows:
        """(one, other, score, identity) of each."""
        return np.stack([self.one, self.other, self.score, self.identity], axis=1, dtype=np.float64)


def similar_pairs(
    sequences: Sequence[str],
    criterion: Criterion,
    hands: int = 1,
    fresh: Sequence[int] | None = None,
    observe: Observe = lambda done, total: None,
    exact: int = EXACT,
) -> Pairs:
    """Pairs of different sequences that meet a criterion.

    sequences: all different, of LETTERS. hands: threads; alignments run beside each other. fresh: only pairs with at
    least one of these; all if not given. exact: up to so many sequences every pair is aligned.
    """
    index = WordIndex(sequences) if len(sequences) > exact else None
    mine = list(range(len(sequences))) if fresh is None else sorted(fresh)
    every = len(mine) == len(sequences)
    place = np.full(len(sequences), len(sequences), dtype=np.int64)  # the others are behind all that are asked for
    place[mine] = mine

    def partners(query: int) -> npt.NDArray[np.int64]:
        """Each pair is looked at once: by its lower number if both ask."""
        first = query + 1 if every else 0
        others = np.arange(first, len(sequences)) if index is None else index.alike(query, first)
        later: npt.NDArray[np.int64] = others[(place[others] > query) & (others != query)]
        return later

    def work(queries: Sequence[int]) -> Rows:
        found = [row for query in queries for row in _compare(sequences, query, partners(query), criterion)]
        return np.array(found, dtype=np.float64).reshape(-1, 4)

    rows = [np.zeros((0, 4))]
    threads = ThreadPoolExecutor(max(1, hands))
    try:
        for done, found in enumerate(threads.map(work, _chunks(mine)), start=1):
            rows.append(found)
            observe(min(done * CHUNK, len(mine)), len(mine))
    finally:
        threads.shutdown(cancel_futures=True)  # an interruption does not wait for what has not begun
    return Pairs.of(np.concatenate(rows))


def method(count: int) -> str:
    """How pairs of so many sequences are found."""
    return "all" if count <= EXACT else "words"


def _compare(
    sequences: Sequence[str], query: int, others: Iterable[int], criterion: Criterion
) -> Iterator[tuple[int, int, int, float]]:
    held = Query(sequences[query])
    for other in (int(number) for number in others):
        if held.score(sequences[other]) >= criterion.score:
            # of several best alignments the one that counts is that of the lower number, whoever asks
            match = held.match(sequences[other]) if query < other else Query(sequences[other]).match(sequences[query])
            if match.meets(criterion, min(len(sequences[query]), len(sequences[other]))):
                yield query, other, match.score, match.identity


def _chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    """In order, CHUNK at a time."""
    iterator = iter(numbers)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
