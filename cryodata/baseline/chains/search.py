"""All chains together: each state belongs to one residue of one chain, copies are decided side by side.

Rounds of exact paths per chain in which a state that somebody else holds costs what it is worth there; stretches are
exchanged between copies after each round. Then windows are solved again, with states taken from others where that is
worth more in all, until little changes. What is kept is the best set of paths without any state used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.best import best_path
from cryodata.baseline.chains.copies import exchange, relations
from cryodata.baseline.chains.emission import calibrated_emission, first_emission, types_of
from cryodata.baseline.chains.graph import Graph
from cryodata.baseline.chains.lattice import make_lattice
from cryodata.baseline.chains.links import LinkTables
from cryodata.baseline.chains.owners import TYPICAL, Owners, claim, no_owners, owned, penalised
from cryodata.baseline.chains.path import worth
from cryodata.baseline.chains.scan import FREE, Cells, Costs, merge, scan
from cryodata.baseline.chains.shapes import arrange, copies_of
from cryodata.baseline.chains.windows import SPREAD, prune, share_out, solve_window

Array = npt.NDArray[Any]
Paths = list[Array]

KEEP = (12.0, 40)
"nats below the best path, and states a residue, that the scan leaves"

ROUNDS = ((1.0, 6), (1.0, 8))
"price at the start, and number of solutions of each chain, of each round; the scan is done anew for each"

GROWTH = 1.4
"of the price from one solution to the next"

CONFIDENT = 12.0
"worth of the 17 residues around one that is used for calibration"

CYCLES, SWEEPS = 16, 2
"times that what is weak is taken out and found anew, and passes over all windows each time"

WEAK = (0.2, 1.4)
"least worth a residue, over 9, of what stays; drawn anew for each cycle. Right stretches have about 1.7"

WINDOWS = (24, 40, 80)
"residues that are solved at a time, each half over the last"

HALF, STEEP = -2.7, 1.0
"of the logistic curve from mean worth around a residue to its confidence: through 5,121 residues of noisy 7S15, 5NI1"

PRUNE = 0.0
"nats that a residue must add to its path to stay"


class Search:
    """The paths of some chains through some states."""

    def __init__(self, graph: Graph, amino: Array, sequences: Sequence[str], tables: LinkTables) -> None:
        self.graph, self.amino, self.tables, self.costs = graph, amino, tables, Costs()
        self.types = [types_of(sequence) for sequence in sequences]
        self.emission = first_emission(amino)
        self.related, self.copies = relations(sequences), copies_of(sequences)
        self.order = sorted(range(len(sequences)), key=lambda k: -len(sequences[k]))
        self.cells: list[Cells | None] = [None] * len(sequences)
        self.lattices: list[Any] = [None] * len(sequences)
        self.lost: list[Array] = [np.empty(0, np.int64) for _ in sequences]
        self.paths: Paths = [np.full(len(types), -1, np.int32) for types in self.types]

    def run(self) -> Paths:
        """The states of the residues of each chain, -1 where none."""
        for price, times in ROUNDS:
            self.paths = self._arranged(self._round(price, times))
            self._calibrate()
        owners = self._claimed(self.paths)
        for k in self.order:
            self._scan(k, owners, 2.0)
        self.paths = self._arranged(self._exchanged(self._windows()))
        for k in self.order:
            prune(self.graph.xyz, self.tables, self.costs, self.emission, self.types[k], self.paths[k], PRUNE)
        return self.paths

    def confidence(self) -> list[Array]:
        """How far each residue is to be trusted, 0 to 1; 0 where it has no state."""
        found = []
        for k, path in enumerate(self.paths):
            found.append((path >= 0) / (1 + np.exp((HALF - self._around(k)) / STEEP)))
        return found

    def worth(self, k: int, path: Array) -> tuple[float, Array]:
        """Score of a path of chain k, and what each residue adds."""
        each: Array = np.empty(len(path))
        return worth(self.graph.xyz, self.tables, self.costs, self.emission, self.types[k], path, each), each

    def total(self, paths: Paths) -> float:
        """Score of all paths."""
        return sum(self.worth(k, path)[0] for k, path in enumerate(paths))

    def _round(self, price: float, times: int) -> Paths:
        best, kept = -np.inf, self.paths
        owners = self._claimed(self.paths)
        for k in self.order:
            self._scan(k, owners, price)
            self._solve(k, owners, price)
        for _ in range(times):
            price *= GROWTH
            for k in self.order:
                self._solve(k, owners, price)
            paths = self._exchanged([owned(owners, k, path) for k, path in enumerate(self.paths)])
            owners = self._claimed(paths)
            total = self.total(paths)
            if total > best:
                best, kept = total, paths
        return kept

    def _scan(self, k: int, owners: Owners, price: float) -> None:
        """Find cells of a chain anew; those of before and of its path stay."""
        held = np.where(owners.chain < 0, FREE, np.where(owners.chain == k, owners.residue, -100)).astype(np.int32)
        prices = (price * np.clip(owners.strength / TYPICAL, 0.2, 2.0)).astype(np.float32)
        cells = scan(self.graph, self.emission, self.types[k], self.costs, (held, prices), KEEP)
        placed = np.flatnonzero(self.paths[k] >= 0).astype(np.int32)
        cells = merge(cells, self.cells[k], (placed, self.paths[k][placed]))
        self.cells[k] = cells
        self.lattices[k] = make_lattice(self.graph, self.tables, cells, self.costs)

    def _solve(self, k: int, owners: Owners, price: float) -> None:
        lattice, types = self.lattices[k], self.types[k]
        values: Array = np.empty(len(lattice.state), np.float32)
        penalised(owners, k, price, self.costs.present, lattice, self.emission, types, values)
        self._remember(k, price, values)
        path: Array = np.empty(len(types), np.int32)
        best_path(lattice, values, self.tables, self.costs, (0, len(types), 0, len(types)), path)
        self.paths[k] = np.where(path >= 0, lattice.state[path], -1).astype(np.int32)
        claim(owners, k, self.paths[k], self.worth(k, self.paths[k])[1])
        self.lost[k] = np.flatnonzero((self.paths[k] >= 0) & (owned(owners, k, self.paths[k]) < 0))

    def _remember(self, k: int, price: float, values: Array) -> None:
        """What a chain had to leave to others last time costs it once more, so that it does not swing back at once."""
        lattice, path = self.lattices[k], self.paths[k]
        for i in self.lost[k]:
            low, high = lattice.first[i], lattice.first[i + 1]
            cell = low + np.searchsorted(lattice.state[low:high], path[i])
            if cell < high and lattice.state[cell] == path[i]:
                worth_of = self.emission[path[i], self.types[k][i]]
                values[cell] = min(values[cell], worth_of - self.costs.present - price)

    def _claimed(self, paths: Paths) -> Owners:
        owners = no_owners(len(self.graph.xyz))
        for k in self.order:
            claim(owners, k, paths[k], self.worth(k, paths[k])[1])
        return owners

    def _exchanged(self, paths: Paths) -> Paths:
        for _ in range(3):
            gain = 0.0
            for one, two, across, back in self.related:
                types, pair = (self.types[one], self.types[two]), (paths[one], paths[two])
                gain += exchange(
                    self.graph.xyz, self.tables, self.costs, self.emission, types, pair, across, back
                )  # fmt: skip
            if gain <= 0:
                break
        return paths

    def _arranged(self, paths: Paths) -> Paths:
        """Tails of copies exchanged where the shapes of the copies say so."""
        reach = (float(self.tables.reach[0, 0]), float(self.tables.reach[0, 1]))
        for copies in self.copies:
            arrange(self.graph.xyz, reach, paths, copies, lambda k, path: self.worth(k, path)[0])
        return paths

    def _calibrate(self) -> None:
        placed = []
        for k, path in enumerate(self.paths):
            around = np.convolve(self.worth(k, path)[1], np.ones(17))[8 : 8 + len(path)]
            sure = (path >= 0) & (around > CONFIDENT)
            placed.append((path[sure], self.types[k][sure]))
        found = calibrated_emission(self.amino, placed)
        if found is not None:
            self.emission = found

    def _windows(self) -> Paths:
        """Take out what is weak and solve windows anew, over and over; what is best of all is kept."""
        draw = np.random.default_rng(0)
        best, kept = -np.inf, self.paths
        for cycle in range(CYCLES):
            if cycle:
                self.paths = [path.copy() for path in kept]
                self._ruin(draw.uniform(*WEAK))
            held = self._held()
            width = int(draw.choice(WINDOWS))
            for _ in range(SWEEPS):
                offset = int(draw.integers(width // 2))
                for k in draw.permutation(len(self.paths)).tolist():
                    self._sweep(k, held, (offset, width), bool(draw.integers(2)))
            total = self.total(self.paths)
            if total > best:
                best, kept = total, [path.copy() for path in self.paths]
        return kept

    def _ruin(self, least: float) -> None:
        """Take out the residues around which a path is worth less than `least` a residue."""
        for k, path in enumerate(self.paths):
            path[self._around(k) < least] = -1

    def _around(self, k: int) -> Array:
        """Mean worth of the placed residues around each of chain k, 0 if there are none."""
        path = self.paths[k]
        around = np.ones(2 * SPREAD + 1)
        total, placed = (
            np.convolve(values, around)[SPREAD : SPREAD + len(path)] for values in (self.worth(k, path)[1], path >= 0)
        )
        return np.asarray(total / np.maximum(placed, 1))

    def _held(self) -> tuple[Array, Array, Array]:
        """Chain, residue and price of each state; -1 if it is free."""
        count = len(self.graph.xyz)
        held = (np.full(count, -1, np.int32), np.full(count, -1, np.int32), np.zeros(count, np.float32))
        for k, path in enumerate(self.paths):
            share_out(k, path, self.worth(k, path)[1], *held)
        return held

    def _sweep(self, k: int, held: tuple[Array, Array, Array], cut: tuple[int, int], backward: bool) -> None:
        length, (offset, width) = len(self.paths[k]), cut
        starts = range(-offset, length, max(1, width // 2))
        for start in reversed(starts) if backward else starts:
            low, high = max(0, start), min(length, start + width)
            if high - low >= 3:
                self._window(k, held, (low, high))

    def _window(self, k: int, held: tuple[Array, Array, Array], window: tuple[int, int]) -> None:
        """Take the best path of a window if all chains together win."""
        lattice, path = self.lattices[k], self.paths[k]
        found = np.empty_like(path)
        solve_window(
            lattice, k, window, self.emission, self.types[k], self.tables, self.costs, path, held, found,
            np.empty(len(lattice.state), np.float32), np.empty(len(path), np.int32),
        )  # fmt: skip
        if np.array_equal(found, path):
            return
        holder, place, _ = held
        changed = {k: found}
        for i in np.flatnonzero(found != path).tolist():
            state = found[i]
            if state < 0 or holder[state] < 0 or (holder[state] == k and window[0] <= place[state] < window[1]):
                continue
            loser, there = int(holder[state]), int(place[state])
            robbed = changed.setdefault(loser, self.paths[loser].copy())
            if robbed[there] == state and (loser, there) != (k, i):
                robbed[there] = -1
        before = sum(self.worth(number, self.paths[number])[0] for number in changed)
        after = {number: self.worth(number, taken) for number, taken in changed.items()}
        if sum(value for value, _ in after.values()) - before > 1e-4:
            for number, taken in changed.items():
                self.paths[number] = taken
            for number, (_, each) in after.items():
                share_out(number, self.paths[number], each, *held)
