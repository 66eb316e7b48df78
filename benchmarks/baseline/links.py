"""How far apart are C-alphas j residues apart, against any other states? Writes cryodata/baseline/chains/links-*.json.

    python -m benchmarks.baseline.links

Counts, over noisy cases (see `cases`) of the models in SOURCES, of distances, angles and torsions between states of one
chain and between unrelated ones; kept are the logarithms of their ratios, smoothed and rounded: sums over about 10,000
residues, from which no model can be told. None of the structures on which the tracer is judged is among the sources,
nor is one of those that were looked at while it was written (7S15, 5NI1, 3DL7, 3J6R, 6XLU).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.baseline.cases import Case, make_case, read_chains

SOURCES = (
    "models/1fdo.cif", "models/2src.cif", "models/1igy.cif.gz", "models/1htq.pdb", "models/7ddo.pdb",
    "models/4upy.pdb.gz", "models/5ugo.cif", "models/1a4w.cif", "models/4wvp.cif.gz", "models/4i39.cif",
    "models/1kx5.pdb.gz", "models/1j59.cif", "models/4zhl.cif", "entries/EMD-6272-zone/3j9s.ent",
    "entries/EMD-20026-crop/3ajo_fitted_refined.pdb", "entries/EMD-5778-chainA/3j5p_A.pdb",
    "entries/EMD-2566-chain9/3j6b_9.pdb", "entries/EMD-5137-box/3los_box.pdb", "entries/EMD-4118-box/5ly6_box.pdb",
    "entries/EMD-6770-box/5xsy_box.pdb", "entries/EMD-6187-box-A/3j8x_box-A.pdb",
    "entries/EMD-6187-box-K/3j8x_box-K.pdb", "entries/EMD-1044-box/1oed_box.pdb",
)  # fmt: skip
SEEDS = range(101, 107)
OUT = Path(__file__).resolve().parents[2] / "cryodata" / "baseline" / "chains"

REACH = {0.35: ((2.2, 5.4), (3.5, 8.5), (3.8, 11.5)), 0.65: ((1.6, 6.4), (2.8, 9.3), (3.2, 12.3))}
"""A, by the error of states per axis: from neighbour to neighbour (3.8 A, and 3.2 or 2.8 standard deviations of what
the errors of both ends make of it), and over one and two missing residues"""

NEAR_BIN, NEAR_BINS = 0.1, 130
FAR_BIN, FAR_BINS, FAR_STEPS = 1.0, 80, 48
ANGLE_BIN, ANGLE_BINS = 0.1, 110
CLASS_EDGES, TURNS = (5.2, 5.9, 6.6), 18

Floats = npt.NDArray[np.float64]


class Counts:
    """Sums over cases."""

    def __init__(self, link: tuple[float, float]) -> None:
        self.link = link
        classes = len(CLASS_EDGES) + 1
        self.near, self.far = np.zeros((3, NEAR_BINS)), np.zeros((FAR_STEPS + 1, FAR_BINS))
        self.any_near, self.any_far, self.states = np.zeros(NEAR_BINS), np.zeros(FAR_BINS), 0
        self.angle = np.zeros((2, ANGLE_BINS))
        self.turn = np.zeros((2, classes, classes, TURNS))

    def add(self, case: Case) -> None:
        """Count a case; its states' true places are found again as the nearest state within 2 A."""
        xyz = case.xyz
        apart = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        self.states += len(xyz)
        self.any_near += histogram(apart.ravel(), NEAR_BIN, NEAR_BINS)
        self.any_far += histogram(apart.ravel(), FAR_BIN, FAR_BINS)
        near = (apart >= self.link[0]) & (apart <= self.link[1])
        for chain in case.chains:
            away = np.linalg.norm(chain.xyz[:, None] - xyz[None], axis=2)
            state = np.where(away.min(axis=1) < 1.7, away.argmin(axis=1), -1)
            for j in range(1, FAR_STEPS + 1):
                one, two = state[:-j], state[j:]
                both = (one >= 0) & (two >= 0)
                found = apart[one[both], two[both]]
                self.far[j] += histogram(found, FAR_BIN, FAR_BINS)
                if j <= 3:
                    self.near[j - 1] += histogram(found, NEAR_BIN, NEAR_BINS)
            self._turns(xyz, apart, near, state)

    def _turns(self, xyz: Floats, apart: Floats, near: Any, state: Any) -> None:
        for i in range(2, len(state)):
            u, t, s = state[i - 2], state[i - 1], state[i]
            if min(u, t) < 0 or not near[u, t]:
                continue
            others = np.flatnonzero(near[t])
            others = others[others != u]
            true = others == s
            for wrong in (0, 1):
                self.angle[wrong] += histogram(apart[u, others[true != wrong]], ANGLE_BIN, ANGLE_BINS)
            w = state[i - 3] if i >= 3 else -1
            if w >= 0 and near[w, u] and w != t:
                before = np.searchsorted(CLASS_EDGES, apart[w, t])
                after = np.searchsorted(CLASS_EDGES, apart[u, others])
                turn = torsion(xyz[w], xyz[u], xyz[t], xyz[others])
                bins = np.minimum(((turn + np.pi) / (2 * np.pi) * TURNS).astype(int), TURNS - 1)
                np.add.at(self.turn, (np.where(true, 0, 1), before, after, bins), 1)

    def tables(self) -> dict[str, Any]:
        """Logarithms of the ratios."""
        # the background of step j: pairs that are not j apart, in either direction
        any_near = np.array([smooth(np.maximum(self.any_near - 2 * c, 0), 1.5) for c in self.near]) / self.states
        any_far = np.array([smooth(np.maximum(self.any_far - 2 * c, 0), 1.0) for c in self.far]) / self.states
        near = np.array([smooth(c, 1.5) / c.sum() for c in self.near])
        far = np.array([smooth(c, 1.0) / max(c.sum(), 1) for c in self.far])
        angle = np.array([smooth(c, 2.0) / c.sum() for c in self.angle])
        turn = self.turn + 0.5 * np.ones(self.turn.shape)
        # the circle closes: the last bin is next to the first
        turn = 0.25 * np.roll(turn, 1, -1) + 0.5 * turn + 0.25 * np.roll(turn, -1, -1)
        turn /= turn.sum(axis=-1, keepdims=True)
        floor = 1e-5
        return {
            "near": rounded(np.log((near + floor) / (any_near + 1e-4))),
            "far": rounded(np.log((far + 1e-4) / (any_far + 1e-3))),
            "angle": rounded(np.log((angle[0] + floor) / (angle[1] + floor))),
            "turn": rounded(np.log(turn[0] / turn[1])),
        }


def histogram(values: Floats, width: float, bins: int) -> Floats:
    """Counts in bins from 0; what lies beyond is left out."""
    return np.bincount((values[values < width * bins] / width).astype(int), minlength=bins)[:bins].astype(float)


def smooth(counts: Floats, width: float) -> Floats:
    """Counts blurred by a Gaussian of some bins."""
    reach = np.arange(-int(4 * width), int(4 * width) + 1)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="same")


def torsion(w: Floats, u: Floats, t: Floats, s: Floats) -> Floats:
    """Torsion angles w-u-t-s in radians, s: (n, 3)."""
    b1, b2, b3 = u - w, t - u, s - t
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    along = np.cross(n1, b2 / np.linalg.norm(b2))
    return np.arctan2(-(n2 * along).sum(axis=1), (n2 * n1).sum(axis=1))


def rounded(values: Floats) -> list[Any]:
    """Two digits say what smoothed counts can."""
    return np.round(np.clip(values, -12, 8), 2).tolist()


def learn(error: float) -> dict[str, Any]:
    """All tables for an error of states in A per axis, with what they were made from."""
    counts, residues = Counts(REACH[error][0]), 0
    for path in SOURCES:
        chains = read_chains(path)
        residues += sum(len(chain.sequence) for chain in chains)
        for seed in SEEDS:
            counts.add(make_case(chains, seed, error=error))
    about = "natural logarithms of ratios, learned by benchmarks/baseline/links.py from noisy cases of these models"
    sources = [Path(path).name.split(".")[0].split("_")[0].upper() for path in SOURCES]
    told = {"format": 1, "about": about, "error": error, "sources": sources, "residues": residues}
    steps = {
        "reach": REACH[error],
        "near_bin": NEAR_BIN,
        "far_bin": FAR_BIN,
        "angle_bin": ANGLE_BIN,
        "class_edges": CLASS_EDGES,
    }
    return {**told, **steps, **counts.tables()}


if __name__ == "__main__":
    for size in REACH:
        path = OUT / f"links-{size:.2f}.json"
        path.write_text(json.dumps(learn(size), separators=(",", ":")) + "\n", encoding="utf-8")
        print(path, path.stat().st_size)
