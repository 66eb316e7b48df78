"""All pairs of sequences that are alike. The same pairs for any number of hands, whatever was known before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from cryodata.prepare.alignment import Criterion, Match, Query
from cryodata.prepare.words import WordIndex

EXACT = 4000
"sequences up to which all pairs are aligned, 2.5 minutes of one core; above, those that share words"

CHUNK = 16
"sequences that a hand takes at a time"

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
    def of(cls, rows: Sequence[tuple[int, int, int, float]]) -> Pairs:
        """From rows (one, other, score, identity) in any order."""
        rows = sorted((min(row[:2]), max(row[:2]), *row[2:]) for row in rows)
        one, other, score, identity = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(
            np.array(one, dtype=np.int32),
            np.array(other, dtype=np.int32),
            np.array(score, dtype=np.int32),
            np.array(identity, dtype=np.float64),
        )

    def above(self, score: int) -> Pairs:
        """Those with a score at least so high."""
        kept = self.score >= score
        return Pairs(self.one[kept], self.other[kept], self.score[kept], self.identity[kept])

    def rows(self) -> list[tuple[int, int, int, float]]:
        """(one, other, score, identity) of each."""
        return list(
            zip(self.one.tolist(), self.other.tolist(), self.score.tolist(), self.identity.tolist(), strict=True)
        )


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
    place = np.full(len(sequences), len(sequences), dtype=np.int64)  # the others are behind all that are asked for
    place[mine] = mine

    def partners(query: int) -> npt.NDArray[np.int64]:
        """Each pair is looked at once: by its lower number if both ask."""
        others = np.arange(len(sequences)) if index is None else index.alike(query)
        later: npt.NDArray[np.int64] = others[(place[others] > query) & (others != query)]
        return later

    def work(queries: Sequence[int]) -> list[tuple[int, int, int, float]]:
        return [row for query in queries for row in _compare(sequences, query, partners(query), criterion)]

    rows: list[tuple[int, int, int, float]] = []
    with ThreadPoolExecutor(max(1, hands)) as threads:
        for done, found in enumerate(threads.map(work, _chunks(mine)), start=1):
            rows += found
            observe(min(done * CHUNK, len(mine)), len(mine))
    return Pairs.of(rows)


def method(count: int) -> str:
    """How pairs of so many sequences are found."""
    return "all" if count <= EXACT else "words"


def identity_of(one: str, other: str, criterion: Criterion) -> float:
    """Identity of two sequences that are alike; 0 if they are not."""
    match = Query(one).match(other)
    return match.identity if match.meets(criterion, min(len(one), len(other))) else 0.0


def _compare(
    sequences: Sequence[str], query: int, others: Iterable[int], criterion: Criterion
) -> Iterator[tuple[int, int, int, float]]:
    held = Query(sequences[query])
    for other in (int(number) for number in others):
        if held.score(sequences[other]) >= criterion.score:
            match: Match = held.match(sequences[other])
            if match.meets(criterion, min(len(sequences[query]), len(sequences[other]))):
                yield query, other, match.score, match.identity


def _chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    """In order, CHUNK at a time."""
    iterator = iter(numbers)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
